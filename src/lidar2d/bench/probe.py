"""Probes: heads trained on an encoder's features, which are frozen and kept, or shown augmented, or trained as well."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import Metric

from lidar2d.bench.protocol import ALL, Protocol, Reads, Session, Splits, Verdict, by_condition, needed, rows_of
from lidar2d.bench.unmoved import Held, Unmoved, moves_alone
from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import Card
from lidar2d.data.source import Source
from lidar2d.data.stream import Key
from lidar2d.data.twins import scene_names
from lidar2d.data.wrapped import WithoutImages, changed
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch, collate
from lidar2d.metrics.resampled import Resampled, draw, merged
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.nets.sliding import Sliding
from lidar2d.tasks.heads import Shown, Training, Tuned, measure, show, shuffled, train_heads
from lidar2d.tasks.kept import Kept, device_of
from lidar2d.tasks.task import Sample, Task


@dataclass(frozen=True)
class Window:
    """A window that slides over images too large for it.

    Args:
        side: pixels.
        step: pixels from one place of it to the next.
    """

    side: int = 512
    step: int = 341


class Probe(Protocol):
    """Heads of several learning rates learn a task; the best one on other frames is judged.

    Args:
        task: what is asked of the features.
        training: of the heads.
        conditions: of the frames that heads learn from.
        augment: what is random about those frames; without it frozen features are computed once and kept.
        once: each frame of points is encoded once, as it is; augmentation moves points with the features they have.
        tune: the encoder's learning rate, times that of the head; 0 leaves it frozen, in evaluation mode.
        window: through which an image encoder sees the frames, where they are larger; without it they are seen whole.
        mirror: what is said of a judged image is averaged with what is said of its mirror image.
    """

    def __init__(
        self,
        task: Callable[[Card], Task],
        training: Training,
        conditions: Literal["clear", "all"] = "all",
        augment: Augment | None = None,
        once: bool = False,
        tune: float = 0.0,
        window: Window | None = None,
        mirror: bool = False,
    ) -> None:
        within(0, 1000, tune=tune)
        if tune and len(training.rates) > 1:
            raise SettingError("rates", training.rates, "an encoder that is tuned trains with one rate")
        if once and (augment is None or tune or not moves_alone(augment)):
            needs = (
                "a frozen encoder, and augmentation that turns, shifts, scales or mirrors points and does nothing else"
            )
            raise SettingError("once", once, f"it needs {needs}")
        self.task, self.training, self.conditions = task, training, conditions
        self.augment, self.once, self.tune, self.window, self.mirror = augment, once, tune, window, mirror

    @property
    def chooses(self) -> bool:
        """Whether heads of several learning rates are trained."""
        return len(self.training.rates) > 1

    def reads(self, card: Card) -> Reads:
        """Return what the task reads."""
        return self.task(card).reads

    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Train heads, choose one, and judge it under each condition.

        Raises:
            UsageError: if a split is missing or its frames do not tell the truth.
        """
        learn = needed(splits.learn, "to learn from", "--data.probe")
        choose = needed(splits.choose, "to choose a learning rate on", "--data.val") if self.chooses else None
        task = self.task(learn.card)
        if self.once and task.reads == "images":
            raise SettingError("once", self.once, "it is of points; the task reads images")
        for source in (learn, choose, splits.test):
            if source is not None:  # so that what could never be judged is told at once
                task.truth(collate([source[0]]))
        if task.reads == "points" and not (self.augment and self.augment.visible):
            learn = changed(learn, WithoutImages())  # reading six images takes longer than all the rest
            choose = None if choose is None else changed(choose, WithoutImages())
        asked = _Asked(task, self._prepared(encoder), session)
        shown = self._shown(asked, learn)
        tuned = Tuned(asked.encoder, self.tune) if self.tune else None
        advance = session.progress("heads", self.training.total(shown.steps))
        heads = train_heads(task, encoder.channels, shown, self.training, session.seed, advance, tuned)
        asked.encoder.eval()
        if not self.tune:
            asked = replace(asked, encoder=self._prepared(session.remembering(encoder)))
        best = self.training.rates[0] if choose is None else self._best(asked, heads, choose)
        chosen = f"last, rate {best:g} of {len(heads)} on val" if self.chooses else "last"
        return self._verdicts(asked, heads[best], splits.test, chosen)

    def _prepared(self, encoder: PointEncoder | ImageEncoder) -> PointEncoder | ImageEncoder:
        if self.tune:
            encoder = copy.deepcopy(encoder).requires_grad_(True)
            if isinstance(encoder, ImageEncoder):
                encoder.frozen = False
        if self.window is not None and isinstance(encoder, ImageEncoder):
            encoder = Sliding(encoder, self.window.side, self.window.step)
        return encoder.eval()

    def _shown(self, asked: _Asked, learn: Source) -> Shown:
        rows = rows_of(learn, self.conditions)
        if self.augment is None and not self.tune:
            kept = Kept(asked.task, asked.encoder, learn, rows, asked.session.keep)
            return show(kept, self.training.batch_size, asked.session.seed)
        return self._augmented(asked, learn, rows)

    def _augmented(self, asked: _Asked, source: Source, rows: Sequence[int]) -> Shown:
        """Show each frame once an epoch, another way each time; features of a tuned encoder carry gradients."""
        task, encoder, session, size = asked.task, asked.encoder, asked.session, self.training.batch_size
        augment, tuned = self.augment or Augment(), bool(self.tune)
        if self.once and isinstance(encoder, PointEncoder):
            source = Held(source)
            encoder = Unmoved(encoder, source)
        frames = TrainingFrames(source, session.seed, augment, getattr(source, "image_size", None), None, "stop")

        def keys(epoch: int) -> list[list[Key]]:
            return [
                [(epoch, rows[place]) for place in batch] for batch in shuffled(len(rows), size, session.seed, epoch)
            ]

        def samples(epoch: int) -> Iterator[Sample]:
            loader = DataLoader(frames, batch_size=None, sampler=keys(epoch), num_workers=session.workers)
            for batch in loader:
                if isinstance(batch, UsageError):
                    raise batch
                batch = batch.to(device_of(encoder))
                encoder.train(tuned)
                yield Sample(task.features(encoder, batch), task.truth(batch)) if tuned else task.sample(encoder, batch)

        return Shown(-(-len(rows) // size), samples)

    def _best(self, asked: _Asked, heads: Mapping[float, nn.Module], choose: Source) -> float:
        rows = rows_of(choose, self.conditions)
        advance = asked.session.progress("choose", len(rows))
        found = measure(asked.task, heads, Kept(asked.task, asked.encoder, choose, rows, None, advance))
        name, sign = asked.task.headline
        return max(self.training.rates, key=lambda lr: sign * found[lr][name])

    @torch.no_grad()
    def _verdicts(self, asked: _Asked, head: nn.Module, test: Source, chosen: str) -> list[Verdict]:
        task, session = asked.task, asked.session
        parts: dict[str, dict[str, Metric]] = {}  # of each scene, under each condition
        advance = session.progress("test", len(test))
        for row, (condition, scene) in enumerate(zip(test.conditions, scene_names(test), strict=True)):
            frame = test[row]
            batch = collate([frame]).to(device_of(asked.encoder))
            answer, truth = (part.cpu() for part in task.answer(*self._said(asked, head, batch)))
            own = parts.setdefault(condition, {})
            if scene not in own:
                own[scene] = task.metric()
            own[scene].update(answer, truth)
            if session.look is not None:
                session.look(task, frame, answer, truth)
            advance()
        wholes = {name: merged(list(scenes.values())) for name, scenes in parts.items()}
        wholes |= {ALL: merged(list(wholes.values()))} if len(wholes) > 1 else {}
        return [
            Verdict(name, wholes[name].compute(), len(rows), chosen, _draws(parts.get(name, {})))
            for name, rows in by_condition(test).items()
        ]

    def _said(self, asked: _Asked, head: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what a head says of a batch, and the truth."""
        sample = asked.task.sample(asked.encoder, batch)
        output: Tensor = head(sample.features)
        if self.mirror and isinstance(asked.encoder, ImageEncoder):
            mirrored = asked.task.features(asked.encoder, replace(batch, images=batch.images.flip(-1)))
            output = (output + head(mirrored).flip(-1)) / 2
        return output, sample.truth


def _draws(scenes: Mapping[str, Metric]) -> tuple[float, ...]:
    """Return the score of resampled scenes; none where the metric cannot tell."""
    parts = list(scenes.values())
    if not parts or not isinstance(parts[0], Resampled):
        return ()
    found = parts[0].scores(parts, draw(list(scenes)))
    return tuple(found.tolist()) if found.isfinite().all() else ()


@dataclass(frozen=True)
class _Asked:
    """What is asked of which network, and in which session."""

    task: Task
    encoder: PointEncoder | ImageEncoder
    session: Session
