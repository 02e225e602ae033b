"""What an mCE stands beside: the published scores of one network under each corruption, frozen, with a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from lidar2d import recipe
from lidar2d.errors import UsageError

_WORDS = ("name", "network", "citation", "table", "score", "unit")
_OWN_WORDS = ("data", "protocol", "weather", "method")  # of a baseline that was measured here
_OWN = (*_OWN_WORDS, "judged")
_KEYS = {*_WORDS, "version", "severities", "clear", "scores"}
# of the numbers in the file: the largest, and the share from 0 (worst) to 1 that one of them is
_UNITS: dict[str, tuple[float, Callable[[float], float]]] = {
    "percent": (100.0, lambda value: value / 100),
    "share": (1.0, lambda value: value),
    "error": (2.0, lambda value: 1 - value),  # RoboDepth's is about 1 at worst, and a little more is possible
}


@dataclass(frozen=True)
class Baseline:
    """The scores that an mCE is a ratio to.

    Args:
        name: of its file, such as ``robo3d-nuscenes-c``.
        version: goes up when a number changes, and no mCE of two versions share a table.
        network: whose scores they are.
        citation: who published them.
        table: where they stand.
        score: what they are, such as ``miou``.
        severities: of each corruption.
        clear: score without a corruption, from 0 (worst) to 1.
        scores: of each corruption, one a severity or their mean alone, from 0 (worst) to 1.
        digest: 12 digits that tell what the file says; they go beside every mCE.
        data: name of the card that it was measured on; "" of published ones, as all below.
        protocol: under which.
        weather: table of corruptions with its version.
        method: name of the row, in tables of records.
        judged: the severities themselves, such as (1, 3, 5).
    """

    name: str
    version: int
    network: str
    citation: str
    table: str
    score: str
    severities: int
    clear: float
    scores: Mapping[str, tuple[float, ...]]
    digest: str
    data: str = ""
    protocol: str = ""
    weather: str = ""
    method: str = ""
    judged: tuple[int, ...] = ()

    def of(self, data: str, protocol: str, weather: str, judged: Iterable[tuple[str, int]]) -> bool:
        """Tell whether scores of such a table are measured by these.

        Args:
            data: name of the table's card.
            protocol: of the table.
            weather: its table of corruptions with its version.
            judged: its corruptions, each with each of its severities: those must be the baseline's.
        """
        found = set(judged)
        same = bool(self.data) and (self.data, self.protocol, self.weather) == (data, protocol, weather)
        kinds = {name for name, _ in found}
        return same and kinds <= set(self.scores) and found == set(product(kinds, self.judged))

    def over(self, severities: int) -> dict[str, tuple[float, ...]]:
        """Return the scores of so many severities, as :mod:`lidar2d.results.robustness` takes them.

        One is the mean over all. Where the mean alone was published it stands for each severity: a corruption error
        is a ratio of sums, so the same comes out.

        Raises:
            UsageError: if the baseline has another number of severities.
        """
        if severities == 1:
            return {name: (sum(values) / len(values),) for name, values in self.scores.items()}
        if severities != self.severities:
            raise UsageError(f"baseline {self.name} has {self.severities} severities, and {severities} were judged")
        return {name: values * (severities // len(values)) for name, values in self.scores.items()}


def load_baseline(name: str) -> Baseline:
    """Read a baseline, such as ``robo3d-nuscenes-c``, or a file of your own (``./mine.json``).

    Raises:
        UsageError: naming the file and the key, if there is none, or its numbers mean nothing.
    """
    path = recipe.find("baselines", name)
    given = recipe.read(path)
    try:
        return _made(given, path)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _made(given: Mapping[str, Any], path: Path) -> Baseline:
    own = [key for key in _OWN if key in given]
    if own and len(own) < len(_OWN):
        raise UsageError(f"a baseline with {own[0]} needs all of {', '.join(_OWN)}")
    if unlike := sorted(_KEYS ^ (set(given) - set(own))):
        raise UsageError(f"{'unknown' if unlike[0] in given else 'missing'} key '{unlike[0]}'")
    words = (*_WORDS, *_OWN_WORDS) if own else _WORDS
    for key in words:
        if not isinstance(given[key], str) or not given[key]:
            raise UsageError(f"{key} is {given[key]!r:.60}; it must be a text")
    if given["name"] != path.stem:
        raise UsageError(f"name is {given['name']!r:.60}; a baseline is called as its file, {path.stem}")
    if given["unit"] not in _UNITS:
        raise UsageError(f"unit is {given['unit']!r:.60}; known: {', '.join(_UNITS)}")
    severities, table = _whole(given, "severities"), given["scores"]
    judged = _judged(given["judged"], severities) if own else ()
    if not isinstance(table, Mapping) or not table:
        raise UsageError("scores must hold a list of numbers for each corruption")
    scores = {name: _scores(values, severities, given["unit"], f"scores.{name}") for name, values in table.items()}
    return Baseline(
        **{key: given[key] for key in words if key != "unit"},
        version=_whole(given, "version"),
        severities=severities,
        clear=_share(given["clear"], given["unit"], "clear"),
        scores=scores,
        digest=recipe.digest(path),
        judged=judged,
    )


def _whole(given: Mapping[str, Any], key: str) -> int:
    if type(given[key]) is not int or given[key] < 1:
        raise UsageError(f"{key} is {given[key]!r:.60}; it must be a whole number from 1")
    return int(given[key])


def _judged(given: Any, count: int) -> tuple[int, ...]:
    whole = isinstance(given, list) and all(type(each) is int and each > 0 for each in given)
    if not whole or not len(given) == len(set(given)) == count:
        raise UsageError(f"judged is {given!r:.60}; it must list as many severities as there are, {count}")
    return tuple(given)


def _scores(values: Any, severities: int, unit: str, where: str) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) not in (1, severities):
        raise UsageError(f"{where} is {values!r:.60}; give one number a severity ({severities}), or their mean: [50.0]")
    found = tuple(_share(value, unit, where) for value in values)
    if all(score == 1 for score in found):
        raise UsageError(f"{where} has no error, so nothing can be a ratio to it")
    return found


def _share(value: Any, unit: str, where: str) -> float:
    largest, share = _UNITS[unit]
    if type(value) not in (int, float) or not 0 <= value <= largest:
        raise UsageError(f"{where} holds {value!r:.60}; numbers of unit {unit} are 0 to {largest:g}")
    return share(value)
