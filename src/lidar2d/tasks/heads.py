"""Heads trained on frozen features: several learning rates at once, over one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from lidar2d.errors import SettingError, UsageError, within
from lidar2d.optimisation import Decay, Kind, build_optimizer, rate
from lidar2d.tasks.task import Sample, Task, join

_K = TypeVar("_K")
Frames = Sequence[Callable[[], Sample]]  # each reads, or computes, the sample of one frame


@dataclass(frozen=True)
class Training:
    """How heads are trained.

    Args:
        epochs: passes over the frames; give either epochs or steps.
        steps: of the optimiser.
        rates: peak learning rates; each trains a head of its own, on the same batches.
        batch_size: frames in a step.
        optimizer: AdamW, or SGD with the momentum and dampening of the SLidR family.
        weight_decay: of the optimiser.
        warmup: steps in which the rate grows; below 1 a share of all steps.
        decay: of the learning rate.
        clip: largest norm of a head's gradient; 0 turns clipping off.
    """

    rates: tuple[float, ...]
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 4
    optimizer: Kind = "adamw"
    weight_decay: float = 0.0
    warmup: float = 0.0
    decay: Decay = "cosine"
    clip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(1, epochs=self.epochs, steps=self.steps, batch_size=self.batch_size)
        within(1e-9, 1e3, rates=self.rates)
        within(0, weight_decay=self.weight_decay, warmup=self.warmup, clip=self.clip)
        if not self.rates or len(set(self.rates)) < len(self.rates):
            raise SettingError("rates", self.rates, "heads need at least one learning rate, and each once")
        if (self.epochs is None) == (self.steps is None):
            given = "neither" if self.steps is None else f"steps {self.steps} and epochs {self.epochs}"
            raise UsageError(f"heads train for steps or for epochs; {given} is given")

    def total(self, steps_per_epoch: int) -> int:
        """Return the steps of the whole training."""
        return self.steps if self.epochs is None else self.epochs * steps_per_epoch  # type: ignore[return-value]

    def factor(self, step: int, steps_per_epoch: int) -> float:
        """Return the factor on the learning rates at a step."""
        total = self.total(steps_per_epoch)
        warmup = round(self.warmup * total) if self.warmup < 1 else round(self.warmup)
        return rate(step, total, steps_per_epoch, warmup, self.decay)


@dataclass(frozen=True)
class Shown:
    """What heads are shown in training.

    Args:
        steps: of one epoch.
        epoch: yields the samples of an epoch, by its number.
    """

    steps: int
    epoch: Callable[[int], Iterator[Sample]]


@dataclass(frozen=True)
class Tuned:
    """An encoder that trains with its head.

    Args:
        encoder: the network.
        factor: of its learning rate, times that of the head.
    """

    encoder: nn.Module
    factor: float


def show(frames: Frames, batch_size: int, seed: int) -> Shown:
    """Show each frame once an epoch, in an order of its own in each."""

    def epoch(number: int) -> Iterator[Sample]:
        for rows in shuffled(len(frames), batch_size, seed, number):
            yield join([frames[row]() for row in rows])

    return Shown(-(-len(frames) // batch_size), epoch)


def shuffled(frames: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the rows of each batch of an epoch: every one of ``frames`` once; the last batch may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(frames).tolist()
    return [order[start : start + batch_size] for start in range(0, frames, batch_size)]


def train_heads(
    task: Task,
    channels: int,
    shown: Shown,
    training: Training,
    seed: int,
    advance: Callable[[], None],
    tuned: Tuned | None = None,
) -> dict[float, nn.Module]:
    """Train a head for each learning rate; each is what it would be if it were trained alone.

    Args:
        task: says what heads are and how wrong they are.
        channels: of the features.
        shown: the samples to learn from.
        training: how.
        seed: of the heads' first weights, which all rates share.
        advance: is called after every step.
        tuned: the encoder, if it trains as well; then there is one rate.

    Returns:
        The heads by learning rate, in evaluation mode.

    Raises:
        UsageError: if a loss is not finite.
    """
    heads, optimisers, schedules = {}, [], []
    for lr in training.rates:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = heads[lr] = task.head(channels)
        groups: list[dict[str, Any]] = [{"params": list(head.parameters())}]
        if tuned is not None:
            groups.append({"params": list(tuned.encoder.parameters()), "lr": lr * tuned.factor})
        optimisers.append(build_optimizer(training.optimizer, groups, lr, training.weight_decay))
        schedules.append(LambdaLR(optimisers[-1], lambda step: training.factor(step, shown.steps)))
    for batch in islice(chain.from_iterable(map(shown.epoch, count())), training.total(shown.steps)):
        for (lr, head), optimiser, schedule in zip(heads.items(), optimisers, schedules, strict=True):
            head.to(batch.features.device)
            loss = task.loss(head(batch.features), batch.truth)
            if not loss.isfinite():
                said = f"the loss of a head is {loss.item()} at the learning rate {lr:g}"
                raise UsageError(f"{said}; leave that rate out, or lower it")
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if training.clip:
                clip_grad_norm_([value for group in optimiser.param_groups for value in group["params"]], training.clip)
            optimiser.step()
            schedule.step()
        advance()
    return {lr: head.eval() for lr, head in heads.items()}


@torch.no_grad()
def measure(task: Task, heads: Mapping[_K, Callable[[Tensor], Tensor]], frames: Frames) -> dict[_K, dict[str, float]]:
    """Return how right each of several heads is on frames, by name; each frame is read once."""
    metrics = {key: task.metric() for key in heads}
    for frame in frames:
        sample = frame()
        for key, head in heads.items():
            output, truth = task.answer(head(sample.features), sample.truth)
            metrics[key].update(output.cpu(), truth.cpu())
    return {key: metric.compute() for key, metric in metrics.items()}
