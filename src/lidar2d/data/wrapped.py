"""Sources made of another one: some of its frames, some of its cameras, or the points within a range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.clouds import within_box
from lidar2d.data.pixels import read_pixels
from lidar2d.data.source import FromFiles, Moving, Preparable, Problem, Source
from lidar2d.data.twins import scene_names
from lidar2d.data.windows import resize
from lidar2d.errors import UsageError, nearest
from lidar2d.frame import Frame

Range = tuple[float, float, float, float, float, float]  # metres: x0, y0, z0, x1, y1, z1


class Part:
    """Some frames of a source.

    Args:
        source: the frames.
        rows: their indices.
    """

    def __init__(self, source: Source, rows: Sequence[int]) -> None:
        self.source, self.rows = source, list(rows)
        self._place = {row: index for index, row in enumerate(self.rows)}
        self.card = source.card
        self.tokens: Sequence[str] = [source.tokens[row] for row in rows]
        self.conditions: Sequence[str] = [source.conditions[row] for row in rows]
        scenes = scene_names(source)
        self.scenes: Sequence[str] = [scenes[row] for row in rows]

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

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the next frame and the motion to it, as the source has them; None where it is not among these."""
        found = self.source.following(self.rows[index]) if isinstance(self.source, Moving) else None
        return (self._place[found[0]], found[1]) if found is not None and found[0] in self._place else None


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

    def image_root(self, index: int) -> Path:
        """Return the data set's folder, which a frame's images lie below."""
        return self.source.image_root(self.rows[index])

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return self.source.image_files(self.rows[index])


def part(source: Source, rows: Sequence[int]) -> Source:
    """Return some frames of a source."""
    return PartOfFiles(source, rows) if isinstance(source, FromFiles) else Part(source, rows)


class Change(Protocol):
    """What a source's frames become before their pixels are read."""

    def card(self, card: Card) -> Card:
        """Return what the card says of the changed frames."""
        ...

    def frame(self, frame: Frame) -> Frame:
        """Change one frame."""
        ...

    def files(self, files: list[Path]) -> list[Path]:
        """Return the images that are left of a frame's."""
        ...


@dataclass(frozen=True)
class SomeCameras:
    """Frames as some of their cameras saw them; one without images stays as it is.

    Args:
        names: of the cameras, in the order in which they are shown.
        known: of all cameras, in the frames' order.
        title: of the data set.

    Raises:
        UsageError: if the data set has no such camera, or one stands twice.
    """

    names: Sequence[str]
    known: Sequence[str]
    title: str

    def __post_init__(self) -> None:
        """Refuse names that say nothing."""
        for name in self.names:
            if name not in self.known:
                raise UsageError(f"{self.title} has no camera '{name}'; {nearest(name, self.known)}")
        if len(set(self.names)) < len(self.names) or not self.names:
            raise UsageError(f"cameras {', '.join(self.names) or '[]'}: each must stand once, and at least one")

    @property
    def views(self) -> list[int]:
        """The rows of the cameras among all."""
        return [list(self.known).index(name) for name in self.names]

    def card(self, card: Card) -> Card:
        """Return the card with these cameras."""
        return replace(card, cameras=tuple(self.names))

    def frame(self, frame: Frame) -> Frame:
        """Leave other cameras out."""
        return some_cameras(frame, self.views) if len(frame.images) else frame

    def files(self, files: list[Path]) -> list[Path]:
        """Leave other cameras' images out."""
        return [files[view] for view in self.views] if files else files


@dataclass(frozen=True)
class WithinRange:
    """Frames without the points that lie outside of a box.

    Args:
        box: metres: x0, y0, z0, x1, y1, z1, in the LiDAR's axes.
    """

    box: Sequence[float]

    def card(self, card: Card) -> Card:
        """Return the card."""
        return card

    def frame(self, frame: Frame) -> Frame:
        """Leave points outside out, with their labels."""
        return within_box(frame, self.box)

    def files(self, files: list[Path]) -> list[Path]:
        """Return all images."""
        return files


@dataclass(frozen=True)
class WithoutImages:
    """Frames as the LiDAR alone saw them, for those who read no image."""

    def card(self, card: Card) -> Card:
        """Return the card without cameras."""
        return replace(card, cameras=())

    def frame(self, frame: Frame) -> Frame:
        """Leave every camera out."""
        return some_cameras(frame, [])

    def files(self, files: list[Path]) -> list[Path]:  # noqa: ARG002 as the others have it
        """Return no image."""
        return []


class Changed:
    """The frames of a source, each changed.

    Args:
        source: the frames.
        change: what they become.
    """

    def __init__(self, source: Source, change: Change) -> None:
        self.source, self.change = source, change
        self.card = change.card(source.card)
        self.tokens, self.conditions, self.scenes = source.tokens, source.conditions, scene_names(source)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return self.change.frame(self.source[index])

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the next frame and the motion to it, as the source has them."""
        return self.source.following(index) if isinstance(self.source, Moving) else None

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the source makes."""
        if isinstance(self.source, Preparable):
            self.source.prepare(workers, progress)


class ChangedFiles(Changed):
    """The same, of a source whose images are files: those that a change leaves out are not read."""

    def __init__(self, source: FromFiles, change: Change) -> None:
        super().__init__(source, change)
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
        return self.change.frame(self.source.unread(index))

    def image_root(self, index: int) -> Path:
        """Return the data set's folder, which a frame's images lie below."""
        return self.source.image_root(index)

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return self.change.files(self.source.image_files(index))


def changed(source: Source, change: Change) -> Source:
    """Return the frames of a source, each changed."""
    return ChangedFiles(source, change) if isinstance(source, FromFiles) else Changed(source, change)


def as_asked(source: Source, cameras: Sequence[str] | None, points_range: Range | None) -> Source:
    """Return the frames of a source with the cameras and the points that are asked for; None asks for all.

    Raises:
        UsageError: if the data set has no such camera.
    """
    if cameras is not None:
        source = changed(source, SomeCameras(cameras, source.card.cameras, source.card.name))
    return source if points_range is None else changed(source, WithinRange(points_range))


def some_cameras(frame: Frame, views: Sequence[int]) -> Frame:
    """Return the frame as only some of its cameras saw it."""
    names = ("images", "intrinsics", "cam_from_lidar", "pixel_labels", "depth", "regions", "weak_labels")
    kept = {name: getattr(frame, name)[views] for name in names if getattr(frame, name) is not None}
    files = tuple(frame.files[row] for row in views) if frame.files else ()
    return replace(frame, files=files, **kept)
