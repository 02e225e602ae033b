"""What a protocol is: a way to judge frozen or tuned features, under a name with a version."""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from lidar2d.bench.remembered import E, Memory
from lidar2d.data.card import Card
from lidar2d.data.source import Source
from lidar2d.errors import UsageError
from lidar2d.frame import Frame
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.progress import Progress
from lidar2d.tasks.task import Task

Reads = Literal["points", "images"]  # whose features are judged
ALL = "all"  # the condition of records over the frames of every condition


class Look(typing.Protocol):
    """Whoever is shown what was judged."""

    def __call__(self, task: Task, frame: Frame, answer: Tensor, truth: Tensor) -> None:
        """Look at a frame, the answer of a head and the truth."""

    def features(self, places: Tensor, labels: Tensor, conditions: Sequence[str], about: str) -> None:
        """Look at a map of features.

        Args:
            places: (P, 2) in the plane, on the CPU.
            labels: (P,) class of each, an index into those of the card.
            conditions: of each.
            about: says what they are, in a sentence.
        """


@dataclass(frozen=True)
class Splits:
    """The frames of one data set that a protocol needs.

    Args:
        learn: what heads are trained on.
        choose: what the best of several is chosen on; None where the data set has none.
        test: what is judged.
    """

    learn: Source | None
    choose: Source | None
    test: Source


@dataclass(frozen=True)
class Verdict:
    """What features were worth under one condition."""

    condition: str
    metrics: dict[str, float]
    frames: int
    chosen: str  # which checkpoint of which head
    draws: tuple[float, ...] = ()  # score, 0 to 1, of resampled scenes; none where the metric cannot tell


@dataclass(frozen=True)
class Session:
    """What a protocol is given beside the encoder and the frames.

    Args:
        seed: of heads' first weights and of the order of the frames.
        progress: shows how far it is.
        keep: a folder for features, unless they are not to be kept; what is there already is not computed again.
        workers: processes that read frames.
        look: is shown every judged frame, or a map of features, unless nobody looks.
        memory: of the features of judged frames, for protocols that ask of the same ones.
    """

    seed: int
    progress: Progress
    keep: Path | None = None
    workers: int = 0
    look: Look | None = None
    memory: Memory | None = None

    def remembering(self, encoder: E) -> E:
        """Return an encoder in evaluation mode as one that remembers, if there is a memory."""
        return encoder if self.memory is None else self.memory.of(encoder)


class Protocol(ABC):
    """A way to judge features; YAML files in ``benchmarks/protocols`` give it a name and its values."""

    @property
    def chooses(self) -> bool:
        """Whether the best of several is chosen, on frames of its own."""
        return False

    @abstractmethod
    def reads(self, card: Card) -> Reads:
        """Return which of two encoders is judged on a data set."""

    @abstractmethod
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Judge an encoder under each condition of the test frames, and under all of them together.

        Raises:
            UsageError: if a split is missing or its frames do not tell the truth.
        """


def by_condition(source: Source) -> dict[str, list[int]]:
    """Return the rows of the frames under each condition, and of all where there are several."""
    found: dict[str, list[int]] = {}
    for row, condition in enumerate(source.conditions):
        found.setdefault(condition, []).append(row)
    return found if len(found) == 1 else {**found, ALL: list(range(len(source)))}


def needed(source: Source | None, what: str, flag: str) -> Source:
    """Return a split.

    Raises:
        UsageError: if there is none.
    """
    if source is None or not len(source):
        raise UsageError(f"there are no frames {what}; name a split of the data set: {flag} NAME")
    return source


def rows_of(source: Source, conditions: Literal["clear", "all"]) -> Sequence[int]:
    """Return the rows of the frames in clear conditions, or of all.

    Raises:
        UsageError: if no frame is clear.
    """
    if conditions == "all":
        return range(len(source))
    rows = [row for row, condition in enumerate(source.conditions) if condition in source.card.clear]
    if not rows:
        raise UsageError(f"{source.card.name}: no frame to learn from has a clear condition")
    return rows
