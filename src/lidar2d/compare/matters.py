"""Which of the settings mattered: how much of a metric each of them explains alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.compare.table import Comparison, plain

FEW = 10  # runs below which a share is a hint
_RANKED = 3  # runs, at least, that have an order worth a number

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Matter:
    """What one setting had to do with the metric, in finished runs.

    Args:
        name: of the setting.
        values: as written, of each run that has it.
        scores: the metric of these runs.
        numeric: all values are finite numbers.
        share: of the metric's variance that the setting explains alone, 0..1; none where it cannot be told.
        rank: Spearman's correlation with the metric, where values are numbers; none where it cannot be told.
    """

    name: str
    values: tuple[str, ...]
    scores: tuple[float, ...]
    numeric: bool
    share: float | None
    rank: float | None

    @property
    def weight(self) -> float:
        """By which settings are sorted."""
        return self.share if self.share is not None else 0.0 if self.rank is None else self.rank**2


def matters(comparison: Comparison) -> list[Matter]:
    """Weigh the settings in which runs differ, the weightiest first."""
    found = [_weighed(comparison, name) for name in comparison.parameters]
    return sorted(found, key=lambda each: -each.weight)


def _weighed(comparison: Comparison, name: str) -> Matter:
    counted = zip(comparison.runs[: comparison.counted], comparison.settings, strict=False)
    pairs = [(each[name], run.metrics[comparison.metrics[0]]) for run, each in counted if name in each]
    raw = [value for value, _ in pairs]
    values, scores = [plain(value) for value in raw], [score for _, score in pairs]
    numeric = bool(raw) and all(type(value) in (int, float) and math.isfinite(value) for value in raw)
    ranked = spearman([float(value) for value in raw], scores) if numeric else None
    return Matter(name, tuple(values), tuple(scores), numeric, explained(values, scores), ranked)


def explained(values: Sequence[str], scores: Sequence[float]) -> float | None:
    """Return the share of the scores' variance that a setting explains alone.

    Kelley's epsilon squared, 1 - (SS_within / (n - k)) / (SS_total / (n - 1)), of n runs with k different values; what
    chance alone explains is taken off, and less than that is 0. (Kelley, PNAS 21, 1935.)

    Args:
        values: of the setting, by run.
        scores: of the same runs.

    Returns:
        None where every run has a value of its own, all have the same, or no score differs.
    """
    groups: dict[str, list[float]] = {}
    for value, score in zip(values, scores, strict=True):
        groups.setdefault(value, []).append(score)
    total = _squares(scores)
    if not 1 < len(groups) < len(scores) or total == 0:
        return None
    within = sum(map(_squares, groups.values())) / (len(scores) - len(groups))
    return float(max(0.0, 1 - within / (total / (len(scores) - 1))))


def spearman(values: Sequence[float], scores: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, ties sharing their mean rank; None of fewer than three runs, or no order."""
    if len(values) < _RANKED or len(set(values)) == 1 or len(set(scores)) == 1:
        return None
    return float(np.corrcoef(_ranks(values), _ranks(scores))[0, 1])


def _ranks(values: Sequence[float]) -> Numbers:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: Numbers = np.cumsum(counts) - (counts - 1) / 2  # of those that share a place
    return means[place]


def _squares(scores: Sequence[float]) -> float:
    array: Numbers = np.asarray(scores, dtype=np.float64)
    return float(((array - array.mean()) ** 2).sum())
