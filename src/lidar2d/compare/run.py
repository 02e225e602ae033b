"""One run as it is compared, whatever kept it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lidar2d.arguments import flags
from lidar2d.errors import DataError


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


def as_settings(recipe: dict[str, Any], where: object) -> dict[str, Any]:
    """Return a recipe's settings by the names of their flags.

    Args:
        recipe: as it was read.
        where: it stands, for the error.

    Raises:
        DataError: if it holds what no flag can say: a date, or a part of itself.
    """
    try:
        json.dumps(recipe)
        return flags(recipe)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: is no recipe of a run: {error}") from None
