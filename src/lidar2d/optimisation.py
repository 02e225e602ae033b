"""Optimisers and their schedules, as methods and heads are trained with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from torch.optim import SGD, AdamW, Optimizer

Kind = Literal["adamw", "sgd"]
Decay = Literal["cosine", "cosine-by-epoch", "linear", "one-cycle", "constant"]

# of PyTorch's OneCycleLR: the first rate is a 25th of the peak, the last a 10,000th of the first
_FIRST = 1 / 25
_LAST = _FIRST / 1e4


def build_optimizer(kind: Kind, parameters: Iterable[Any], lr: float, weight_decay: float) -> Optimizer:
    """Make AdamW, or SGD with the momentum and dampening of SLidR's released code.

    Args:
        kind: of the two.
        parameters: or groups of them.
        lr: peak learning rate.
        weight_decay: of the optimiser.
    """
    if kind == "sgd":
        return SGD(parameters, lr=lr, momentum=0.9, dampening=0.1, weight_decay=weight_decay)
    return AdamW(parameters, lr=lr, weight_decay=weight_decay)


def rate(step: int, total: int, steps_per_epoch: int, warmup: int, decay: Decay) -> float:
    """Return the factor on the learning rate at a step.

    Args:
        step: from 0.
        total: steps of the whole training.
        steps_per_epoch: in which ``cosine-by-epoch`` holds the rate, as the SLidR family does.
        warmup: steps in which the rate grows: linearly, or in half a cosine of a ``one-cycle``.
        decay: to zero, along a cosine by step or by epoch, or linearly; along a cosine to almost zero in a
            ``one-cycle``, as PyTorch's OneCycleLR has it; or none.
    """
    if decay == "one-cycle":
        return _one_cycle(step, total, warmup)
    if step < warmup:
        return (step + 1) / warmup
    if decay == "constant":
        return 1.0
    if decay == "cosine-by-epoch":
        step = step // steps_per_epoch * steps_per_epoch
    progress = min(1.0, max(0.0, (step - warmup) / max(1, total - warmup)))
    return 1 - progress if decay == "linear" else _half_cosine(1.0, 0.0, progress)


def _one_cycle(step: int, total: int, warmup: int) -> float:
    peak = max(0, warmup - 1)  # the step at which the rate is highest
    if step <= peak:
        return _half_cosine(_FIRST, 1.0, step / peak) if peak else 1.0
    return _half_cosine(1.0, _LAST, min(1.0, (step - peak) / max(1, total - 1 - peak)))


def _half_cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * progress))
