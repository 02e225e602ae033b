"""Features of judged frames, remembered: protocols that ask of the same frames in one session encode these once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from torch import Tensor

from lidar2d.frame import Batch
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.kept import device_of, digest

E = TypeVar("E", bound=PointEncoder | ImageEncoder)
_MOST = 4 * 2**30  # bytes
_SHARE = 6  # of the machine's memory, for there may be several shards


class Memory:
    """What a frozen encoder made of what it was shown, on the CPU, as long as there is room; the last one's alone.

    Args:
        most: bytes; by default a sixth of the machine's memory, but never more than 4 GiB.
    """

    def __init__(self, most: int | None = None) -> None:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.most = min(_MOST, machine // _SHARE) if most is None else most
        self._found: dict[Hashable, Tensor] = {}
        self._room, self._weights = self.most, ""

    def of(self, encoder: E) -> E:
        """Return an encoder in evaluation mode as one that remembers; as it is where it computes on a GPU."""
        if device_of(encoder).type != "cpu":
            return encoder
        if (weights := digest(encoder)) != self._weights:
            self._found.clear()
            self._room, self._weights = self.most, weights
        if isinstance(encoder, ImageEncoder):
            return cast(E, _Images(encoder, self, weights))
        assert isinstance(encoder, PointEncoder)
        return cast(E, _Points(encoder, self, weights))

    def recall(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """Return what was made under a key, or make it now; nobody may change it in place."""
        if key in self._found:
            return self._found[key]
        made = make().detach()
        size = made.numel() * made.element_size()
        if made.device.type == "cpu" and size <= self._room:  # a GPU encodes faster than features are carried to it
            self._room -= size
            self._found[key] = made
        return made


class _Images(ImageEncoder):
    def __init__(self, encoder: ImageEncoder, memory: Memory, weights: str) -> None:
        super().__init__()
        self.encoder, self.memory, self.weights = encoder, memory, weights
        self.channels, self.stride = encoder.channels, encoder.stride

    @property
    def multiple(self) -> int:
        return self.encoder.multiple

    def forward(self, images: Tensor) -> Tensor:
        return self.memory.recall(_told(self.weights, images), lambda: self.encoder(images))


class _Points(PointEncoder):
    def __init__(self, encoder: PointEncoder, memory: Memory, weights: str) -> None:
        super().__init__()
        self.encoder, self.memory, self.weights = encoder, memory, weights
        self.channels = encoder.channels

    def from_above(self, batch: Batch, xy: Tensor) -> Tensor | None:
        return self.encoder.from_above(batch, xy)

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        if rows is not None:
            return self.encoder(batch, rows)
        return self.memory.recall(_told(self.weights, batch.points, batch.point_frame), lambda: self.encoder(batch))


def _told(weights: str, *shown: Tensor) -> str:
    """Return a digest of an encoder's weights and of all that it is shown."""
    told = hashlib.sha256(weights.encode())
    for value in shown:
        told.update(f"{value.dtype} {tuple(value.shape)}".encode())
        told.update(value.contiguous().numpy().data)
    return told.hexdigest()
