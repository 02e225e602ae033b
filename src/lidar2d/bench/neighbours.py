"""Nearest neighbours among features of labelled frames: what can be told without training anything."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from lidar2d.bench.protocol import Session, needed, rows_of
from lidar2d.data.source import Source
from lidar2d.data.stream import frame_seed
from lidar2d.data.twins import scene_of
from lidar2d.errors import UsageError
from lidar2d.frame import Frame

# a frame in; rows of features (P, C) and what is known of each row (P,) or (P, K) out
Read = Callable[[Frame], tuple[Tensor, Tensor]]
_CHUNK = 64  # queries that are compared at once: what they say of all rows fits a cache
_BLOCK = 100


class Bank:
    """Features of labelled frames, of unit length, and what is known of each.

    Args:
        features: (B, C).
        truth: (B,) or (B, K).
    """

    def __init__(self, features: Tensor, truth: Tensor) -> None:
        self.features, self.truth = normalize(features, dim=1), truth
        self._blocks = pad(self.features, (0, 0, 0, -len(features) % _BLOCK))

    def nearest(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the cosines (P, count) of the most alike features, the best first, and their rows (P, count)."""
        found = [self._best(normalize(part, dim=1), count) for part in torch.split(queries, _CHUNK)]
        return torch.cat([cosines for cosines, _ in found]), torch.cat([rows for _, rows in found])

    def _best(self, queries: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Look only into those blocks of rows whose best ones are the best: to sort all takes twice as long."""
        alike = queries @ self._blocks.T
        alike[:, len(self.features) :] = -torch.inf
        alike = alike.view(len(queries), -1, _BLOCK)
        count = min(count, len(self.features))
        chosen = alike.amax(-1).topk(min(count, alike.shape[1])).indices
        cosines, place = alike.gather(1, chosen[..., None].expand(-1, -1, _BLOCK)).flatten(1).topk(count)
        return cosines, chosen.gather(1, place // _BLOCK) * _BLOCK + place % _BLOCK


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
