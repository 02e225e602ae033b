"""How much of a score bad weather takes: mCE, mRR, the worst case and the gap, as corruption benchmarks define them.

Scores are shares from 0 (worst) to 1, one for each severity of each corruption. No summary means much alone: mCE
follows the clear score too, and mRR is high where nothing could be lost. :func:`summary` gives them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Scores = Mapping[str, Sequence[float]]  # of each corruption, one a severity


@dataclass(frozen=True)
class Robustness:
    """What bad weather does to one network, in percent.

    Args:
        clear: score in clear air.
        mean: score in bad weather: of the corruptions' means over severities.
        worst: the lowest score of a corruption and severity.
        gap: clear minus mean.
        mrr: mean resilience rate: how much of the clear score is left; None where there was none.
        mce: mean corruption error beside the baseline's, 100 the same; None without a baseline.
    """

    clear: float
    mean: float
    worst: float
    gap: float
    mrr: float | None
    mce: float | None


def corruption_error(scores: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the errors of all severities by those of a baseline, in percent.

    A ratio of sums, not a mean of ratios: Hendrycks and Dietterich, ICLR 2019; Kong et al. (Robo3D), ICCV 2023.

    Raises:
        ValueError: if they differ in the number of severities.
    """
    if len(scores) != len(baseline):
        raise ValueError(f"{len(scores)} severities, and {len(baseline)} of the baseline")
    return 100 * sum(1 - score for score in scores) / sum(1 - score for score in baseline)


def resilience_rate(scores: Sequence[float], clear: float) -> float:
    """Return the mean score over severities by the clear one, in percent: Kong et al. (Robo3D), ICCV 2023."""
    return 100 * sum(scores) / (len(scores) * clear)


def mean_corruption_error(scores: Scores, baseline: Scores) -> float:
    """Return the mean of the corruption errors.

    Raises:
        ValueError: if the baseline lacks a corruption.
    """
    if missing := sorted(set(scores) - set(baseline)):
        raise ValueError(f"the baseline has no {missing[0]}")
    return sum(corruption_error(scores[name], baseline[name]) for name in scores) / len(scores)


def mean_resilience_rate(scores: Scores, clear: float) -> float | None:
    """Return the mean of the resilience rates; None where the clear score is nothing, of which nothing can be left."""
    if clear <= 0:
        return None
    return sum(resilience_rate(values, clear) for values in scores.values()) / len(scores)


def depth_error(abs_rel: float, d1: float) -> float:
    """Return the depth estimation error, 0 to about 1: (AbsRel - d1 + 1) / 2 of Kong et al. (RoboDepth), NeurIPS 2023.

    Args:
        abs_rel: mean relative error.
        d1: share of the pixels within a factor of 1.25.
    """
    return (abs_rel - d1 + 1) / 2


def summary(scores: Scores, clear: float, baseline: Scores | None = None) -> Robustness:
    """Return all that is said of a network's robustness, together.

    Raises:
        ValueError: if there is no corruption, or the baseline lacks one.
    """
    if not scores:
        raise ValueError("no corruption was judged")
    means = [sum(values) / len(values) for values in scores.values()]
    mean = sum(means) / len(means)
    return Robustness(
        clear=100 * clear,
        mean=100 * mean,
        worst=100 * min(min(values) for values in scores.values()),
        gap=100 * (clear - mean),
        mrr=mean_resilience_rate(scores, clear),
        mce=None if baseline is None else mean_corruption_error(scores, baseline),
    )
