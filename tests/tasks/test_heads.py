"""Heads: each rate as if alone, kept features as computed ones, good features told from constant ones."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lidar2d.data.card import load_card
from lidar2d.errors import DataError, SettingError, UsageError
from lidar2d.frame import Frame, collate
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.depth import Depth, DepthHead
from lidar2d.tasks.heads import Training, measure, show, train_heads
from lidar2d.tasks.kept import Kept, digest
from lidar2d.tasks.segmentation import PixelSegmentation, PointSegmentation, VoxelGrid

CARD = load_card("synthetic")
CLASSES = len(CARD.classes)


class Frames:
    """Frames whose points' and pixels' classes, and whose depth, are told by what encoders read."""

    card = CARD

    def __init__(self, count=6, size=200, flat=False, **lacking):
        self.tokens, self.conditions = [f"f{k}" for k in range(count)], ["day"] * count
        self.size, self.flat, self.lacking, self.read = size, flat, lacking, 0

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        self.read += 1
        rng = torch.Generator().manual_seed(index)
        labels = torch.randint(-1, CLASSES, (self.size,), generator=rng)
        cells = torch.randint(0, CLASSES, (2, 6, 8), generator=rng)
        if self.flat:  # one class an image, so that no border is blurred
            cells = cells[:, :1, :1].expand(2, 6, 8)
        pixels = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
        points = torch.zeros(self.size, 4)
        points[:, 0] = labels.clamp_min(0)
        given = {
            "points": points,
            "images": (pixels[:, None] / CLASSES).expand(2, 3, 24, 32).contiguous(),
            "intrinsics": torch.eye(3).double().expand(2, 3, 3),
            "cam_from_lidar": torch.eye(4).double().expand(2, 4, 4),
            "labels": labels,
            "pixel_labels": pixels,
            "depth": 2.0 + 2.0 * pixels,
            "token": self.tokens[index],
            "condition": "day",
        }
        return Frame(**{**given, **self.lacking})

    def check(self):
        yield from ((token, []) for token in self.tokens)


class OneHot(PointEncoder):
    """Features that tell the class; times zero they tell nothing."""

    channels = CLASSES

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, batch, rows=None):
        features = torch.eye(CLASSES)[batch.points[:, 0].long()] * self.factor
        return features if rows is None else features[rows]


class OneHotCells(ImageEncoder):
    """The same of images, a cell four pixels wide."""

    channels, stride = CLASSES, 4

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        cells = (images[:, 0, 2::4, 2::4] * CLASSES).round().long()
        return torch.eye(CLASSES)[cells].permute(0, 3, 1, 2) * self.factor


def frames(task, encoder, source=None, folder=None):
    source = Frames() if source is None else source
    return Kept(task, encoder, source, range(len(source)), folder)


TRAINING = Training(epochs=30, rates=(0.1,), batch_size=2, optimizer="adamw")


def trained(task, encoder, training=TRAINING, **kwargs):
    samples = frames(task, encoder, **kwargs)
    shown = show(samples, training.batch_size, seed=0)
    return train_heads(task, encoder.channels, shown, training, seed=0, advance=lambda: None), samples


@pytest.mark.parametrize(
    ("task", "encoder"),
    [(PointSegmentation(CARD, lovasz=1.0), OneHot), (PixelSegmentation(CARD), OneHotCells)],
)
def test_features_that_tell_the_class_score_high_and_constant_ones_at_chance(task, encoder):
    heads, samples = trained(task, encoder())
    good = measure(task, heads, samples)[0.1]
    assert good["miou"] > 95
    assert good["accuracy"] > 95
    assert {f"iou/{name}" for name in CARD.classes} <= set(good)
    heads, samples = trained(task, encoder(0.0))
    assert measure(task, heads, samples)[0.1]["miou"] < 100 / CLASSES


def test_features_that_tell_depth_score_high_and_constant_ones_do_not():
    task = Depth(CARD, high=40.0, gradient=0.5, bins=64)
    training, source = Training(epochs=60, rates=(0.1,), batch_size=2), Frames(count=20, flat=True)
    heads, samples = trained(task, OneHotCells(), training, source=source)
    good = measure(task, heads, samples)[0.1]
    assert good["abs_rel"] < 0.1
    heads, samples = trained(task, OneHotCells(0.0), source=source)
    assert measure(task, heads, samples)[0.1]["abs_rel"] > 0.4


def test_several_rates_train_as_each_alone():
    task = PointSegmentation(CARD)
    together, _ = trained(task, OneHot(), Training(epochs=3, rates=(0.1, 0.01, 1.0), clip=1.0, weight_decay=0.1))
    for lr in together:
        alone, _ = trained(task, OneHot(), Training(epochs=3, rates=(lr,), clip=1.0, weight_decay=0.1))
        for one, other in zip(together[lr].parameters(), alone[lr].parameters(), strict=True):
            assert torch.equal(one, other)


def test_kept_features_train_as_computed_ones_and_are_computed_once(tmp_path):
    for task, encoder in ((PointSegmentation(CARD), OneHot()), (PixelSegmentation(CARD), OneHotCells())):
        source = Frames()
        folder = tmp_path / type(task).__name__
        kept, samples = trained(task, encoder, source=source, folder=folder)
        assert source.read == len(source)
        computed, others = trained(task, encoder)
        for one, other in zip(kept[0.1].parameters(), computed[0.1].parameters(), strict=True):
            assert torch.equal(one, other)
        assert measure(task, kept, samples)[0.1] == measure(task, computed, others)[0.1]


def test_files_that_are_damaged_are_made_again_and_a_full_disk_is_told(tmp_path, monkeypatch):
    task, encoder = PointSegmentation(CARD), OneHot()
    samples = frames(task, encoder, folder=tmp_path)
    first = samples[0]().features
    for harm in (b"", b"junk", (tmp_path / "000000.pt").read_bytes()[:-20]):
        (tmp_path / "000000.pt").write_bytes(harm)
        assert torch.equal(samples[0]().features, first)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match=r"cannot keep features in .*: No space left on device"):
        samples[1]()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.pt"]


def test_a_training_has_so_many_steps_or_so_many_epochs():
    shown = show(frames(PointSegmentation(CARD), OneHot()), 4, seed=0)
    assert shown.steps == 2  # of six frames; the last batch has two
    steps = []
    for training in (Training((0.1,), epochs=3, batch_size=4), Training((0.1,), steps=5, batch_size=4)):
        count = iter(range(100))
        train_heads(PointSegmentation(CARD), CLASSES, shown, training, 0, lambda count=count: next(count))
        steps.append(next(count))
    assert steps == [6, 5]
    with pytest.raises(UsageError, match="heads train for steps or for epochs; steps 5 and epochs 3 is given"):
        Training((0.1,), epochs=3, steps=5)


@pytest.mark.parametrize(("total", "warmup"), [(40, 0.3), (40, 12), (7, 0.3), (100, 2)])
def test_one_cycle_is_that_of_pytorch(total, warmup):
    share = warmup if warmup < 1 else warmup / total
    own = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        own, 0.3, total, pct_start=round(share * total) / total, cycle_momentum=False
    )
    training = Training((0.3,), steps=total, warmup=warmup, decay="one-cycle")
    for step in range(total):
        assert 0.3 * training.factor(step, 5) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        own.step()
        if step < total - 1:
            theirs.step()


def test_a_linear_decay_falls_evenly_after_the_warm_up():
    training = Training((1.0,), steps=12, warmup=2, decay="linear")
    found = [training.factor(step, 5) for step in range(13)]
    assert found == pytest.approx([0.5, 1.0, *(1 - k / 10 for k in range(11))])


def test_a_voxel_counts_once_in_the_loss_and_all_of_its_points_are_judged():
    task = PointSegmentation(CARD, lovasz=1.0, voxels=VoxelGrid(size=1.0, cylindrical=False))
    points = torch.tensor([[0.1, 0, 0, 0], [5, 5, 5, 0], [0.9, 0, 0, 0], [5.5, 5.5, 5.5, 0], [9, 0, 0, 0]])
    labels = torch.tensor([2, -1, 3, 4, 1])
    batch = collate([replace(Frames()[0], points=points, labels=labels)])
    truth = task.truth(batch)
    assert truth.tolist() == [[2, 2], [-1, -1], [3, -1], [4, -1], [1, 1]]
    logits = torch.randn(5, CLASSES)
    plain = PointSegmentation(CARD, lovasz=1.0)
    wanted = plain.loss(logits[[0, 4]], torch.tensor([[2, 2], [1, 1]]))
    torch.testing.assert_close(task.loss(logits, truth), wanted)
    assert task.answer(logits, truth)[1].tolist() == labels.tolist()


def test_points_stand_for_pixels_that_have_no_truth_of_their_own():
    frame = Frames()[0]
    looking_along_x = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    intrinsics = torch.tensor([[16.0, 0, 16], [0, 16, 12], [0, 0, 1]], dtype=torch.float64)
    points = torch.tensor([[10.0, 0, 0, 0], [4.0, 0, 0, 0], [8.0, 4.0, 0, 0], [-5.0, 0, 0, 0]])
    frame = replace(
        frame,
        points=points,
        labels=torch.tensor([1, 2, 3, 4]),
        pixel_labels=None,
        depth=None,
        intrinsics=intrinsics.expand(2, 3, 3),
        cam_from_lidar=looking_along_x.expand(2, 4, 4),
    )
    batch = collate([frame])
    labels, depth = PixelSegmentation(CARD).truth(batch), Depth(CARD).truth(batch)
    for view in range(2):
        assert {(*at, labels[view][tuple(at)].item()) for at in (labels[view] >= 0).nonzero().tolist()} == {
            (12, 16, 2),
            (12, 8, 3),
        }
        assert {(*at, depth[view][tuple(at)].item()) for at in (depth[view] > 0).nonzero().tolist()} == {
            (12, 16, 4.0),
            (12, 8, 8.0),
        }


def test_weights_tell_networks_apart():
    assert digest(OneHot()) == digest(OneHot())
    assert digest(OneHot()) != digest(OneHot(0.5))
    assert digest(nn.BatchNorm2d(3)) != digest(nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    ("task", "encoder", "lacking", "said"),
    [
        (PointSegmentation(CARD), OneHot(), {"labels": None}, "synthetic has no labels of points"),
        (PixelSegmentation(CARD), OneHotCells(), {"pixel_labels": None, "labels": None}, "labels neither of pixels"),
        (
            Depth(CARD),
            OneHotCells(),
            {"depth": None, "points": torch.zeros(0, 4), "labels": None},
            "synthetic has neither depth",
        ),
        (PointSegmentation(CARD), OneHot(math.nan), {}, "features of f0 are not finite"),
    ],
)
def test_what_cannot_be_judged_is_told(task, encoder, lacking, said):
    with pytest.raises(UsageError, match=said):
        frames(task, encoder, Frames(**lacking))[0]()


def test_settings_without_meaning_are_refused():
    with pytest.raises(SettingError, match="epochs"):
        Training(epochs=0, rates=(0.1,))
    for rates in ((), (0.1, 0.1)):
        with pytest.raises(UsageError, match="at least one learning rate, and each once"):
            Training(epochs=1, rates=rates)
    with pytest.raises(SettingError, match="high is 1"):
        Depth(CARD, low=2.0, high=1.0)
    with pytest.raises(UsageError, match="the loss of a head is"):
        trained(PointSegmentation(CARD), OneHot(1e30), Training(epochs=2, rates=(1e3,), optimizer="sgd"))


def test_bins_are_even_in_metres_or_in_the_logarithm():
    even = DepthHead(4, 1.0, 81.0, 5).centres
    assert even.tolist() == [1, 21, 41, 61, 81]
    logarithmic = DepthHead(4, 1.0, 81.0, 5, logarithmic=True).centres
    torch.testing.assert_close(logarithmic, torch.tensor([1.0, 3, 9, 27, 81]))


def test_frames_without_labels_of_a_class_do_not_break_the_loss():
    task = PointSegmentation(CARD, lovasz=2.0)
    labels = torch.full((200,), -1)
    sample = frames(task, OneHot(), Frames(labels=labels))[0]()
    loss = task.loss(task.head(CLASSES)(sample.features), sample.truth)
    assert loss.item() == pytest.approx(0, abs=1e3)
    loss.backward()
