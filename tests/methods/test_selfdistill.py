"""Self-supervision of images: which crops are compared, what is hidden, and what is kept."""

import pytest
import torch
from plain import make_frame

from lidar2d.errors import SettingError
from lidar2d.frame import collate
from lidar2d.losses.selfdistill import agreement, sinkhorn
from lidar2d.methods.base import Stage
from lidar2d.methods.selfdistill import SelfDistill


@pytest.fixture
def method(encoders) -> SelfDistill:
    torch.manual_seed(0)
    made = SelfDistill(
        *encoders, Stage(steps=5), clusters=16, hidden=12, bottleneck=8, crop=(32, 48), small=2, momentum=0.9
    )
    made.begin("tune", 1)
    return made


@torch.no_grad()
def test_the_losses_equal_their_slow_twin(method, batch):
    losses = method.losses(batch)
    (first, second), small, (hidden, also_hidden) = method.crops(batch)
    views, crop_head, cell_head = len(batch.images), method.heads["crop"], method.heads["cell"]

    def scores(crop):
        return crop_head(method.images(crop).mean((2, 3)))

    grey = [torch.where(mask[:, None], 0.5, crop) for crop, mask in ((first, hidden), (second, also_hidden))]
    taught = [method.average(crop) for crop in (first, second)]
    both = torch.cat([method.average_heads["crop"](maps.mean((2, 3))) for maps in taught])
    named = sinkhorn(both, 0.07)
    parts = [agreement(scores(grey[0]), named[views:], 0.1), agreement(scores(grey[1]), named[:views], 0.1)]
    for crop in small:
        parts += [agreement(scores(crop), target, 0.1) for target in (named[:views], named[views:])]
    assert losses["crops"].item() == pytest.approx(torch.cat(parts).mean().item(), rel=1e-5)

    mine, theirs = [], []
    for crop, maps, mask in zip(grey, taught, (hidden, also_hidden), strict=True):
        seen = method.images(crop)
        for view in range(views):
            for row in range(8):
                for column in range(12):
                    if mask[view, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].all():
                        mine.append(cell_head(seen[view, :, row, column]))
                        theirs.append(method.average_heads["cell"](maps[view, :, row, column]))
    assert 0 < len(mine) < 2 * views * 96
    expected = agreement(torch.stack(mine), sinkhorn(torch.stack(theirs), 0.07), 0.1).mean()
    assert losses["cells"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_crops_follow_the_seeds_of_frames_and_not_their_neighbours(method, batch):
    large, small, masks = method.crops(batch)
    again, small_again, masks_again = method.crops(batch)
    assert torch.equal(large, again)
    assert torch.equal(masks, masks_again)
    assert all(torch.equal(a, b) for a, b in zip(small, small_again, strict=True))
    assert not torch.equal(large[0], large[1])
    own = batch.view_frame == 1
    alone, small_alone, masks_alone = method.crops(collate([make_frame(1, "fog")], [int(batch.seeds[1])]))
    assert torch.equal(alone, large[:, own])
    assert torch.equal(masks_alone, masks[:, own])
    assert all(torch.equal(crop, crops[own]) for crop, crops in zip(small_alone, small, strict=True))
    assert large.shape[-2:] == (32, 48)
    assert small[0].shape[-2:] == (16, 24)


def test_the_average_follows_the_student_and_is_kept(method, batch):
    before = method.average.conv.weight.clone()
    torch.nn.init.ones_(method.images.conv.weight)
    method.on_train_batch_end()
    torch.testing.assert_close(method.average.conv.weight, 0.9 * before + 0.1)
    sum(method.losses(batch).values()).backward()
    assert method.average.conv.weight.grad is None
    assert method.images.conv.weight.grad.abs().max() > 0
    kept = method.average.conv.weight.clone()
    method.finish()
    assert torch.equal(method.images.conv.weight, kept)


def test_an_average_that_never_moves_is_refused(encoders):
    with pytest.raises(SettingError, match="momentum is 1"):
        SelfDistill(*encoders, Stage(steps=1), momentum=1.0)
