import math

import pytest
import torch

from lidar2d.losses.density import density, pair_odds


def slow_density(rings):
    values = [float(r) for r in rings]
    n = len(values)
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    h = 1.06 * spread * n ** (-1 / 5)
    return [sum(math.exp(-(((r - m) / h) ** 2) / 2) / (h * math.sqrt(2 * math.pi)) for m in values) / n for r in values]


def test_the_density_equals_its_slow_twin():
    rings = torch.randint(3, 400, (300,), generator=torch.Generator().manual_seed(0))
    assert density(rings).tolist() == pytest.approx(slow_density(rings), rel=1e-9)


def test_two_points_by_hand():
    # σ = √2, h = 1.06 √2 2^(-1/5) = 1.305; d = (1 + exp(-(2/h)²/2)) / (2 h √(2π))
    h = 1.06 * math.sqrt(2) * 2**-0.2
    expected = (1 + math.exp(-((2 / h) ** 2) / 2)) / (2 * h * math.sqrt(2 * math.pi))
    assert density(torch.tensor([4, 6])).tolist() == pytest.approx([expected, expected], rel=1e-9)


def test_odds_weigh_against_dense_rings_and_common_labels():
    rings, labels = torch.tensor([5, 5, 5, 60]), torch.tensor([0, 0, 1, 1])
    odds = pair_odds(rings, labels)
    d = slow_density(rings)
    assert odds.tolist() == pytest.approx([1 / (d[0] * 2), 1 / (d[1] * 2), 1 / (d[2] * 2), 1 / (d[3] * 2)], rel=1e-9)
    assert odds[3] > odds[0]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_points_and_equal_points_have_finite_odds(count):
    odds = pair_odds(torch.full((count,), 7), torch.zeros(count, dtype=torch.int64))
    assert odds.shape == (count,)
    assert odds.isfinite().all()
    assert (odds > 0).all()
