"""Probes: heads trained on an encoder's features, which are frozen and kept, or shown augmented, or trained as well."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from lidar2d.bench.protocol import ALL, Protocol, Session, Splits, Verdict, by_condition, needed, rows_of
from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import Card
from lidar2d.data.source import Source
from lidar2d.data.stream import Key
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch, collate
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.heads import Shown, Training, Tuned, measure, show, train_heads
from lidar2d.tasks.kept import Kept, device_of
from lidar2d.tasks.task import Sample, Task


class Probe(Protocol):
    """Heads of several learning rates learn a task; the best one on other frames is judged.

    Args:
        task: what is asked of the features.
        training: of the heads.
        conditions: of the frames that heads learn from.
        augment: what is random about those frames; without it frozen features are computed once and kept.
        tune: the encoder's learning rate, times that of the head; 0 leaves it frozen, in evaluation mode.
    """

    def __init__(
        self,
        task: Callable[[Card], Task],
        training: Training,
        conditions: Literal["clear", "all"] = "all",
        augment: Augment | None = None,
        tune: float = 0.0,
    ) -> None:
        within(0, 1000, tune=tune)
        if tune and len(training.rates) > 1:
            raise SettingError("rates", training.rates, "an encoder that is tuned trains with one rate")
        self.task, self.training, self.conditions = task, training, conditions
        self.augment, self.tune = augment, tune

    def reads(self, card: Card) -> Literal["points", "images"]:
        """Return what the task reads."""
        return self.task(card).reads

    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Train heads, choose one, and judge it under each condition.

        Raises:
            UsageError: if a split is missing or its frames do not tell the truth.
        """
        learn = needed(splits.learn, "to learn from", "--data.probe")
        several = len(self.training.rates) > 1
        choose = needed(splits.choose, "to choose a learning rate on", "--data.val") if several else None
        task = self.task(learn.card)
        for source in (learn, choose, splits.test):
            if source is not None:  # so that what could never be judged is told at once
                task.truth(collate([source[0]]))
        encoder = copy.deepcopy(encoder) if self.tune else encoder
        encoder.eval()
        shown = self._shown(task, encoder, learn, session)
        tuned = Tuned(_unfrozen(encoder), self.tune) if self.tune else None
        advance = session.progress("heads", shown.steps * self.training.epochs)
        heads = train_heads(task, encoder.channels, shown, self.training, session.seed, advance, tuned)
        encoder.eval()
        best = self.training.rates[0] if choose is None else self._best(task, encoder, heads, choose, session)
        chosen = f"last, rate {best:g} of {len(heads)} on val" if several else "last"
        return self._verdicts(task, encoder, heads[best], splits.test, chosen, session)

    def _shown(self, task: Task, encoder: PointEncoder | ImageEncoder, learn: Source, session: Session) -> Shown:
        rows = rows_of(learn, self.conditions)
        if self.augment is None and not self.tune:
            kept = Kept(task, encoder, learn, rows, session.keep)
            return show(kept, self.training.batch_size, session.seed)
        augmented = self.augment or Augment()
        return _augmented(task, encoder, learn, rows, augmented, self.training.batch_size, session, bool(self.tune))

    def _best(
        self,
        task: Task,
        encoder: PointEncoder | ImageEncoder,
        heads: Mapping[float, nn.Module],
        choose: Source,
        session: Session,
    ) -> float:
        rows = rows_of(choose, self.conditions)
        frames = Kept(task, encoder, choose, rows, None, session.progress("choose", len(rows)))
        found = measure(task, heads, frames)
        name, sign = task.headline
        return max(self.training.rates, key=lambda lr: sign * found[lr][name])

    @torch.no_grad()
    def _verdicts(
        self,
        task: Task,
        encoder: PointEncoder | ImageEncoder,
        head: nn.Module,
        test: Source,
        chosen: str,
        session: Session,
    ) -> list[Verdict]:
        groups = by_condition(test)
        metrics = {condition: task.metric() for condition in groups}
        advance = session.progress("test", len(test))
        for row, condition in enumerate(test.conditions):
            frame = test[row]
            sample = task.sample(encoder, collate([frame]).to(device_of(encoder)))
            answer, truth = (part.cpu() for part in task.answer(head(sample.features), sample.truth))
            for name in {condition, ALL} & set(groups):
                metrics[name].update(answer, truth)
            if session.look is not None:
                session.look(task, frame, answer, truth)
            advance()
        return [Verdict(name, metrics[name].compute(), len(rows), chosen) for name, rows in groups.items()]


def _unfrozen(encoder: PointEncoder | ImageEncoder) -> nn.Module:
    encoder.requires_grad_(True)
    return encoder


def _augmented(
    task: Task,
    encoder: PointEncoder | ImageEncoder,
    source: Source,
    rows: Sequence[int],
    augment: Augment,
    batch_size: int,
    session: Session,
    tuned: bool,
) -> Shown:
    """Show each frame once an epoch, another way each time; features of a tuned encoder carry gradients."""
    frames = TrainingFrames(source, session.seed, augment, getattr(source, "image_size", None), None, "stop")

    def keys(epoch: int) -> list[list[Key]]:
        order = np.random.default_rng([session.seed, epoch]).permutation(len(rows)).tolist()
        found = [(epoch, rows[place]) for place in order]
        return [found[start : start + batch_size] for start in range(0, len(found), batch_size)]

    def samples(epoch: int) -> Iterator[Sample]:
        loader = DataLoader(frames, batch_size=None, sampler=keys(epoch), num_workers=session.workers)
        for batch in loader:
            if isinstance(batch, UsageError):
                raise batch
            encoder.train(tuned)
            yield _sample(task, encoder, batch.to(device_of(encoder)), tuned)

    return Shown(-(-len(rows) // batch_size), samples)


def _sample(task: Task, encoder: PointEncoder | ImageEncoder, batch: Batch, tuned: bool) -> Sample:
    return Sample(task.features(encoder, batch), task.truth(batch)) if tuned else task.sample(encoder, batch)
