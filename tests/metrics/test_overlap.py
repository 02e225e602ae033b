"""Overlaps of oriented boxes against polygons of shapely."""

import math

import numpy as np
import pytest
import torch
from shapely.affinity import rotate, translate
from shapely.geometry import box as rectangle

from lidar2d.metrics.overlap import overlaps, shared_area


def polygon(row):
    x, y, _, length, width, _, yaw = row.tolist()
    upright = rectangle(-length / 2, -width / 2, length / 2, width / 2)
    return translate(rotate(upright, yaw, origin=(0, 0), use_radians=True), x, y)


def drawn(count: int, rng: np.random.Generator, spread: float = 3.0) -> torch.Tensor:
    centre = rng.normal(0, spread, (count, 3)) * [1, 1, 0.3]
    size = np.exp(rng.uniform(np.log(0.05), np.log(12), (count, 3)))
    yaw = rng.choice([rng.uniform(-7, 7, count), rng.integers(-4, 5, count) * math.pi / 2])
    return torch.from_numpy(np.column_stack([centre, size, yaw]))


def test_ten_thousand_pairs_share_what_polygons_share():
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.5, 3.0, 100.0):
        one, other = drawn(2_500, rng, spread), drawn(2_500, rng, spread)
        expected = [polygon(a).intersection(polygon(b)).area for a, b in zip(one, other, strict=True)]
        np.testing.assert_allclose(shared_area(one, other), expected, atol=1e-9, rtol=1e-9)


def test_matrices_have_every_pair():
    rng = np.random.default_rng(1)
    one, other = drawn(60, rng), drawn(40, rng)
    above, space = overlaps(one, other)
    assert above.shape == space.shape == (60, 40)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            pa, pb = polygon(a), polygon(b)
            area = pa.intersection(pb).area
            assert above[i, j] == pytest.approx(area / pa.union(pb).area, abs=1e-6)
            height = max(0, min(a[2] + a[5] / 2, b[2] + b[5] / 2) - max(a[2] - a[5] / 2, b[2] - b[5] / 2))
            filled = pa.area * a[5] + pb.area * b[5] - area * height
            assert space[i, j] == pytest.approx(float(area * height / filled), abs=1e-6)


@pytest.mark.parametrize("yaw", [0.0, 0.3, math.pi / 2, 2.0, math.pi, -5.0])
def test_equal_boxes_overlap_wholly(yaw):
    one = torch.tensor([[4.0, -2, 1, 4.1, 1.7, 1.5, yaw]], dtype=torch.float64)
    for turn in (0, math.pi, -math.pi, 2 * math.pi):
        other = one.clone()
        other[:, 6] += turn
        for matrix in overlaps(one, other):
            assert matrix.item() == pytest.approx(1, abs=1e-12)


def test_by_hand():
    one = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0]], dtype=torch.float64)
    turned = torch.tensor([[0.0, 0, 1, 4, 2, 2, math.pi / 2]], dtype=torch.float64)
    beside = torch.tensor([[4.0, 0, 0, 4, 2, 2, 0]], dtype=torch.float64)
    inside = torch.tensor([[0.5, 0, 0, 1, 1, 2, 0.7]], dtype=torch.float64)
    above, space = overlaps(one, torch.cat([turned, beside, inside]))
    np.testing.assert_allclose(above[0], [4 / 12, 0, 1 / 8], atol=1e-12)
    np.testing.assert_allclose(space[0], [4 / 28, 0, 1 / 8], atol=1e-12)


def test_no_box_overlaps_nothing():
    above, space = overlaps(torch.zeros(0, 7), torch.ones(3, 7))
    assert above.shape == space.shape == (0, 3)
