"""What the numbers of records are: between which bounds, whether more is better, and which one ranks a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from lidar2d.results.robustness import depth_error


@dataclass(frozen=True)
class Measure:
    """A kind of number.

    Args:
        low: no such number is below.
        high: no such number is above.
        better: 1 where more is better, -1 where less is, 0 where neither.
        digits: behind the point, in tables.
    """

    low: float
    high: float
    better: int
    digits: int = 1


_PERCENT = Measure(0, 100, 1)
_SHARE = Measure(0, 1, 1, 3)
_ERROR = Measure(0, math.inf, -1, 3)

_BY_STEM = {
    **dict.fromkeys(("miou", "iou", "accuracy", "ap3d", "apbev", "recall", "within", "knn"), _PERCENT),
    **dict.fromkeys(("ap3d-r11", "apbev-r11"), _PERCENT),
    **dict.fromkeys(("nds", "map", "ap"), _PERCENT),
    **dict.fromkeys(("d1", "d2", "d3"), _SHARE),
    **dict.fromkeys(("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog"), _ERROR),
    **dict.fromkeys(("mATE", "mASE", "mAOE", "mAVE", "mAAE"), _ERROR),
    **dict.fromkeys(("mean_angle", "rms_angle"), Measure(0, 180, -1)),
    **dict.fromkeys(("rank_me", "effective_rank"), Measure(0, math.inf, 0)),
    "cosine": Measure(-1, 1, 1, 3),
    "matches": Measure(0, math.inf, 0, 0),
    "mce": Measure(0, math.inf, -1),
    "mrr": Measure(0, math.inf, 1),
}
_HEADLINES = (
    *("nds", "ap3d/moderate", "ap3d", "map", "miou", "abs_rel", "recall/10px"),
    *("within/22.5deg", "knn/miou", "mce"),
)


def measure(name: str) -> Measure:
    """Return what is known of a number by its name, such as ``iou/car``; anything may be of an unknown one."""
    return _BY_STEM.get(name.partition("/")[0], Measure(-math.inf, math.inf, 0, 3))


def written(value: float, digits: int = 1, sign: str = "") -> str:
    """Write a number with so many digits behind the point; what rounds to nothing has no sign.

    A half is rounded as it reads: to the ninth digit first, for binary sums of the same numbers differ behind it.

    Args:
        value: the number.
        digits: behind the point.
        sign: ``+`` where numbers above nothing have one too.
    """
    text = f"{round(value, 9):{sign}.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"


def decimals(value: float) -> int:
    """Return how many digits behind the point a number was printed with, as far as records keep them: 1 of 53.5."""
    return max(0, -int(Decimal(f"{value:.6g}").as_tuple().exponent))


def headline(metrics: Mapping[str, float]) -> str:
    """Return the number that stands for all; the first one where none is known to."""
    return next((name for name in _HEADLINES if name in metrics), next(iter(metrics)))


def score(metrics: Mapping[str, float]) -> float | None:
    """Return the headline from 0, the worst, to 1; None where no such number is known.

    Of depth it is 1 less the depth estimation error, as RoboDepth has it.
    """
    if "abs_rel" in metrics and "d1" in metrics:
        return 1 - depth_error(metrics["abs_rel"], metrics["d1"])
    name = headline(metrics)
    known = measure(name)
    return metrics[name] / known.high if known.better > 0 and math.isfinite(known.high) else None
