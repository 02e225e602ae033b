"""Optimisers and their schedules, as methods and heads are trained with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

from torch.optim import SGD, AdamW, Optimizer

Kind = Literal["adamw", "sgd"]
Decay = Literal["cosine", "cosine-by-epoch", "constant"]


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
        warmup: steps in which the rate grows linearly.
        decay: to zero by step or by epoch, or none.
    """
    if step < warmup:
        return (step + 1) / warmup
    if decay == "constant":
        return 1.0
    if decay == "cosine-by-epoch":
        step = step // steps_per_epoch * steps_per_epoch
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
