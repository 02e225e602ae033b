import math

import pytest
import torch
from torch.nn.functional import normalize

from lidar2d.losses.contrast import info_nce, weak_contrast


def slow_info_nce(k, q, tau):
    total = 0.0
    for n in range(len(k)):
        scores = [math.exp(sum(a * b for a, b in zip(k[n], row, strict=True)) / tau) for row in q]
        total -= math.log(scores[n] / sum(scores))
    return total / len(k)


def test_info_nce_equals_its_slow_twin():
    g = torch.Generator().manual_seed(0)
    k = normalize(torch.randn(17, 5, generator=g, dtype=torch.float64), dim=1)
    q = normalize(torch.randn(17, 5, generator=g, dtype=torch.float64), dim=1)
    assert info_nce(k, q, 0.07).item() == pytest.approx(slow_info_nce(k.tolist(), q.tolist(), 0.07), rel=1e-12)


def test_info_nce_of_two_orthogonal_pairs_by_hand():
    # each anchor meets its positive at cos 1 and the other at cos 0: -log(e / (e + 1))
    eye = torch.eye(2, dtype=torch.float64)
    assert info_nce(eye, eye, 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-12)


def test_info_nce_gradient():
    g = torch.Generator().manual_seed(1)
    k = torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    q = torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.5), (k, q))


def test_info_nce_does_not_depend_on_the_order_of_pairs():
    g = torch.Generator().manual_seed(2)
    k, q = (normalize(torch.randn(9, 4, generator=g, dtype=torch.float64), dim=1) for _ in range(2))
    order = torch.randperm(9, generator=g)
    assert info_nce(k[order], q[order], 0.1).item() == pytest.approx(info_nce(k, q, 0.1).item(), rel=1e-12)


def slow_weak_contrast(k, q, labels, tau):
    total = 0.0
    for n in range(len(k)):
        scores = [math.exp(sum(a * b for a, b in zip(k[n], row, strict=True)) / tau) for row in q]
        own = sum(score for score, label in zip(scores, labels, strict=True) if label == labels[n])
        total -= math.log(own / sum(scores))
    return total / len(k)


def test_weak_contrast_equals_its_slow_twin():
    g = torch.Generator().manual_seed(3)
    k, q = (normalize(torch.randn(15, 5, generator=g, dtype=torch.float64), dim=1) for _ in range(2))
    labels = torch.randint(0, 4, (15,), generator=g)
    expected = slow_weak_contrast(k.tolist(), q.tolist(), labels.tolist(), 0.07)
    assert weak_contrast(k, q, labels, 0.07).item() == pytest.approx(expected, rel=1e-10)


def test_weak_contrast_between_its_extremes():
    g = torch.Generator().manual_seed(4)
    k, q = (normalize(torch.randn(6, 3, generator=g, dtype=torch.float64), dim=1) for _ in range(2))
    assert weak_contrast(k, q, torch.zeros(6, dtype=torch.int64), 0.1).item() == pytest.approx(0, abs=1e-12)
    assert weak_contrast(k, q, torch.arange(6), 0.1).item() == pytest.approx(info_nce(k, q, 0.1).item(), rel=1e-12)


def test_weak_contrast_gradient():
    g = torch.Generator().manual_seed(5)
    k, q = (torch.randn(5, 3, generator=g, dtype=torch.float64, requires_grad=True) for _ in range(2))
    labels = torch.tensor([0, 1, 0, 2, 1])
    assert torch.autograd.gradcheck(lambda a, b: weak_contrast(a, b, labels, 0.5), (k, q))
