"""Losses of log-depth against slow float64 twins."""

import math

import numpy as np
import pytest
import torch

from lidar2d.losses.log_depth import gradient_matching, scale_invariant

EPSILON = 1e-3


def errors(prediction, target):
    return {
        place: math.log(prediction[place] + EPSILON) - math.log(target[place] + EPSILON)
        for place in np.ndindex(target.shape)
        if target[place] > 0
    }


def slow_invariant(prediction, target, mean_only):
    g = list(errors(prediction, target).values())
    mean = sum(g) / len(g)
    variance = 0.0 if mean_only else sum((x - mean) ** 2 for x in g) / len(g)
    return math.sqrt(variance + 0.15 * mean**2)


def slow_gradient(prediction, target):
    total = 0.0
    for stride in (1, 2, 4, 8):
        g = errors(prediction[:, ::stride, ::stride], target[:, ::stride, ::stride])
        steps = 0.0
        for v, y, x in g:
            for other in ((v, y + 1, x), (v, y, x + 1)):
                if other in g:
                    steps += abs(g[other] - g[v, y, x])
        total += steps / max(1, len(g))
    return total


@pytest.mark.parametrize("seed", range(4))
def test_they_are_those_of_the_slow_twins(seed):
    rng = np.random.default_rng(seed)
    target = rng.uniform(1, 60, (2, 13, 17)) * (rng.random((2, 13, 17)) < 0.7)
    prediction = rng.uniform(1, 60, target.shape)
    p, t = torch.from_numpy(prediction), torch.from_numpy(target)
    for mean_only in (False, True):
        expected = slow_invariant(prediction, target, mean_only)
        assert scale_invariant(p, t, mean_only).item() == pytest.approx(expected, abs=1e-6)
    assert gradient_matching(p, t).item() == pytest.approx(slow_gradient(prediction, target), rel=1e-9)


def test_gradients_and_nothing_measured():
    prediction = (torch.rand(1, 9, 9, dtype=torch.float64) * 20 + 1).requires_grad_()
    target = torch.rand(1, 9, 9, dtype=torch.float64) * 20 + 1
    assert torch.autograd.gradcheck(lambda p: scale_invariant(p, target), prediction)
    assert torch.autograd.gradcheck(lambda p: gradient_matching(p, target), prediction)
    nothing = torch.zeros_like(target)
    assert scale_invariant(prediction, nothing).item() == gradient_matching(prediction, nothing).item() == 0


def test_a_wrong_scale_costs_little_and_no_edge():
    target = torch.rand(1, 16, 16, dtype=torch.float64) * 20 + 5
    assert gradient_matching(2 * target, target).item() < 1e-2
    assert scale_invariant(2 * target, target).item() == pytest.approx(math.sqrt(0.15) * math.log(2), rel=1e-3)
