"""Points that augmentation moves with the features that they have where they are: each frame is encoded once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lidar2d.bench.remembered import Memory
from lidar2d.data.augment import Augment
from lidar2d.data.source import Source
from lidar2d.errors import UsageError
from lidar2d.frame import Batch, collate
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


def moves_alone(augment: Augment) -> bool:
    """Tell whether augmentation moves points, and does nothing else."""
    rest = replace(augment, rotate=0.0, translate=0.0, scale=None, flip_points="none")
    return rest == Augment() and augment != Augment()
