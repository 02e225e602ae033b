"""What papers on depth do differently without saying so: the optical axis, the farthest depth, spacing of bins."""

import math

import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.frame import Frame, collate
from lidar2d.tasks.depth import Depth

CARD = load_card("synthetic")
FOCAL, SIDE, WALL = 16.0, 32, 10.0  # pixels, pixels, metres


def wall() -> Frame:
    """Return a frame whose LiDAR points lie on a wall across the optical axis, one for each pixel."""
    places = (torch.arange(SIDE) + 0.5 - SIDE / 2) * WALL / FOCAL
    left, up = torch.meshgrid(-places, -places, indexing="xy")
    points = torch.stack([torch.full((SIDE, SIDE), WALL), left, up, torch.zeros(SIDE, SIDE)], 2).flatten(0, 1)
    intrinsics = torch.tensor([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]]).double()
    cam_from_lidar = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]).double()
    images = torch.zeros(1, 3, SIDE, SIDE)
    return Frame(points, images, intrinsics[None], cam_from_lidar[None], token="wall", condition="day")


def test_depth_is_along_the_optical_axis_and_not_the_range():
    task = Depth(CARD)
    truth = task.truth(collate([wall()]))
    torch.testing.assert_close(truth, torch.full((1, SIDE, SIDE), WALL))
    column = (torch.arange(SIDE) + 0.5 - SIDE / 2) / FOCAL
    ranges = WALL * (1 + column[:, None].square() + column.square()).sqrt()
    found = {}
    for name, answer in {"axis": torch.full((1, SIDE, SIDE), WALL), "range": ranges[None]}.items():
        metric = task.metric()
        metric.update(*task.answer(answer, truth))
        found[name] = metric.compute()["abs_rel"]
    assert found["axis"] == pytest.approx(0, abs=1e-6)
    assert found["range"] > 0.2


@pytest.mark.parametrize(("high", "abs_rel"), [(10.0, 0.1), (80.0, (0.1 + 50 / 60) / 2)])
def test_the_farthest_depth_is_the_protocols(high, abs_rel):
    """Indoors pixels beyond 10 m do not count and no answer goes beyond; on roads that is so at 80 m."""
    task = Depth(CARD, low=0.001, high=high, bins=8)
    head = task.head(4)
    assert (head.centres[0], head.centres[-1]) == pytest.approx((0.001, high))
    with torch.no_grad():
        assert head(torch.randn(1, 4, 3, 3)).max() <= high
    truth = torch.tensor([[[5.0, 60.0, 90.0, 0.0]]])
    metric = task.metric()
    metric.update(torch.tensor([[[5.5, 10.0, 10.0, 10.0]]]), truth)
    assert metric.compute()["abs_rel"] == pytest.approx(abs_rel)
    metric = task.metric()
    metric.update(torch.full((1, 1, 1), 1000.0), torch.full((1, 1, 1), 0.8 * high))
    assert metric.compute()["abs_rel"] == pytest.approx(0.25)  # a guess beyond the range is taken for its end


@pytest.mark.parametrize(("low", "high"), [(0.001, 10.0), (0.001, 80.0), (1.0, 80.0)])
def test_logarithmic_bins_end_at_depths_and_not_at_their_powers_of_ten(low, high):
    bins = 64
    centres = Depth(CARD, low=low, high=high, bins=bins, logarithmic=True).head(4).centres.double()
    assert (centres[0].item(), centres[-1].item()) == pytest.approx((low, high))
    # exp(linspace(log a, log b)); logspace(a, b), as released code has it, takes depths for exponents
    expected = torch.linspace(math.log(low), math.log(high), bins, dtype=torch.float64).exp()
    torch.testing.assert_close(centres, expected, rtol=1e-6, atol=0)
