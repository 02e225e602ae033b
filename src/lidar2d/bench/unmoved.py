"""Points that augmentation moves with the features that they have where they are: each frame is encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lidar2d.bench.remembered import Memory
from lidar2d.data.augment import Augment
from lidar2d.data.source import Problem, Source
from lidar2d.errors import UsageError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.geometry import points_in_boxes
from lidar2d.nets.encoder import PointEncoder


class Unmoved(PointEncoder):
    """An encoder that is shown augmented frames, and says of their points what it says of the frames as they are.

    Args:
        encoder: in evaluation mode.
        source: of the frames; tokens tell them.

    Raises:
        UsageError: if the network maps the ground, for then it is not points that are moved.
    """

    def __init__(self, encoder: PointEncoder, source: Source) -> None:
        super().__init__()
        if type(encoder).from_above is not PointEncoder.from_above:
            raise UsageError(f"{type(encoder).__name__} maps the ground; a protocol that moves its points has no map")
        self.encoder, self.channels, self.source, self.memory = encoder, encoder.channels, source, Memory()
        self._row = {token: row for row, token in enumerate(source.tokens)}

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows`` (P,), or of all points in their order."""
        device = batch.points.device

        def encoded(token: str) -> Tensor:
            return self.encoder(collate([self.source[self._row[token]]]).to(device))

        found = torch.cat([self.memory.recall(token, partial(encoded, token)) for token in batch.tokens])
        return found if rows is None else found[rows]


class Held:
    """The frames of a source, read once; how many points lie in each box is counted then, for it stays so.

    Args:
        source: the frames.
        most: of them that are held.
    """

    def __init__(self, source: Source, most: int = 1000) -> None:
        self.source, self.most = source, most
        self.card, self.tokens, self.conditions = source.card, source.tokens, source.conditions
        self._held: dict[int, Frame] = {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame, or return it if it was read before.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        if index in self._held:
            return self._held[index]
        frame = _counted(self.source[index])
        if len(self._held) < self.most:
            self._held[index] = frame
        return frame

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()


def _counted(frame: Frame) -> Frame:
    if frame.boxes is None or frame.boxes.hits is not None:
        return frame
    inside = points_in_boxes(frame.points[:, :3].double(), frame.boxes.geometry.double()).sum(1)
    return replace(frame, boxes=replace(frame.boxes, hits=inside))


def moves_alone(augment: Augment) -> bool:
    """Tell whether augmentation moves points, and does nothing else."""
    rest = replace(augment, rotate=0.0, translate=0.0, scale=None, flip_points="none")
    return rest == Augment() and augment != Augment()
