"""Frozen features computed once and kept in files, so that a head's next epoch costs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import overload

import torch
from torch import Tensor
from torch.nn import Module

from lidar2d.data.source import Source
from lidar2d.errors import DataError
from lidar2d.frame import collate
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.task import Sample, Task
from lidar2d.writing import write_atomically


class Kept(Sequence[Callable[[], Sample]]):
    """The samples of a source's frames; one that is not in its file yet is computed when it is first asked for.

    A process that is killed leaves whole files, and the next one goes on with those.

    Args:
        task: says what a sample is.
        encoder: gives the features; in evaluation mode.
        source: the frames.
        rows: of the source, that are meant.
        folder: of the files; None computes every sample each time.
        advance: is called whenever a sample was computed.
    """

    def __init__(
        self,
        task: Task,
        encoder: PointEncoder | ImageEncoder,
        source: Source,
        rows: Sequence[int],
        folder: Path | None,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.task, self.encoder, self.source, self.rows, self.folder = task, encoder, source, rows, folder
        self.advance = advance

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Callable[[], Sample]: ...

    @overload
    def __getitem__(self, place: slice) -> list[Callable[[], Sample]]: ...

    def __getitem__(self, place: int | slice) -> Callable[[], Sample] | list[Callable[[], Sample]]:
        """Return what reads or computes a sample."""
        if isinstance(place, slice):
            return [partial(self.sample, row) for row in self.rows[place]]
        return partial(self.sample, self.rows[place])

    def sample(self, row: int) -> Sample:
        """Return the sample of a frame of the source.

        Raises:
            UsageError: if the frame is bad, tells no truth, or its features are not finite or cannot be kept.
        """
        if self.folder is None:
            return self._compute(row)
        path = self.folder / f"{row:06d}.pt"
        try:
            kept = torch.load(path, mmap=True, weights_only=True)
            device = device_of(self.encoder)
            return Sample(kept["features"].to(device), kept["truth"].to(device))
        except Exception:  # missing, cut short or overwritten, of which PyTorch complains in many ways: made again
            found = self._compute(row)
        try:
            write_atomically(path, partial(torch.save, {"features": found.features.cpu(), "truth": found.truth.cpu()}))
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"cannot keep features in {self.folder}: {getattr(error, 'strerror', None) or 'the disk may be full'}\n"
                "make room there, or set LIDAR2D_CACHE to another folder"
            ) from error
        return found

    def _compute(self, row: int) -> Sample:
        batch = collate([self.source[row]]).to(device_of(self.encoder))
        found = self.task.sample(self.encoder, batch)
        self.advance()
        return found


def device_of(module: Module) -> torch.device:
    """Return where a network computes."""
    return next((value.device for value in module.parameters()), torch.device("cpu"))


def digest(module: Module) -> str:
    """Return twelve letters that tell a network's weights from others."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        assert isinstance(value, Tensor)
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:12]
