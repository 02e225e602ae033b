"""Heads trained on frozen features: several learning rates at once, over one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from lidar2d.errors import UsageError, within
from lidar2d.optimisation import Decay, Kind, build_optimizer, rate
from lidar2d.tasks.task import Sample, Task, join

Frames = Sequence[Callable[[], Sample]]  # each reads, or computes, the sample of one frame


@dataclass(frozen=True)
class Training:
    """How heads are trained.

    Args:
        epochs: passes over the frames.
        rates: peak learning rates; each trains a head of its own, on the same batches.
        batch_size: frames in a step.
        optimizer: AdamW, or SGD with the momentum and dampening of the SLidR family.
        weight_decay: of the optimiser.
        warmup: steps of linear warm-up.
        decay: of the learning rate.
        clip: largest norm of a head's gradient; 0 turns clipping off.
    """

    epochs: int
    rates: tuple[float, ...]
    batch_size: int = 4
    optimizer: Kind = "adamw"
    weight_decay: float = 0.0
    warmup: int = 0
    decay: Decay = "cosine"
    clip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(1, epochs=self.epochs, batch_size=self.batch_size)
        within(1e-9, 1e3, rates=self.rates)
        within(0, weight_decay=self.weight_decay, warmup=self.warmup, clip=self.clip)
        if not self.rates:
            raise UsageError("rates is empty; heads need at least one learning rate")


def train_heads(
    task: Task, channels: int, frames: Frames, training: Training, seed: int, advance: Callable[[], None]
) -> dict[float, nn.Module]:
    """Train a head for each learning rate; each is what it would be if it were trained alone.

    Args:
        task: says what heads are and how wrong they are.
        channels: of the features.
        frames: the samples to learn from.
        training: how.
        seed: of the heads' first weights, which all rates share, and of the order of the frames.
        advance: is called after every step.

    Returns:
        The heads by learning rate, in evaluation mode.

    Raises:
        UsageError: if a loss is not finite.
    """
    heads = {}
    for lr in training.rates:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads[lr] = task.head(channels)
    per_epoch = -(-len(frames) // training.batch_size)
    total = per_epoch * training.epochs
    optimisers, schedules = [], []
    for lr, head in heads.items():
        optimisers.append(build_optimizer(training.optimizer, head.parameters(), lr, training.weight_decay))
        schedules.append(
            LambdaLR(optimisers[-1], lambda step: rate(step, total, per_epoch, training.warmup, training.decay))
        )
    for batch in _batches(frames, training, seed):
        for (lr, head), optimiser, schedule in zip(heads.items(), optimisers, schedules, strict=True):
            loss = task.loss(head(batch.features), batch.truth)
            if not loss.isfinite():
                raise UsageError(
                    f"the loss of a head is {loss.item()} at the learning rate {lr:g}; leave that rate out"
                )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if training.clip:
                clip_grad_norm_(head.parameters(), training.clip)
            optimiser.step()
            schedule.step()
        advance()
    return {lr: head.eval() for lr, head in heads.items()}


def _batches(frames: Frames, training: Training, seed: int) -> Iterator[Sample]:
    """Yield batches, each frame once an epoch, in an order of its own in each."""
    for epoch in range(training.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(frames)).tolist()
        for start in range(0, len(order), training.batch_size):
            yield join([frames[row]() for row in order[start : start + training.batch_size]])


@torch.no_grad()
def measure(task: Task, head: Callable[[Tensor], Tensor], frames: Frames) -> dict[str, float]:
    """Return how right a head is on frames, by name."""
    metric = task.metric()
    for frame in frames:
        sample = frame()
        metric.update(*task.answer(head(sample.features), sample.truth))
    found: dict[str, float] = metric.compute()
    return found
