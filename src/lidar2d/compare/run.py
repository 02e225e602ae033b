"""One run as it is compared, whatever kept it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """A run of ``lidar2d fit``.

    Args:
        name: of its folder.
        place: where it was found.
        recipe: every setting.
        metrics: last value of each that was logged: ``STAGE/LOSS``, and the numbers of its report.
        finished: it came to its end.
    """

    name: str
    place: str
    recipe: dict[str, Any]
    metrics: dict[str, float]
    finished: bool
