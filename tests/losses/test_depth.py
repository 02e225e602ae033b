import math

import pytest
import torch

from lidar2d.losses.depth import depth_loss


def test_the_loss_equals_its_slow_twin():
    odds = torch.rand(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(1)
    truth = [0, 6, 3, 3, 1]
    total = 0.0
    for row, b in zip(odds.tolist(), truth, strict=True):
        total -= sum(math.log(p) if d == b else math.log(1 - p) for d, p in enumerate(row))
    assert depth_loss(odds, torch.tensor(truth)).item() == pytest.approx(total / 35, rel=1e-6)


def test_no_row_costs_nothing():
    assert depth_loss(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).item() == 0
