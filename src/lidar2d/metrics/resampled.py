"""Scenes drawn again and again with replacement (the bootstrap): how far off a number is for the luck of its scenes.

The same scenes are drawn for every network and every condition, so that differences between them have intervals too.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

DRAWS = 100  # of as many scenes as there are


@runtime_checkable
class Resampled(Protocol):
    """A metric with a score that can be taken of any mixture of scenes."""

    def scores(self, scenes: Sequence[Any], times: Tensor) -> Tensor:
        """Return the score (R,), from 0, the worst, to 1.

        Args:
            scenes: S metrics of the same class, each of one scene's frames.
            times: (R, S) how often each scene counts.
        """
        ...


def draw(scenes: Sequence[str]) -> Tensor:
    """Return how often (R, S) each of S scenes is drawn; their names alone decide it."""
    seed = int.from_bytes(hashlib.sha256("\n".join(scenes).encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), DRAWS)
    return torch.from_numpy(drawn).double()


def merged(parts: Sequence[Metric]) -> Metric:
    """Return a metric of all that the parts have seen; they stay as they are."""
    whole = copy.deepcopy(parts[0])
    whole._computed = None  # a number that the part has told already
    for part in parts[1:]:
        whole.merge_state(part)
    return whole


def shares(scenes: Sequence[str], hits: Sequence[float], counts: Sequence[float]) -> tuple[float, ...]:
    """Return the share of hits in every draw of scenes; none where a draw has nothing to hit.

    Args:
        scenes: the scene of each frame.
        hits: of each frame.
        counts: what could be hit in each frame.
    """
    names = list(dict.fromkeys(scenes))
    times = draw(names)[:, [names.index(scene) for scene in scenes]]
    found = (times @ times.new_tensor(hits)) / (times @ times.new_tensor(counts))
    return tuple(found.tolist()) if found.isfinite().all() else ()
