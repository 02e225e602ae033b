"""Every protocol of segmentation and depth that is shipped, shortened, on a few small frames."""

from dataclasses import replace

import pytest
import torch

from lidar2d import recipe
from lidar2d.bench.evaluate import load_protocol
from lidar2d.bench.probe import Probe
from lidar2d.bench.protocol import Session, Splits
from lidar2d.data.card import load_card
from lidar2d.frame import Frame
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, whole_cells

CARD = load_card("synthetic")
PROBES = [name for name in recipe.names("protocols") if name.startswith(("seg", "depth"))]


ROOMS = ("depth-lin/dinov2-nyu@1", "depth-lin/dinov3@1")  # Eigen's crop is of 480x640 pixels


class Frames:
    """Noise with labels, of so many pixels."""

    card = CARD

    def __init__(self, height, width):
        self.size, self.image_size = (height, width), (height, width)
        self.tokens, self.conditions = ["a", "b"], ["day", "fog"]

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rng = torch.Generator().manual_seed(index)
        classes = len(CARD.classes)
        return Frame(
            points=5 * torch.randn(300, 4, generator=rng).abs(),
            images=torch.rand(1, 3, *self.size, generator=rng),
            intrinsics=torch.tensor([[20.0, 0, 20], [0, 20, 20], [0, 0, 1]]).double()[None],
            cam_from_lidar=torch.eye(4).double()[None],
            labels=torch.randint(classes, (300,), generator=rng),
            pixel_labels=torch.randint(classes, (1, *self.size), generator=rng),
            depth=1 + 8 * torch.rand(1, *self.size, generator=rng),
            token=self.tokens[index],
            condition=self.conditions[index],
        )

    def check(self):
        yield from ((token, []) for token in self.tokens)


class Mixed(PointEncoder):
    """Points through one linear layer."""

    channels = 8

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 8)

    def forward(self, batch):
        return self.layer(batch.points)


class Patches(ImageEncoder):
    """Patches of 16 pixels through one linear layer."""

    channels, stride = 8, 16

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8, 16, 16)

    def forward(self, images):
        return self.layer(whole_cells(images, 16))


@pytest.mark.parametrize("name", PROBES)
def test_it_trains_and_judges(name):
    torch.manual_seed(0)
    probe = load_protocol(name)
    assert isinstance(probe, Probe)
    probe.training = replace(probe.training, epochs=None, steps=2, batch_size=2, warmup=0.0)
    reads = probe.reads(CARD)
    net = Mixed() if reads == "points" else Patches()
    source = Frames(480, 640) if name in ROOMS else Frames(48, 80)
    task = probe.task(CARD)
    verdicts = probe.judge(net.eval(), Splits(source, source, source), Session(0, lambda *_: lambda: None))
    assert [verdict.condition for verdict in verdicts] == ["day", "fog", "all"]
    assert all(task.headline[0] in verdict.metrics for verdict in verdicts)


def test_the_issue_of_two_recipes_under_one_name_is_two_names():
    slidr, superflow = (load_protocol(f"seg3d-ft/{name}@1") for name in ("slidr", "superflow"))
    assert isinstance(slidr, Probe)
    assert isinstance(superflow, Probe)
    assert (slidr.training.optimizer, superflow.training.optimizer) == ("sgd", "adamw")
    assert [probe.tune * probe.training.rates[0] for probe in (slidr, superflow)] == pytest.approx([0.02, 0.001])
