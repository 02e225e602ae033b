import math

import pytest
import torch

from lidar2d.losses.depth import DepthBins, depth_loss


def test_hvdistills_bins_by_hand():
    bins = DepthBins()
    assert bins.count == 118
    depth = torch.tensor([0.0, 0.99, 1.0, 1.49, 1.5, 59.49, 59.99, 60.0, 80.0])
    assert bins.of(depth).tolist() == [-1, -1, 0, 0, 1, 116, 117, -1, -1]
    assert bins.starts(depth)[[0, 1, 117]].tolist() == [1.0, 1.5, 59.5]


def test_the_loss_equals_its_slow_twin():
    odds = torch.rand(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(1)
    truth = [0, 6, 3, 3, 1]
    total = 0.0
    for row, b in zip(odds.tolist(), truth, strict=True):
        total -= sum(math.log(p) if d == b else math.log(1 - p) for d, p in enumerate(row))
    assert depth_loss(odds, torch.tensor(truth)).item() == pytest.approx(total / 35, rel=1e-6)


def test_no_row_costs_nothing():
    assert depth_loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).item() == 0
