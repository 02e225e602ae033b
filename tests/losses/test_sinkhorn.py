"""Soft clusters and their agreement, against loops in float64."""

import math

import pytest
import torch

from lidar2d.losses.selfdistill import Head, agreement, sinkhorn, spread


def slow_sinkhorn(scores, temperature, rounds):
    """Scale columns and rows of a list of lists in turn."""
    table = [[math.exp(s / temperature) for s in row] for row in scores]
    clusters = range(len(table[0]))
    for _ in range(rounds):
        for k in clusters:
            total = sum(row[k] for row in table)
            for row in table:
                row[k] /= total
        table = [[value / sum(row) for value in row] for row in table]
    return table


@pytest.mark.parametrize("rounds", [1, 3])
def test_sinkhorn_equals_its_slow_twin(rounds):
    scores = torch.rand(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    slow = torch.tensor(slow_sinkhorn(scores.tolist(), 0.07, rounds), dtype=torch.float64)
    torch.testing.assert_close(sinkhorn(scores, 0.07, rounds), slow, atol=1e-9, rtol=1e-9)


def test_sinkhorn_uses_every_cluster_and_stands_any_scale():
    scores = torch.zeros(64, 8)
    scores[:, 3] = 1.0  # all prefer one cluster
    scores += 0.01 * torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
    share = sinkhorn(scores, 0.07, 10)
    assert share.sum(1).allclose(torch.ones(64))
    assert share.sum(0).allclose(torch.full((8,), 8.0), rtol=0.05)
    assert torch.isfinite(sinkhorn(scores * 1e4, 1e-3)).all()
    assert sinkhorn(scores[:0], 0.07).shape == (0, 8)


def test_agreement_equals_its_slow_twin_and_has_right_gradients():
    g = torch.Generator().manual_seed(2)
    scores = torch.randn(4, 6, dtype=torch.float64, generator=g, requires_grad=True)
    targets = torch.rand(4, 6, dtype=torch.float64, generator=g).softmax(1)
    for row, own, found in zip(scores.tolist(), targets.tolist(), agreement(scores, targets, 0.1), strict=True):
        total = sum(math.exp(s / 0.1) for s in row)
        slow = -sum(t * math.log(math.exp(s / 0.1) / total) for s, t in zip(row, own, strict=True))
        assert found.item() == pytest.approx(slow, rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: agreement(x, targets, 0.5), (scores,))


def test_spread_equals_its_slow_twin():
    rows = torch.randn(7, 4, generator=torch.Generator().manual_seed(3))
    units = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows.double().tolist()]
    total = 0.0
    for i, a in enumerate(units):
        near = min(math.dist(a, b) for j, b in enumerate(units) if j != i)
        total -= math.log(near)
    assert spread(rows).item() == pytest.approx(total / 7, rel=1e-4)
    assert spread(rows[:1]).item() == 0
    same = torch.ones(3, 4, requires_grad=True)
    spread(same).backward()
    assert torch.isfinite(same.grad).all()


def test_a_head_gives_cosines():
    scores = Head(6, 8, 5, 12)(torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(4)))
    assert scores.shape == (3, 4, 12)
    assert scores.abs().max() <= 1 + 1e-6
