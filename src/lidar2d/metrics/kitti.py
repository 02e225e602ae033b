"""Average precision of boxes as KITTI's object benchmark defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.metrics.overlap import overlaps

LEVELS = ("easy", "moderate", "hard")
MIN_HEIGHT = (40.0, 25.0, 25.0)  # pixels of a box in the image, by level
MAX_OCCLUSION = (0, 1, 2)
MAX_TRUNCATION = (0.15, 0.30, 0.50)
NEVER = len(LEVELS)  # the level of what is never counted, and never a mistake
OVERLAP = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}  # that a hit needs, from above and in space
NEUTRAL = {"Van": "Car", "Person_sitting": "Pedestrian"}  # classes that may be taken for others

_MOST_THRESHOLDS = 400
_PLACES = 41  # of the precision-recall curve: recall 0, 1/40, ..., 1

Kind = str  # "3d" or "bev"


def level(height: Tensor, occlusion: Tensor, truncation: Tensor) -> Tensor:
    """Return the first level (M,) at which boxes count, by their height in pixels, occlusion and truncation (M,)."""
    found = torch.full(height.shape, NEVER)
    for number in reversed(range(len(LEVELS))):
        counts = (height > MIN_HEIGHT[number]) & (occlusion <= MAX_OCCLUSION[number])
        found[counts & (truncation <= MAX_TRUNCATION[number])] = number
    return found


@dataclass(frozen=True)
class Truth:
    """The boxes of one frame."""

    boxes: Tensor  # (M, 7)
    classes: Tensor  # (M,)
    levels: Tensor  # (M,) the first level at which each counts; NEVER for a neutral class, such as vans among cars


@dataclass(frozen=True)
class Found:
    """What was found in one frame."""

    boxes: Tensor  # (N, 7)
    classes: Tensor  # (N,)
    scores: Tensor  # (N,)
    heights: Tensor  # (N,) pixels in the image: small ones are no mistakes at easier levels; inf where no image tells


@dataclass(frozen=True)
class Curve:
    """Precision at recall 0, 1/40, ..., 1, as the benchmark interpolates it."""

    precision: NDArray[np.float64]  # (41,)

    @property
    def r40(self) -> float:
        """Average precision over 40 places, in percent: the benchmark's since 2019."""
        return float(100 * self.precision[1:].mean())

    @property
    def r11(self) -> float:
        """Average precision over 11 places, in percent: the one before, higher because it has recall 0."""
        return float(100 * self.precision[::4].mean())


def curves(
    truth: Sequence[Truth], found: Sequence[Found], minimum: Sequence[float], sampled: bool = True
) -> dict[tuple[int, Kind], list[Curve]]:
    """Return the curves of each class at each level, seen from above and in space.

    Args:
        truth: of each frame.
        found: in the same frames.
        minimum: overlap that a hit of each class needs: 0.7 for cars, 0.5 for pedestrians and cyclists.
        sampled: precision is that at one score a place, as the benchmark takes it; where fewer boxes than places count,
            perfect answers then stay below 100. Else it is the best precision at no less recall.
    """
    result = {}
    measured = [overlaps(t.boxes.double(), f.boxes.double()) for t, f in zip(truth, found, strict=True)]
    for index, least in enumerate(minimum):
        for place, kind in enumerate(("bev", "3d")):
            laid = _lay(truth, found, [pair[place] for pair in measured], index, least)
            result[index, kind] = [_curve(laid, number, sampled) for number in range(len(LEVELS))]
    return result


@dataclass(frozen=True)
class _Laid:
    """One class in all F frames, padded to the most boxes G and the most found D of a frame; C candidates a box."""

    levels: NDArray[np.int64]  # (F, G); -1 where there is no box
    scores: NDArray[np.float64]  # (F, D)
    heights: NDArray[np.float64]  # (F, D)
    there: NDArray[np.bool_]  # (F, D)
    candidates: NDArray[np.int64]  # (F, G, C) rows of D that overlap enough; padded with 0
    overlap: NDArray[np.float64]  # (F, G, C); 0 where padded


def _lay(truth: Sequence[Truth], found: Sequence[Found], measured: Sequence[Tensor], index: int, least: float) -> _Laid:
    rows = [(t.classes == index).nonzero()[:, 0] for t in truth]
    columns = [(f.classes == index).nonzero()[:, 0] for f in found]
    own = [m[row][:, column].numpy() for m, row, column in zip(measured, rows, columns, strict=True)]
    frames = len(truth)
    most_boxes = max((len(row) for row in rows), default=0)
    most_found = max((len(column) for column in columns), default=0)
    widest = max((int((matrix > least).sum(1).max(initial=0)) for matrix in own if matrix.size), default=0)
    levels = np.full((frames, most_boxes), -1)
    scores, heights = np.zeros((2, frames, most_found))
    there = np.zeros((frames, most_found), bool)
    candidates = np.zeros((frames, most_boxes, widest), np.int64)
    overlap = np.zeros((frames, most_boxes, widest))
    for frame, (row, column, matrix) in enumerate(zip(rows, columns, own, strict=True)):
        levels[frame, : len(row)] = truth[frame].levels[row]
        scores[frame, : len(column)] = found[frame].scores[column]
        heights[frame, : len(column)] = found[frame].heights[column]
        there[frame, : len(column)] = True
        box, hit = np.nonzero(matrix > least)
        place = np.arange(len(box)) - np.searchsorted(box, box)
        candidates[frame, box, place] = hit
        overlap[frame, box, place] = matrix[box, hit]
    return _Laid(levels, scores, heights, there, candidates, overlap)


def _curve(laid: _Laid, number: int, sampled: bool) -> Curve:
    """Make one curve: thresholds from the scores of the hits, then hits and mistakes above each threshold."""
    counts = (laid.levels >= 0) & (laid.levels <= number)
    total = int(counts.sum())
    precision = np.zeros(_PLACES)
    small = laid.heights < MIN_HEIGHT[number]
    everything = np.full(1, -np.inf)
    hits, _ = _match(laid, counts, small, everything, by_score=True)
    thresholds = _thresholds(hits, total) if sampled else _all_thresholds(hits)
    if len(thresholds):
        right, wrong = (counted.sum(0) for counted in _counted(laid, counts, small, thresholds))
        reached = right / np.maximum(right + wrong, 1)
        if sampled:
            precision[: len(thresholds)] = reached
        else:
            precision = _best(right / total, reached)
    return Curve(np.maximum.accumulate(precision[::-1])[::-1])


def _counted(
    laid: _Laid, counts: NDArray[np.bool_], small: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the hits and the mistakes (F, T) of each frame at or above each threshold."""
    right, taken = _match(laid, counts, small, thresholds, by_score=False)
    above = laid.there[:, None] & (laid.scores[:, None] >= thresholds[None, :, None])
    return np.isfinite(right).sum(2), (above & ~small[:, None] & ~taken).sum(2)


def _best(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the best precision (41,) at no less recall than 0, 1/40, ..., 1."""
    reached = recall[:, None] >= np.arange(_PLACES) / (_PLACES - 1) - 1e-9
    found: NDArray[np.float64] = np.where(reached, precision[:, None], 0.0).max(0, initial=0.0)
    return found


def mixed(
    truth: Sequence[Truth],
    found: Sequence[Found],
    minimum: Sequence[float],
    times: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean over the classes of the average precision in space (R,), 0 to 1, of mixtures of frames.

    Precision is the best at no less recall, as ``curves(..., sampled=False)`` has it, and every box counts.

    Args:
        truth: of each of F frames.
        found: in the same frames.
        minimum: overlap that a hit of each class needs.
        times: (R, F) how often each frame counts.
    """
    measured = [overlaps(t.boxes.double(), f.boxes.double())[1] for t, f in zip(truth, found, strict=True)]
    means = np.zeros(len(times))
    for index, least in enumerate(minimum):
        laid = _lay(truth, found, measured, index, least)
        counts = laid.levels == 0
        small = np.zeros_like(laid.there)
        hits, _ = _match(laid, counts, small, np.full(1, -np.inf), by_score=True)
        thresholds = _all_thresholds(hits)
        right, wrong = (times @ counted for counted in _counted(laid, counts, small, thresholds))
        total = times @ counts.sum(1)
        for row in range(len(times)):
            if total[row]:
                recall, sure = right[row] / total[row], right[row] / np.maximum(right[row] + wrong[row], 1)
                means[row] += _best(recall, sure)[1:].mean() / len(minimum)
    return means


def _match(
    laid: _Laid, counts: NDArray[np.bool_], small: NDArray[np.bool_], thresholds: NDArray[np.float64], by_score: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give each box, in the order of the list, one of what was found, at every threshold T.

    A box takes, of its candidates above the threshold that no box has taken, the one with the highest score or, to
    count mistakes, the one that overlaps most; one too small for the level only where there is no other.

    Returns:
        The score (F, T, G) of each box's hit, NaN where there is none or it does not count; and what was taken
        (F, T, D).
    """
    frames, boxes = laid.levels.shape
    taken = np.zeros((frames, len(thresholds), laid.there.shape[1]), bool)
    hits = np.full((frames, len(thresholds), boxes), np.nan)
    every, step = np.arange(frames)[:, None], np.arange(len(thresholds))
    if not laid.candidates.shape[2]:
        return hits, taken
    for box in range(boxes):
        candidate = laid.candidates[:, box]  # (F, C)
        score, little = laid.scores[every, candidate], small[every, candidate]
        free = (laid.overlap[:, None, box] > 0) & (score[:, None] >= thresholds[None, :, None])
        free &= ~taken[every[:, :, None], step[None, :, None], candidate[:, None]]
        if by_score:
            worth = np.where(free, score[:, None], -np.inf)
        else:  # the first small one is as good as any
            worth = np.where(free, np.where(little, 0.0, laid.overlap[:, box])[:, None], -np.inf)
        best = worth.argmax(2)  # (F, T)
        any_free = np.take_along_axis(free, best[..., None], 2)[..., 0] & (laid.levels[:, box] >= 0)[:, None]
        chosen = np.take_along_axis(candidate, best, 1)
        frame, threshold = np.nonzero(any_free)
        taken[frame, threshold, chosen[frame, threshold]] = True
        right = any_free & counts[:, box, None] & ~np.take_along_axis(little, best, 1)
        frame, threshold = np.nonzero(right)
        hits[frame, threshold, box] = laid.scores[frame, chosen[frame, threshold]]
    return hits, taken


def _thresholds(hits: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Choose the scores at which recall comes nearest to 0, 1/40, ..., 1."""
    scores = np.sort(hits[np.isfinite(hits)])[::-1]
    chosen: list[float] = []
    for rank, score in enumerate(scores.tolist(), start=1):
        wanted = len(chosen) / (_PLACES - 1)
        last = rank == len(scores)
        if not last and (rank + 1) / total - wanted < wanted - rank / total:
            continue  # the next one comes nearer
        chosen.append(score)
    return np.array(chosen)


def _all_thresholds(hits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of the hits, the highest first; of very many, evenly spaced ones and the lowest."""
    scores: NDArray[np.float64] = np.unique(hits[np.isfinite(hits)])[::-1]
    if len(scores) <= _MOST_THRESHOLDS:
        return scores
    kept: NDArray[np.float64] = scores[np.linspace(0, len(scores) - 1, _MOST_THRESHOLDS).round().astype(int)]
    return kept
