"""Nearest neighbours among features of labelled frames: what can be told without training anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lidar2d.bench.protocol import Session, needed, rows_of
from lidar2d.data.source import Source
from lidar2d.data.stream import frame_seed
from lidar2d.data.twins import scene_of
from lidar2d.errors import UsageError
from lidar2d.frame import Frame

# a frame in; rows of features (P, C) and what is known of each row (P,) or (P, K) out
Read = Callable[[Frame], tuple[Tensor, Tensor]]
_CHUNK = 4096  # queries that are compared at once


class Bank:
    """Features of labelled frames, of unit length, and what is known of each.

    Args:
        features: (B, C).
        truth: (B,) or (B, K).
    """

    def __init__(self, features: Tensor, truth: Tensor) -> None:
        self.features, self.truth = normalize(features, dim=1), truth

    def nearest(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the cosines (P, count) of the most alike features, the best first, and their rows (P, count)."""
        found = [
            (normalize(part, dim=1) @ self.features.T).topk(min(count, len(self.features)))
            for part in torch.split(queries, _CHUNK)
        ]
        return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def fill(learn: Source | None, read: Read, size: int, session: Session) -> Bank:
    """Make a bank of so many rows, as many from each clear frame, drawn at random.

    Raises:
        UsageError: if there is no frame to learn from, or nothing is known of any.
    """
    source = needed(learn, "to learn from", "--data.probe")
    rows = rows_of(source, "clear")
    each = -(-size // len(rows))
    advance = session.progress("bank", len(rows))
    features, truths = [], []
    for row in rows:
        frame = source[row]
        feature, truth = read(frame)
        drawn = draw(frame, len(feature), each, session.seed)
        features.append(feature[drawn])
        truths.append(truth[drawn])
        advance()
    if not sum(map(len, features)):
        raise UsageError(f"{source.card.name}: nothing is known of any place in the frames to learn from")
    return Bank(torch.cat(features), torch.cat(truths))


def draw(frame: Frame, rows: int, most: int, seed: int) -> Tensor:
    """Draw rows of a frame; which ones depends on the seed and the scene alone, so that twins are judged alike."""
    rng = np.random.default_rng(frame_seed(seed, 0, scene_of(frame.token, frame.condition)))
    return torch.from_numpy(np.sort(rng.permutation(rows)[:most]))
