"""What is found in images once and kept beside the data: superpixels, weak labels."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.source import FromFiles, Preparable, Problem, Source
from lidar2d.errors import DataError
from lidar2d.frame import Frame
from lidar2d.paths import cache_folder
from lidar2d.writing import write_atomically


class Annotator(ABC):
    """Gives every pixel of an image a number."""

    field: ClassVar[Literal["regions", "weak_labels"]]  # of a frame, that it fills
    title: ClassVar[str]  # of what it finds, in the plural; names a folder
    alone: ClassVar[bool] = False  # one thread at a time, because it computes on many itself

    @abstractmethod
    def key(self) -> Mapping[str, object]:
        """Return all that its numbers depend on beside the images: what is made with another key is kept apart."""

    @abstractmethod
    def of(self, images: Tensor) -> NDArray[np.int32]:
        """Return numbers (V, H, W), -1 for none, for images (V, 3, H, W) uint8 RGB."""

    def begin(self, source: Source) -> None:  # noqa: B027 most have nothing to do
        """Look at a source, before anything is found in its images."""

    def folder(self) -> Path:
        """Return the folder of what is kept."""
        key = hashlib.sha256(json.dumps(self.key(), sort_keys=True, default=str).encode()).hexdigest()[:12]
        return cache_folder() / self.title / f"{type(self).__name__.lower()}-{key}"


class WeakLabels(Annotator):
    """Gives every pixel of an image the number of a class, which may be wrong."""

    field: ClassVar[Literal["regions", "weak_labels"]] = "weak_labels"
    title: ClassVar[str] = "weak-labels"
    alone: ClassVar[bool] = True


class Annotated:
    """A source whose frames are annotated; what is not kept yet is found when a frame is read.

    A file keeps the numbers of a frame, and what tells its images from others: it is made anew where those changed.

    Args:
        source: the frames.
        annotator: finds what is kept.
        wanted: conditions of the frames that are prepared; None prepares all.
    """

    def __init__(self, source: Source, annotator: Annotator, wanted: Collection[str] | None = None) -> None:
        self.source = source
        self.annotator = annotator
        self.wanted = set(source.conditions if wanted is None else wanted)
        self.card, self.tokens, self.conditions = source.card, source.tokens, source.conditions

    @cached_property
    def folder(self) -> Path:
        """The folder that keeps what was found in these frames."""
        self.annotator.begin(self.source)
        return self.annotator.folder() / self.card.name

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong, or that cannot be written.
        """
        frame = self.source[index]
        return self._with(frame, self._found(index, frame, lambda: frame.images).astype(np.int64))

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the source makes, and then what is not kept yet, several frames at once."""
        if isinstance(self.source, Preparable):
            self.source.prepare(workers, progress)
        frames = enumerate(self.conditions)
        missing = [index for index, held in frames if held in self.wanted and not self.path(index).is_file()]
        if missing:
            _make(self, missing, 1 if self.annotator.alone else workers, progress)

    def path(self, index: int) -> Path:
        """Return the file that keeps what was found in a frame's images."""
        return self.folder / f"{self.tokens[index].replace('/', '-')}.npz"  # tokens of some data sets are paths

    def _with(self, frame: Frame, found: NDArray[np.integer[Any]]) -> Frame:
        values = torch.from_numpy(found)
        if self.annotator.field == "regions":
            return replace(frame, regions=values)
        return replace(frame, weak_labels=values)

    def _found(self, index: int, frame: Frame, read: Callable[[], Tensor]) -> NDArray[np.int32]:
        """Return what was found in the images of a frame.

        Args:
            index: of the frame.
            frame: read or not.
            read: returns its images (V, 3, H, W), as they are to be looked at.
        """
        shown = self._shown(index, frame)
        path = self.path(index)
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["images"]) == shown:
                    kept: NDArray[np.int32] = file["found"]
                    return kept
        except Exception:  # missing, cut short or overwritten, of which NumPy complains in many ways: it is made again
            pass
        images = (read() * 255).round().byte()
        height, width = images.shape[-2:]
        found = self.annotator.of(images) if len(images) else np.zeros((0, height, width), np.int32)
        arrays = {"found": found, "images": np.array(shown)}
        keep(path, lambda file: np.savez_compressed(file, **arrays), self.annotator.title)
        return found

    def _shown(self, index: int, frame: Frame) -> str:  # noqa: ARG002 those of files are told by their index
        """Return letters that tell the images from others: by their size and every sixteenth pixel."""
        images = (frame.images * 255).round().byte()
        return _digest([str(tuple(images.shape)).encode(), np.ascontiguousarray(images[..., ::4, ::4].numpy()).data])


class AnnotatedFiles(Annotated):
    """The same, of a source whose images are files: what is kept has the size that frames are read at."""

    def __init__(self, source: FromFiles, annotator: Annotator, wanted: Collection[str] | None = None) -> None:
        super().__init__(source, annotator, wanted)
        self.source: FromFiles = source
        self.image_size = source.image_size

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong, or that cannot be written.
        """
        frame = self.source.unread(index)
        return self._with(frame, self._found(index, frame, lambda: self.source[index].images))

    def image_root(self, index: int) -> Path:
        """Return the data set's folder, which a frame's images lie below."""
        return self.source.image_root(index)

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return self.source.image_files(index)

    def path(self, index: int) -> Path:
        """Return the file that keeps what was found in a frame's images: other images of its name have another."""
        return super().path(index).with_suffix(f".{self._of_files(index)}.npz")

    def _shown(self, index: int, frame: Frame) -> str:  # noqa: ARG002 files tell more
        return self._of_files(index)

    def _of_files(self, index: int) -> str:
        """Return letters that tell images from others: by their files, and the size that they are read at."""
        parts = [str(self.image_size)]
        for name in self.source.image_files(index):
            with suppress(OSError):  # one that is missing is told when it is read
                state = (self.image_root(index) / name).stat()
                parts.append(f"{name} {state.st_size} {state.st_mtime_ns}")
        return _digest([part.encode("utf-8", "surrogateescape") for part in parts])


def annotated(source: Source, annotator: Annotator, wanted: Collection[str] | None = None) -> Annotated:
    """Return the source as one whose frames are annotated; its images are read last, if they are files.

    Args:
        source: the frames.
        annotator: finds what is kept.
        wanted: conditions of the frames that are prepared; None prepares all.
    """
    if isinstance(source, FromFiles):
        return AnnotatedFiles(source, annotator, wanted)
    return Annotated(source, annotator, wanted)


def _digest(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]


def keep(path: Path, write: Callable[[IO[bytes]], object], title: str) -> None:
    """Write a file whole or not at all.

    Args:
        path: of the file.
        write: fills it.
        title: of what it holds, in the plural.

    Raises:
        DataError: if it cannot be written.
    """

    def fill(unfinished: Path) -> None:
        with unfinished.open("wb") as file:
            write(file)

    try:
        write_atomically(path, fill)
    except OSError as error:
        raise DataError(
            f"cannot keep {title} in {path.parent}: {error.strerror}\n"
            "make room there, or set LIDAR2D_CACHE to another folder"
        ) from error


def _make(source: Annotated, missing: Sequence[int], workers: int, progress: bool) -> None:
    """Annotate many frames, with a bar that shows the rate, the time left and the size on disk."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=not progress)
    source[missing[0]]
    size = source.path(missing[0]).stat().st_size * len(missing) / 1e6
    frames = "1 frame" if len(missing) == 1 else f"{len(missing)} frames"
    told = f"{source.annotator.title} of {frames}, about {size:.1f} MB in {source.folder}"
    console.print(told, highlight=False, soft_wrap=True, markup=False)
    columns = (TextColumn(source.annotator.title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (progress and console.is_terminal)
    with Progress(*columns, console=console, disable=hidden) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("", total=len(missing), completed=1)
        for _ in pool.map(source.__getitem__, missing[1:]):
            bar.advance(task)
