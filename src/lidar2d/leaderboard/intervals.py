"""Intervals over scenes and seeds: the same draws of both for every method, so that differences have intervals too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number, and where it lies in 95 % of the draws.

    Args:
        value: of all scenes and seeds.
        low: 2.5th percentile; None where there are no draws.
        high: 97.5th percentile.
    """

    value: float
    low: float | None = None
    high: float | None = None


def estimate(value: float, draws: Draws | None) -> Estimate:
    """Put a number and its draws (R,) together."""
    if draws is None:
        return Estimate(value)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def over_seeds(draws: Sequence[Sequence[float]]) -> Draws | None:
    """Return the mean (R,) over seeds that are drawn as well; None where a seed has no draws.

    Args:
        draws: R scores of each of S seeds, of the same scenes.
    """
    if not draws or not all(draws) or len(set(map(len, draws))) > 1:
        return None
    count, replicates = len(draws), len(draws[0])
    chosen = np.random.default_rng([count, replicates]).integers(count, size=(replicates, count))
    found: Draws = np.take_along_axis(np.array(draws).T, chosen, 1).mean(1)
    return found
