"""Probes: frozen or tuned, shown augmented, through a window, with mirror images."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from lidar2d.bench.probe import Probe, Window
from lidar2d.bench.protocol import Session, Splits
from lidar2d.data.augment import Augment
from lidar2d.data.card import load_card
from lidar2d.errors import SettingError, UsageError
from lidar2d.frame import Boxes, Frame
from lidar2d.metrics.resampled import DRAWS
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.detection import Detection
from lidar2d.tasks.heads import Training
from lidar2d.tasks.segmentation import PixelSegmentation, PointSegmentation

CARD = load_card("synthetic")
CLASSES = len(CARD.classes)


class Frames:
    """Frames in which intensity tells the class of a point, and red that of a pixel."""

    card = CARD

    def __init__(self, count=4):
        self.tokens, self.conditions = [f"f{k}" for k in range(count)], ["day", "fog"] * (count // 2)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index)
        labels = torch.arange(150) % CLASSES
        cells = torch.randint(0, CLASSES, (2, 6, 8), generator=rng)
        pixels = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
        place = 10 * torch.randn(150, 3, generator=rng)
        return Frame(
            points=torch.cat([place, labels[:, None] / CLASSES], 1),
            images=(pixels[:, None] / CLASSES).expand(2, 3, 24, 32).contiguous(),
            intrinsics=torch.eye(3).double().expand(2, 3, 3),
            cam_from_lidar=torch.eye(4).double().expand(2, 4, 4),
            labels=labels,
            pixel_labels=pixels,
            depth=2.0 + 2.0 * pixels,
            token=self.tokens[index],
            condition=self.conditions[index],
        )

    def check(self):
        yield from ((token, []) for token in self.tokens)


class Classes(PointEncoder):
    """One-hot classes, hidden behind a factor that begins at zero; remembers the points that it saw."""

    channels = CLASSES

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, batch):
        self.seen.append(batch.points[:, :3])
        return torch.eye(CLASSES)[(batch.points[:, 3] * CLASSES).round().long()] * self.factor


class FrozenCells(ImageEncoder):
    """The same of cells; it lets no gradient through as long as it is frozen."""

    channels, stride, frozen = CLASSES, 4, True

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))
        self.requires_grad_(False)
        self.sizes = set()

    def forward(self, images):
        self.sizes.add(tuple(images.shape[-2:]))
        cells = (images[:, 0, 2::4, 2::4] * CLASSES).round().long()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return torch.eye(CLASSES)[cells].permute(0, 3, 1, 2) * self.factor


class Columns(ImageEncoder):
    """How far right a cell lies, and nothing else."""

    channels, stride = 1, 4

    def forward(self, images):
        columns = torch.linspace(0, 1, images.shape[-1] // 4).expand(len(images), 1, images.shape[-2] // 4, -1)
        return columns.contiguous()


def verdicts(probe, encoder, seed=0, look=None):
    session = Session(seed, lambda *_: lambda: None, look=look)
    return probe.judge(encoder, Splits(Frames(), Frames(2), Frames()), session)


TRAINING = Training((0.1,), epochs=40, batch_size=2)


@pytest.mark.parametrize(("task", "encoder"), [(PointSegmentation, Classes), (PixelSegmentation, FrozenCells)])
def test_a_tuned_encoder_learns_with_its_head_and_the_one_given_stays_as_it_was(task, encoder):
    net = encoder()
    frozen = verdicts(Probe(task, TRAINING), net)[-1].metrics["miou"]
    tuned = verdicts(Probe(task, TRAINING, tune=1.0), net)[-1].metrics["miou"]
    assert frozen < 100 / CLASSES < 95 < tuned
    assert net.factor == 0
    assert net.frozen if task is PixelSegmentation else net.factor.requires_grad
    with pytest.raises(SettingError, match="an encoder that is tuned trains with one rate"):
        Probe(task, Training((0.1, 0.01), epochs=1), tune=1.0)


def test_verdicts_carry_scores_of_resampled_scenes():
    found = {each.condition: each for each in verdicts(Probe(PointSegmentation, TRAINING, tune=1.0), Classes())}
    assert {name: len(each.draws) for name, each in found.items()} == {"day": DRAWS, "fog": DRAWS, "all": 0}
    for name in ("day", "fog"):
        assert min(found[name].draws) <= found[name].metrics["miou"] / 100 + 1e-9 <= max(found[name].draws) + 2e-9


def test_augmented_frames_are_shown_another_way_each_time_and_the_same_by_the_seed():
    probe = Probe(PointSegmentation, Training((0.1,), epochs=3, batch_size=4), augment=Augment(rotate=180))
    seen = []
    for seed in (0, 0, 1):
        net = Classes()
        verdicts(probe, net, seed)
        shown, judged = net.seen[:3], net.seen[3:]
        assert [len(points) for points in shown] == [600] * 3
        assert all(torch.equal(points, Frames()[row].points[:, :3]) for row, points in enumerate(judged))
        heights = [points[:, 2].sort().values for points in shown]
        assert torch.equal(heights[0], heights[1])  # the same frames
        assert not torch.allclose(shown[0][:, :2].sort(0).values, shown[1][:, :2].sort(0).values, atol=0.1)
        seen.append(torch.cat(shown))
    assert torch.equal(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2], atol=0.1)


def test_frames_that_are_encoded_once_are_moved_with_the_features_they_have():
    net, plain = Classes(), Classes()
    augment = Augment(rotate=180, scale=(0.9, 1.1), flip_points="each")
    net.factor.data.fill_(1.0)
    plain.factor.data.fill_(1.0)
    task, training = Turned, Training((0.1,), epochs=3, batch_size=4)
    once = verdicts(Probe(task, training, augment=augment, once=True), net)
    assert once == verdicts(Probe(task, training, augment=augment), plain)  # for this encoder sees intensities alone
    shown, judged = net.seen[:4], net.seen[4:]
    assert len(judged) == len(Frames())
    places = [Frames()[row].points[:, :3] for row in range(4)]
    assert sorted(points.tolist() for points in shown) == sorted(points.tolist() for points in places)


def test_frames_that_are_moved_are_read_once_and_their_boxes_keep_their_points():
    class Boxed(Frames):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            frame = super().__getitem__(index)
            box = torch.tensor([[0.0, 0, 0, 20, 10, 15, 0.5], [90.0, 0, 0, 4, 2, 2, 0]], dtype=torch.float64)
            return replace(frame, boxes=Boxes(box, torch.tensor([0, 0])))

    def truths(once):
        source, found = Boxed(), []
        probe = Probe(
            partial(Recorded, learnt=found), Training((0.1,), epochs=3), augment=Augment(rotate=180), once=once
        )
        probe.judge(Classes(), Splits(source, None, Boxed(2)), Session(0, lambda *_: lambda: None))
        return source.read, torch.cat(found)

    class Recorded(Detection):
        def __init__(self, card, learnt):
            super().__init__(card, {card.box_classes[0]: 0.5})
            self.learnt = learnt

        def loss(self, output, truth):
            self.learnt.append(truth)
            return super().loss(output, truth)

    (few, once), (many, plain) = truths(True), truths(False)
    assert (few, many) == (1 + 4, 1 + 3 * 4)
    assert torch.equal(once, plain)
    assert once[..., 8].max() == 1


class Turned(PointSegmentation):
    """Features beside places, so that heads learn where points were moved to."""

    def features(self, encoder, batch):
        return super().features(encoder, batch) + batch.points[:, :1] / 100


class Mapped(Classes):
    """A network that maps the ground."""

    def from_above(self, batch, xy):
        return torch.zeros(len(batch), xy.shape[-2], CLASSES)


def test_what_cannot_be_moved_after_it_is_encoded_is_refused():
    turn = Augment(rotate=180)
    for given in (
        {},
        {"augment": Augment()},
        {"augment": Augment(rotate=180, thin=0.1)},
        {"augment": Augment(rotate=180, photometric=1.0)},
        {"augment": turn, "tune": 0.1},
    ):
        with pytest.raises(SettingError, match="once is True; it needs"):
            Probe(PointSegmentation, TRAINING, once=True, **given)
    with pytest.raises(SettingError, match="once is True; it is of points"):
        verdicts(Probe(PixelSegmentation, TRAINING, augment=turn, once=True), FrozenCells())
    with pytest.raises(UsageError, match="Mapped maps the ground"):
        verdicts(Probe(PointSegmentation, TRAINING, augment=turn, once=True), Mapped())


def test_an_image_and_its_mirror_image_are_heard_alike():
    found = {}
    for mirror in (False, True):
        answers = found.setdefault(mirror, [])
        probe = Probe(lambda card: Depth(card, high=40.0, bins=8), TRAINING, mirror=mirror)
        verdicts(probe, Columns(), look=lambda *given, answers=answers: answers.append(given[2]))
    for plain, both in zip(found[False], found[True], strict=True):
        assert not torch.allclose(plain, plain.flip(-1), atol=1e-3)
        torch.testing.assert_close(both, (plain + plain.flip(-1)) / 2)


def test_a_window_slides_over_images_that_are_larger():
    net = FrozenCells()
    net.factor.fill_(1.0)
    seen_whole = verdicts(Probe(PixelSegmentation, TRAINING), net)
    assert net.sizes == {(24, 32)}
    net.sizes.clear()
    assert verdicts(Probe(PixelSegmentation, TRAINING, window=Window(16, 8)), net) == seen_whole
    assert net.sizes == {(16, 16)}
