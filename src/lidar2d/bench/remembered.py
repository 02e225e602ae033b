"""Features of judged frames, remembered: protocols that ask of the same frames in one session encode these once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TypeVar, cast

from torch import Tensor

from lidar2d.frame import Batch
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.kept import digest

E = TypeVar("E", bound=PointEncoder | ImageEncoder)
_MOST = 4 * 2**30  # bytes
_SHARE = 6  # of the machine's memory, for there may be several shards


class Memory:
    """What frozen encoders made of what they were shown, on the CPU, as long as there is room.

    Args:
        most: bytes; by default a sixth of the machine's memory, but never more than 4 GiB.
    """

    def __init__(self, most: int | None = None) -> None:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.room = min(_MOST, machine // _SHARE) if most is None else most
        self._found: dict[bytes, Tensor] = {}

    def of(self, encoder: E) -> E:
        """Return an encoder in evaluation mode as one that remembers."""
        if isinstance(encoder, ImageEncoder):
            return cast(E, _Images(encoder, self))
        assert isinstance(encoder, PointEncoder)
        return cast(E, _Points(encoder, self))

    def recall(self, weights: str, shown: tuple[Tensor, ...], make: Callable[[], Tensor]) -> Tensor:
        """Return what an encoder of these weights makes of what it is shown; nobody may change it in place."""
        if any(value.device.type != "cpu" for value in shown):
            return make()  # where encoding costs less than carrying features to and fro
        told = hashlib.sha256(weights.encode())
        for value in shown:
            told.update(f"{value.dtype} {tuple(value.shape)}".encode())
            told.update(value.contiguous().numpy().data)
        key = told.digest()
        if key not in self._found:
            made = make()
            if (size := made.numel() * made.element_size()) > self.room:
                return made
            self.room -= size
            self._found[key] = made.detach()
        return self._found[key]


class _Images(ImageEncoder):
    def __init__(self, encoder: ImageEncoder, memory: Memory) -> None:
        super().__init__()
        self.encoder, self.memory, self.weights = encoder, memory, digest(encoder)
        self.channels, self.stride = encoder.channels, encoder.stride

    @property
    def multiple(self) -> int:
        return self.encoder.multiple

    def forward(self, images: Tensor) -> Tensor:
        return self.memory.recall(self.weights, (images,), lambda: self.encoder(images))


class _Points(PointEncoder):
    def __init__(self, encoder: PointEncoder, memory: Memory) -> None:
        super().__init__()
        self.encoder, self.memory, self.weights = encoder, memory, digest(encoder)
        self.channels = encoder.channels

    def from_above(self, batch: Batch, xy: Tensor) -> Tensor | None:
        return self.encoder.from_above(batch, xy)

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        if rows is not None:
            return self.encoder(batch, rows)
        return self.memory.recall(self.weights, (batch.points, batch.point_frame), lambda: self.encoder(batch))
