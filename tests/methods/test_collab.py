import copy
from dataclasses import replace

import pytest
import torch
from pair_loops import slow_pairs

from lidar2d.data.photometric import distort_share
from lidar2d.geometry import pairs
from lidar2d.methods.base import Stage
from lidar2d.methods.collab import Collab


def make(encoders, **options):
    torch.manual_seed(1)
    return Collab(*encoders, align=Stage(steps=5, conditions="clear"), anchor=Stage(steps=5), survey=1, **options)


@pytest.fixture
def collab(encoders, batch):
    method = make(encoders, codes=7)
    method.begin("align", 1)
    method.look([batch])
    return method


def slow_read(maps, view, u, v):
    enlarged = torch.nn.functional.grid_sample(
        maps[[view]],
        torch.tensor([[[[2 * u / 48 - 1, 2 * v / 32 - 1]]]], dtype=maps.dtype),
        align_corners=False,
        padding_mode="border",
    )
    return enlarged[0, :, 0, 0]


def slow_targets(collab, batch):
    """Standardised teacher features of the pairs, by loops; statistics over the clear pairs alone."""
    found = slow_pairs(batch)
    maps = collab.teacher(batch.images)
    seen = torch.stack([slow_read(maps, view, u, v) for _, view, u, v in found]).double()
    clear = torch.tensor([batch.conditions[int(batch.view_frame[view])] == "day" for _, view, _, _ in found])
    return (seen - seen[clear].mean(0)) / seen[clear].std(0, unbiased=False)


def test_align_without_codes_equals_its_slow_twin(encoders, batch):
    collab = make(encoders, codes=0)
    collab.begin("align", 1)
    collab.look([batch])
    loss = collab.losses(batch)["align"]
    with torch.no_grad():
        features = collab.points(batch)
        given = torch.stack([collab.head(features[point]) for point, *_ in slow_pairs(batch)]).double()
        expected = (given - slow_targets(collab, batch)).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_align_with_codes_equals_its_slow_twin(collab, batch):
    loss = collab.losses(batch)["align"]
    with torch.no_grad():
        features, terms = collab.points(batch), []
        weight = [0.0 if s == 0 else max(s, 1e-4) ** -0.8 for s in collab.codes.share.tolist()]
        scale = sum(w * s for w, s in zip(weight, collab.codes.share.tolist(), strict=True))
        for (point, *_), target in zip(slow_pairs(batch), slow_targets(collab, batch), strict=True):
            unfolded = target.float() @ collab.codes.unfold
            code = min(range(7), key=lambda k: (unfolded - collab.codes.centres[k]).norm().item())
            logits = collab.head(features[point]).double()
            terms.append(weight[code] / scale * -torch.log_softmax(logits, dim=0)[code])
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


def test_targets_are_means_of_codes_under_their_probabilities(collab, batch):
    found = pairs(batch)
    with torch.no_grad():
        targets = collab.point_targets(batch, found)
        logits = collab.head(collab.points(batch))[found.point]
        slow = sum(logits.softmax(1)[:, [k]] * collab.codes.means[k] for k in range(7))
    assert torch.allclose(targets, slow, atol=1e-5)


def test_anchor_equals_its_slow_twin(collab, batch):
    collab.begin("anchor", 1)
    with torch.no_grad():
        for weight in collab.images.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
    parts = collab.losses(batch)
    with torch.no_grad():
        maps, kept, features = collab.images(batch.images), collab.teacher(batch.images), collab.points(batch)
        found = slow_pairs(batch)
        seen = collab.standardise(torch.stack([slow_read(maps, view, u, v) for _, view, u, v in found]))
        logits = torch.stack([collab.head(features[point]) for point, *_ in found])
        given = logits.softmax(1) @ collab.codes.means
        clear = [view for view in range(8) if batch.conditions[int(batch.view_frame[view])] == "day"]
        far = [
            (collab.standardise(maps[v, :, i, j]) - collab.standardise(kept[v, :, i, j])).square().mean()
            for v in clear
            for i in range(8)
            for j in range(12)
        ]
    assert parts["anchor"].item() == pytest.approx((seen - given).square().mean().item(), rel=1e-4)
    assert parts["preserve"].item() == pytest.approx(4 * torch.stack(far).mean().item(), rel=1e-4)


def test_each_stage_trains_its_network_alone(collab, batch):
    before = copy.deepcopy(collab.state_dict())
    for stage, moving in (("align", ("points.", "head.")), ("anchor", ("images.",))):
        collab.begin(stage, 1)
        optimizer = torch.optim.SGD([p for p in collab.parameters() if p.requires_grad], lr=0.1)
        torch.stack(list(collab.losses(batch).values())).sum().backward()
        optimizer.step()
        moved = {k for k, v in collab.state_dict().items() if not torch.equal(v, before[k])}
        assert moved
        assert all(name.startswith(moving) for name in moved)
        before = copy.deepcopy(collab.state_dict())


def test_a_blend_lies_between_the_teacher_and_the_tuned_weights(encoders):
    collab = make(encoders, codes=7, blend=0.75)
    for stage, share in (("align", 1.0), ("anchor", 0.75)):
        collab.begin(stage, 1)
        with torch.no_grad():
            for weight in collab.images.parameters():
                weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
        tuned = copy.deepcopy(collab.images.state_dict())
        collab.finish()
        for name, weight in collab.images.state_dict().items():
            assert torch.allclose(weight.double(), taught(collab, name) * (1 - share) + tuned[name].double() * share)


def taught(collab, name):
    return collab.teacher.state_dict()[name].double()


def test_preserve_is_zero_before_the_first_step(collab, batch):
    collab.begin("anchor", 1)
    assert collab.losses(batch)["preserve"].item() == pytest.approx(0, abs=1e-10)


def test_a_batch_without_a_clear_frame_has_no_preserve(collab, batch):
    collab.begin("anchor", 1)
    with torch.no_grad():
        next(iter(collab.images.parameters())).add_(1.0)
    assert collab.losses(replace(batch, clear=torch.zeros(4, dtype=torch.bool)))["preserve"].item() == 0


def test_distortion_changes_clear_images_alone_and_is_the_frames_own(batch):
    clear = torch.tensor([c == "day" for c in batch.conditions])[batch.view_frame]
    shown = distort_share(batch, 1.0, 1.0, among=clear)
    changed = (shown != batch.images).flatten(1).any(1)
    assert torch.equal(changed, clear)
    assert torch.equal(shown, distort_share(batch, 1.0, 1.0, among=clear))
    assert 0 <= shown.min() <= shown.max() <= 1


def test_frozen_networks_stay_in_evaluation_mode(collab):
    collab.begin("anchor", 1)
    collab.train()
    assert collab.training
    assert collab.images.training
    assert not collab.teacher.training
    assert not collab.points.training


def test_separate_heads_begin_as_shared_ones_and_train_with_the_images(encoders, batch):
    torch.manual_seed(3)
    shared = make(encoders, codes=0)
    torch.manual_seed(3)
    separate = make(encoders, codes=0, heads="separate")
    losses = []
    for method in (shared, separate):
        method.look([batch])
        method.head.load_state_dict(shared.head.state_dict())
        method.begin("anchor", 1)
        losses.append(method.losses(batch))
    assert losses[0]["anchor"].item() == pytest.approx(losses[1]["anchor"].item(), rel=1e-5)
    losses[1]["anchor"].backward()
    assert separate.image_head.weight.grad.abs().max() > 0
    separate.begin("align", 1)
    assert not separate.image_head.weight.requires_grad
