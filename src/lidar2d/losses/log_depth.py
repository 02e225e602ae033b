"""Losses of dense depth in logarithms, which linear probes of frozen features learn by (DINOv2, arXiv 2304.07193)."""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-3  # metres
_MEAN = 0.15  # what the mean error weighs beside the variance
_STRIDES = (1, 2, 4, 8)


def scale_invariant(prediction: Tensor, target: Tensor, mean_only: bool = False) -> Tensor:
    """Return sqrt(var(g) + 0.15 mean(g)^2) of the errors g of log-depth, over pixels that are measured.

    A wrong scale costs less than a wrong shape (Eigen et al. 2014, equation 4, as BTS and DINOv2 take it).

    Args:
        prediction: metres, of any shape.
        target: metres, of the same shape; 0 is unmeasured.
        mean_only: leave the variance out, as in the first steps.

    Returns:
        A scalar; 0 where nothing is measured.
    """
    valid = target > 0
    error = (prediction[valid] + _EPSILON).log() - (target[valid] + _EPSILON).log()
    if not len(error):
        return prediction.sum() * 0
    spread = error.var(unbiased=False) if not mean_only else error.new_zeros(())
    return (spread + _MEAN * error.mean().square() + 1e-12).sqrt()


def gradient_matching(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring errors of log-depth, summed over four strides.

    Edges lie where those of the target lie (Li and Snavely 2018, equation 3).

    Args:
        prediction: (V, H, W) metres.
        target: (V, H, W) metres; 0 is unmeasured.
    """
    valid = target > 0
    error = torch.where(valid, (prediction + _EPSILON).log() - (target + _EPSILON).log(), 0.0)
    total = prediction.sum() * 0
    for stride in _STRIDES:
        here, known = error[:, ::stride, ::stride], valid[:, ::stride, ::stride]
        count = known.sum().clamp_min(1)
        for axis in (1, 2):
            length = here.shape[axis] - 1
            if length < 1:
                continue
            both = known.narrow(axis, 0, length) & known.narrow(axis, 1, length)
            step = (here.narrow(axis, 1, length) - here.narrow(axis, 0, length)).abs()
            total = total + (step * both).sum() / count
    return total
