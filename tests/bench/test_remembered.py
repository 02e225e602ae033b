"""Protocols that judge the same frames in one session share features, and say what they say alone."""

import pytest
import torch
from torch import nn

from lidar2d.bench.normals import Normals
from lidar2d.bench.probe import Probe, Window
from lidar2d.bench.protocol import Session, Splits
from lidar2d.bench.remembered import Memory
from lidar2d.data.card import load_card
from lidar2d.frame import Frame, collate
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.heads import Training
from lidar2d.tasks.segmentation import PixelSegmentation, PointSegmentation

CARD = load_card("synthetic")
CLASSES = len(CARD.classes)
TRAINING = Training((0.1,), epochs=3, batch_size=2)


class Frames:
    """A wall five metres ahead, whose colours and classes are of chance."""

    card = CARD

    def __init__(self, count=4, first=0):
        self.first = first
        self.tokens, self.conditions = [f"f{k}" for k in range(count)], ["day", "fog"] * (count // 2)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(self.first + index)
        y, z = torch.meshgrid(torch.linspace(-2, 2, 20), torch.linspace(-1, 1, 10), indexing="ij")
        points = torch.stack([torch.full_like(y, 5.0), y, z, torch.rand(y.shape, generator=rng)], -1).flatten(0, 1)
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = torch.tensor([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
        return Frame(
            points=points,
            images=torch.rand(1, 3, 24, 32, generator=rng),
            intrinsics=torch.tensor([[[30.0, 0, 16], [0, 30, 12], [0, 0, 1]]], dtype=torch.float64),
            cam_from_lidar=pose[None],
            labels=torch.randint(0, CLASSES, (len(points),), generator=rng),
            pixel_labels=torch.randint(0, CLASSES, (1, 24, 32), generator=rng),
            depth=2.0 + 20 * torch.rand(1, 24, 32, generator=rng),
            token=self.tokens[index],
            condition=self.conditions[index],
        )


SPLITS = Splits(Frames(), None, Frames(6, first=4))


class Counted(ImageEncoder):
    """A convolution that counts the images it was shown."""

    channels, stride = CLASSES, 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, CLASSES, 4, stride=4)
        self.seen = 0

    def forward(self, images):
        self.seen += 1
        return self.conv(images)


class CountedPoints(PointEncoder):
    channels = CLASSES

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, CLASSES)
        self.seen = 0

    def forward(self, batch, rows=None):
        self.seen += 1
        found = self.linear(batch.points)
        return found if rows is None else found[rows]


def judged(protocols, encoder, memory, splits=SPLITS):
    session = Session(0, lambda *_: lambda: None, memory=memory)
    return [protocol.judge(encoder, splits, session) for protocol in protocols]


@pytest.mark.parametrize(
    ("encoder", "protocols"),
    [
        (Counted, [Probe(PixelSegmentation, TRAINING), Probe(Depth, TRAINING, window=Window(16, 8))]),
        (Counted, [Probe(PixelSegmentation, TRAINING), Probe(Depth, TRAINING, mirror=True)]),
        (CountedPoints, [Probe(PointSegmentation, TRAINING)] * 2),
        (Counted, [Probe(PixelSegmentation, TRAINING, tune=0.1), Probe(PixelSegmentation, TRAINING)]),
    ],
    ids=["window", "mirror", "points", "tuned"],
)
@pytest.mark.parametrize("most", [0, 20_000, None], ids=["no room", "some room", "room"])
def test_a_memory_changes_no_number(encoder, protocols, most):
    memory = None if most is None else Memory(most)
    assert judged(protocols, encoder(), Memory()) == judged(protocols, encoder(), memory)


def test_protocols_of_one_session_encode_a_judged_frame_once():
    alone, together = Counted(), Counted()
    protocols = [Probe(PixelSegmentation, TRAINING), Probe(Depth, TRAINING)]
    judged(protocols, alone, None)
    judged(protocols, together, Memory())
    assert alone.seen - together.seen == len(SPLITS.test)


def test_neighbours_share_with_probes():
    encoder, memory = Counted(), Memory()
    protocols = [Probe(PixelSegmentation, TRAINING), Normals(neighbours=1)]
    found = judged(protocols, encoder, memory)
    both = encoder.seen
    assert judged(protocols, encoder, None) == found
    assert encoder.seen - both == both + len(SPLITS.test)


def test_other_weights_other_images_and_rows_are_other_features():
    encoder, memory = CountedPoints(), Memory()
    batch, other = (collate([Frames()[row]]) for row in (0, 1))
    first = memory.of(encoder)(batch)
    assert torch.equal(memory.of(encoder)(batch), first)
    assert encoder.seen == 1
    assert not torch.equal(memory.of(encoder)(other), first)
    rows = torch.tensor([2, 5])
    assert torch.equal(memory.of(encoder)(batch, rows), first[rows])
    with torch.no_grad():
        encoder.linear.weight += 1
    assert not torch.equal(memory.of(encoder)(batch), first)


def test_a_memory_stays_within_its_room():
    encoder = CountedPoints()
    batch = collate([Frames()[0]])
    memory = Memory(len(batch.points) * CLASSES * 4 - 1)
    both = [memory.of(encoder)(batch) for _ in range(2)]
    assert torch.equal(*both)
    assert encoder.seen == 2
