"""Heads on features that tell nothing score what the best constant answer scores, and no more."""

from functools import partial

import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.frame import Boxes, Frame, collate
from lidar2d.metrics.depth import DepthErrors
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.detection import Detection
from lidar2d.tasks.heads import Training, measure, show, train_heads
from lidar2d.tasks.segmentation import PixelSegmentation, PointSegmentation

CARD = load_card("synthetic")
COMMONEST, SHARES = 5, torch.tensor([0.1, 0.0, 0.3, 0.05, 0.0, 0.55])  # of the first classes; the others are absent


class ConstantPoints(PointEncoder):
    channels = 4

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, batch, rows=None):  # noqa: ARG002
        return torch.full((len(batch.points), 4), self.value)


class ConstantImages(ImageEncoder):
    channels, stride = 4, 4

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        return torch.full((len(images), 4, images.shape[2] // 4, images.shape[3] // 4), self.value)


def frame(seed):
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.multinomial(SHARES, 2 * 8 * 12, True, generator=rng).view(2, 8, 12)
    places = 10.0 * torch.randint(-1, 2, (3, 2), generator=rng) + 3 * torch.rand(3, 2, generator=rng)
    sides = torch.tensor([[0.0, 4.2, 1.8, 1.6]]).expand(3, 4)
    boxes = torch.cat([places, sides, 6 * torch.rand(3, 1, generator=rng)], 1).double()
    points = torch.cat([40 * torch.rand(400, 2, generator=rng) - 20, torch.zeros(400, 2)], 1)
    return Frame(
        points=points,
        images=torch.rand(2, 3, 8, 12, generator=rng),
        intrinsics=torch.eye(3).double().expand(2, 3, 3),
        cam_from_lidar=torch.eye(4).double().expand(2, 4, 4),
        labels=torch.multinomial(SHARES, 400, True, generator=rng),
        pixel_labels=pixels,
        depth=(2.3 + torch.randn(2, 8, 12, generator=rng)).exp().clamp(1.1, 60),
        boxes=Boxes(boxes, torch.full((3,), CARD.box_classes.index("car"))),
        token=f"f{seed}",
        condition="day",
    )


FRAMES = [frame(seed) for seed in range(4)]


def judged(task, encoder, training):
    samples = [partial(lambda sample: sample, task.sample(encoder, collate([one]))) for one in FRAMES]
    heads = train_heads(task, 4, show(samples, 2, seed=0), training, seed=0, advance=lambda: None)
    return measure(task, heads, samples)[training.rates[0]]


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
@pytest.mark.parametrize(
    ("task", "encoder", "labels"),
    [(PointSegmentation, ConstantPoints, "labels"), (PixelSegmentation, ConstantImages, "pixel_labels")],
)
def test_segmentation_says_the_commonest_class_of_everything(task, encoder, labels, value):
    found = judged(task(CARD), encoder(value), Training(epochs=40, rates=(0.1,)))
    truth = torch.cat([getattr(one, labels).flatten() for one in FRAMES])
    share = 100 * float((truth == COMMONEST).float().mean())
    assert found["accuracy"] == pytest.approx(share)
    assert found["miou"] == pytest.approx(share / 4)  # four classes occur, and three of them are never said


def test_no_loss_finds_more_than_the_commonest_class():
    found = judged(PointSegmentation(CARD, lovasz=2.0), ConstantPoints(1.0), Training(epochs=40, rates=(0.1,)))
    best = 100 * float(torch.cat([one.labels for one in FRAMES]).eq(COMMONEST).float().mean()) / 4
    assert 0 < found["miou"] <= best + 1e-4


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_depth_is_no_better_than_the_best_constant_depth(value):
    task = Depth(CARD, low=1.0, high=80.0, bins=32, logarithmic=True)
    found = judged(task, ConstantImages(value), Training(epochs=60, rates=(0.03,)))["abs_rel"]
    depth = torch.stack([one.depth for one in FRAMES])

    def constant(guess):
        metric = DepthErrors(1.0, 80.0)
        for maps in depth:
            metric.update(torch.full_like(maps, guess), maps)
        return metric.compute()["abs_rel"]

    assert found >= min(constant(guess) for guess in torch.linspace(0, 4.4, 100).exp().tolist())
    assert found == pytest.approx(constant(float(depth.log().mean().exp())), rel=0.05)  # the loss is of log-depth


def test_detection_finds_no_box():
    task = Detection(CARD, {"car": 0.5}, reach=20.0, cell=1.0, fewest=0)
    found = judged(task, ConstantPoints(0.0), Training(epochs=8, rates=(0.01,)))
    assert found["ap3d"] == found["apbev"] == 0
