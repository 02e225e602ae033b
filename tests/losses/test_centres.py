"""Heat maps of centres against boxes, loops and the published loss, worked by hand."""

import math

import numpy as np
import pytest
import torch

from lidar2d.losses.centres import focal, gaussian_radius, heat


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.7])
def test_a_box_shifted_by_the_radius_overlaps_as_asked(overlap):
    length, width = torch.tensor([4.0, 10, 25]), torch.tensor([2.0, 9, 3])
    radius = gaussian_radius(length, width, overlap)
    shared = (length - radius) * (width - radius)
    torch.testing.assert_close(shared / (2 * length * width - shared), torch.full((3,), overlap))
    assert (radius < width).all()


def test_heat_is_the_highest_gaussian():
    found = heat(torch.tensor([3, 5]), torch.tensor([4, 4]), torch.tensor([2.0, 1.0]), (8, 9))
    for row, column in np.ndindex(8, 9):
        expected = 0.0
        for y, x, radius in ((3, 4, 2), (5, 4, 1)):
            if abs(row - y) <= radius and abs(column - x) <= radius:
                sigma = (2 * radius + 1) / 6
                expected = max(expected, math.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2)))
        assert found[row, column].item() == pytest.approx(expected, abs=1e-6)
    assert heat(*torch.zeros(3, 0), (4, 5)).tolist() == torch.zeros(4, 5).tolist()


def test_focal_by_hand():
    logits = torch.tensor([0.0, 0.0, math.log(3)], dtype=torch.float64)  # odds 1/2, 1/2, 3/4
    target = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    expected = -(0.25 * math.log(0.5) + 0.5**4 * 0.25 * math.log(0.5) + 0.5625 * math.log(0.25))
    assert focal(logits, target).item() == pytest.approx(expected)
    assert focal(torch.cat([logits, logits]), torch.cat([target, target])).item() == pytest.approx(expected)
    assert focal(torch.full((4,), -20.0), torch.zeros(4)).item() == pytest.approx(0, abs=1e-6)


def test_an_object_that_is_lost_still_pulls():
    logits = torch.tensor([-40.0], requires_grad=True)
    focal(logits, torch.ones(1)).backward()
    assert logits.grad.item() == pytest.approx(-1)


def test_gradient():
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(3, 4, dtype=torch.float64)
    target[1, 2] = 1
    assert torch.autograd.gradcheck(lambda x: focal(x, target), logits)
