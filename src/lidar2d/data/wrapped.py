"""Sources made of another one: some of its frames, or some of its cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lidar2d.data.pixels import read_pixels
from lidar2d.data.source import FromFiles, Preparable, Problem, Source
from lidar2d.data.windows import resize
from lidar2d.errors import UsageError, nearest
from lidar2d.frame import Frame


class Part:
    """Some frames of a source.

    Args:
        source: the frames.
        rows: their indices.
    """

    def __init__(self, source: Source, rows: Sequence[int]) -> None:
        self.source, self.rows = source, list(rows)
        self.card = source.card
        self.tokens: Sequence[str] = [source.tokens[row] for row in rows]
        self.conditions: Sequence[str] = [source.conditions[row] for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return self.source[self.rows[index]]

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        kept = set(self.tokens)
        return (found for found in self.source.check() if found[0] in kept)


class PartOfFiles(Part):
    """The same, of a source whose images are files."""

    def __init__(self, source: FromFiles, rows: Sequence[int]) -> None:
        super().__init__(source, rows)
        self.source: FromFiles = source
        self.image_size = source.image_size

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return self.source.unread(self.rows[index])

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return self.source.image_files(self.rows[index])


def part(source: Source, rows: Sequence[int]) -> Source:
    """Return some frames of a source."""
    return PartOfFiles(source, rows) if isinstance(source, FromFiles) else Part(source, rows)


class Views:
    """The frames of a source as some of its cameras saw them.

    Args:
        source: the frames.
        names: of the cameras, in the order in which they are shown.

    Raises:
        UsageError: if the card knows no such camera, or one stands twice.
    """

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        known = source.card.cameras
        for name in names:
            if name not in known:
                raise UsageError(f"{source.card.name} has no camera '{name}'; {nearest(name, known)}")
        if len(set(names)) < len(names) or not names:
            raise UsageError(f"cameras {', '.join(names) or '[]'}: each must stand once, and at least one")
        self.source = source
        self.views = np.array([known.index(name) for name in names])
        self.card = replace(source.card, cameras=tuple(names))
        self.tokens, self.conditions = source.tokens, source.conditions

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return self.shown(self.source[index])

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the source makes."""
        if isinstance(self.source, Preparable):
            self.source.prepare(workers, progress)

    def shown(self, frame: Frame) -> Frame:
        """Return a frame as these cameras saw it; one without images stays as it is."""
        return some_cameras(frame, self.views) if len(frame.images) else frame


class ViewsOfFiles(Views):
    """The same, of a source whose images are files: those of other cameras are not read."""

    def __init__(self, source: FromFiles, names: Sequence[str]) -> None:
        super().__init__(source, names)
        self.source: FromFiles = source
        self.image_size = source.image_size

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return read_pixels(resize(self.unread(index), self.image_size))

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return self.shown(self.source.unread(index))

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        files = self.source.image_files(index)
        return [files[view] for view in self.views.tolist()] if files else files


def views(source: Source, names: Sequence[str]) -> Source:
    """Return the frames of a source as the cameras of these names saw them.

    Raises:
        UsageError: if the card knows no such camera.
    """
    return ViewsOfFiles(source, names) if isinstance(source, FromFiles) else Views(source, names)


def some_cameras(frame: Frame, views: NDArray[np.int64]) -> Frame:
    """Return the frame as only some of its cameras saw it."""
    rows = torch.from_numpy(views)
    names = ("images", "intrinsics", "cam_from_lidar", "pixel_labels", "depth", "regions", "weak_labels")
    kept = {name: getattr(frame, name)[rows] for name in names if getattr(frame, name) is not None}
    files = tuple(frame.files[row] for row in views.tolist()) if frame.files else ()
    return replace(frame, files=files, **kept)
