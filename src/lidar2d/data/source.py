"""The Source protocol, which every reader of a data set follows, and how one is opened."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from lidar2d.data.card import Card
from lidar2d.errors import UsageError
from lidar2d.frame import Frame


@dataclass(frozen=True)
class Problem:
    """One file that is missing, unreadable or wrong."""

    path: Path
    fault: str  # in a few words: "missing", "truncated: 17 bytes are no whole number of points", ...


@runtime_checkable
class Source(Protocol):
    """A split of a data set, read as raw, unaugmented frames."""

    card: Card
    tokens: Sequence[str]  # of each frame, unique in the data set
    conditions: Sequence[str]  # of each frame, as the card defines them

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        ...

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems (none: an empty list); each bad file is named once."""
        ...


@runtime_checkable
class Preparable(Protocol):
    """A source that makes something once, before it is read fast."""

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what is missing, with a progress bar where asked."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A source whose images are files."""

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        ...


def open_source(
    card: Card, split: str, root: str | Path | None = None, image_size: tuple[int, int] | None = None
) -> Source:
    """Open one split of a data set.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds the data set; the synthetic town needs none.
        image_size: (height, width) to read images at; None keeps each image's own size.

    Raises:
        UsageError: if the split or the folder does not exist.
    """
    card.split(split)
    module, _, name = card.reader.rpartition(".")
    try:
        reader = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UsageError(f"card {card.name}: no reader {card.reader} ({error}); give package.module.Class") from None
    source: Source = reader(card=card, split=split, root=root, image_size=image_size)
    if not len(source):
        raise UsageError(f"{card.name} {split} has no frame")
    return source
