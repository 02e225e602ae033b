"""What readers of files share: frames are read in two steps, and checked part by part."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.files import problems
from lidar2d.data.pixels import read_pixels
from lidar2d.data.source import Expected, Problem
from lidar2d.data.windows import resize
from lidar2d.frame import Frame

# points (M, 4) in their own LiDAR's frame; the motion (4, 4) from there to the frame's LiDAR; seconds before it
Earlier = tuple[NDArray[np.float32], NDArray[np.float64], float]


class FileSource(ABC):
    """A split whose frames are files.

    A reader sets the card, the tokens and the conditions, and says how a frame is read but for its pixels, which its
    parts are, and which files it expects.
    """

    card: Card
    root: Path  # of the data set
    image_size: tuple[int, int] | None  # (height, width) that frames are read at; None keeps each image's own
    tokens: Sequence[str]
    conditions: Sequence[str]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.tokens)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return read_pixels(resize(self.unread(index), self.image_size))

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems; each bad file is named once."""
        named: set[Path] = set()
        for index, token in enumerate(self.tokens):
            yield token, problems(lambda index=index: self[index], self.parts(index), named)  # type: ignore[misc]

    @abstractmethod
    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """

    @abstractmethod
    def parts(self, index: int) -> Iterable[Callable[[], object]]:
        """Return what reads each of a frame's files, one at a time."""

    @abstractmethod
    def expected(self, index: int) -> list[Expected]:
        """Return the files of a frame, and what is known of them without reading them."""

    def image_root(self, index: int) -> Path:  # noqa: ARG002 several data sets have several
        """Return the data set's folder, which a frame's images lie below."""
        return self.root

    @abstractmethod
    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""


class SweepSource(FileSource):
    """A split whose scans are sweeps of longer drives."""

    sweeps: int = 1  # in each frame

    def with_sweeps(self, sweeps: int) -> Self:
        """Return the same frames with the points of so many sweeps, where the drive has them."""
        other = copy.copy(self)
        other.sweeps = sweeps
        return other


def with_earlier(
    points: NDArray[np.float32], labels: Tensor | None, earlier: Iterable[Earlier]
) -> tuple[Tensor, Tensor | None]:
    """Put a frame's own points (N, 4) before those of earlier sweeps, which have no labels.

    Args:
        points: of the frame.
        labels: of those points (N,).
        earlier: sweeps.

    Returns:
        Points (N + M, 5) as the frame's LiDAR would have seen them, the fifth column their age, and labels (N + M,).
    """
    found = [np.column_stack([points, np.zeros(len(points), np.float32)])]
    for before, motion, seconds in earlier:
        moved = before.copy()
        moved[:, :3] = before[:, :3] @ motion[:3, :3].T + motion[:3, 3]
        found.append(np.column_stack([moved, np.full(len(moved), seconds, np.float32)]))
    joined = np.concatenate(found)
    labels = None if labels is None else F.pad(labels, (0, len(joined) - len(points)), value=-1)
    return torch.from_numpy(joined), labels
