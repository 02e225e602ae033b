"""The Source protocol, which every reader of a data set follows, and how one is opened."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.errors import SettingError, UsageError
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
class InScenes(Protocol):
    """A source whose frames belong to scenes."""

    scenes: Sequence[str]  # of each frame


@runtime_checkable
class Preparable(Protocol):
    """A source that makes something once, before it is read fast."""

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what is missing, with a progress bar where asked."""
        ...


@runtime_checkable
class FromFiles(Source, Protocol):
    """A source whose images are files, read last, when it is known which part of them is needed."""

    image_size: tuple[int, int] | None  # (height, width) that frames are read at; None keeps each image's own

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels: its images have the files' own size and no memory.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        ...

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        ...

    def image_root(self, index: int) -> Path:
        """Return the data set's folder, which a frame's images lie below."""
        ...


@dataclass(frozen=True)
class Expected:
    """One file of a frame, and what is known of it without reading it."""

    path: Path
    row: int = 1  # bytes; the file is a whole number of them
    like: Expected | None = None  # a file that has as many rows, or a picture that has as many pixels
    empty: bool = False  # it may be
    picture: bool = False
    size: tuple[int, int] | None = None  # (height, width) of the picture, where it is known


@runtime_checkable
class Expecting(Protocol):
    """A source that knows the files of its frames without reading them."""

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a frame."""
        ...


@runtime_checkable
class Sweeping(Protocol):
    """A source that knows the sweeps before each frame's own, and how the car moved between them."""

    def with_sweeps(self, sweeps: int) -> Source:
        """Return the source with so many sweeps in each frame, where the scene has them.

        Points stand where the frame's own LiDAR would have seen them; a fifth column has their age in seconds, and
        labels are -1 but for the frame's own.
        """
        ...


@runtime_checkable
class Moving(Protocol):
    """A source that knows how the car moved from one key frame of a scene to the next."""

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the index of the next frame, and the motion (4, 4) from this one's LiDAR to its; None at the end."""
        ...


def open_source(
    card: Card,
    split: str,
    root: str | Path | None = None,
    image_size: tuple[int, int] | None = None,
    sweeps: int = 1,
) -> Source:
    """Open one split of a data set.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds the data set; the synthetic town needs none.
        image_size: (height, width) to read images at; None keeps each image's own size.
        sweeps: of the LiDAR in each frame: its own, and those before it.

    Raises:
        UsageError: if the split or the folder does not exist, or the data set has single sweeps.
    """
    card.split(split)
    module, _, name = card.reader.rpartition(".")
    try:
        reader = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UsageError(f"card {card.name}: no reader {card.reader} ({error}); give package.module.Class") from None
    source: Source = reader(card=card, split=split, root=root, image_size=image_size)
    if not len(source):
        raise UsageError(f"split '{split}' of {card.name} has no frame; name another one")
    if sweeps == 1:
        return source
    if not isinstance(source, Sweeping):
        raise SettingError("sweeps", sweeps, f"{card.name} has single sweeps; it must be 1")
    return source.with_sweeps(sweeps)
