"""Records side by side: a table for each protocol, a row for each method, means and deviations over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev

import numpy as np

from lidar2d.errors import DataError
from lidar2d.leaderboard.intervals import Draws, Estimate, estimate, over_seeds
from lidar2d.results.baseline import Baseline
from lidar2d.results.measures import headline, measure, score
from lidar2d.results.record import CLEAR, Record, Source
from lidar2d.results.robustness import Robustness, summary

ALL = "all"


@dataclass(frozen=True)
class Kind:
    """What numbers must share to stand in one table."""

    suite: str
    source: Source
    data: str
    protocol: str
    labels: int
    weather: str  # table of corruptions with its version

    @property
    def about(self) -> str:
        """What the table is about, in a line."""
        share = {100: "", 0: ", no labels"}.get(self.labels, f", {self.labels} % of the labels")
        return f"{self.protocol} on {self.data}{share}" + (f", {self.weather}" if self.weather else "")


@dataclass(frozen=True)
class Spread:
    """A number over seeds."""

    mean: float
    deviation: float | None  # None of one seed
    count: int


@dataclass(frozen=True)
class Row:
    """What one method came to.

    Args:
        method: name of the row.
        records: of all conditions and seeds.
    """

    method: str
    records: tuple[Record, ...]

    @cached_property
    def by_condition(self) -> dict[str, tuple[Record, ...]]:
        """The records of each condition, such as ``fog-3``, those without numbers left out."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            if not record.error:
                found.setdefault(record.judged_in, []).append(record)
        return {name: tuple(sorted(own, key=lambda record: record.seed)) for name, own in found.items()}

    @property
    def about(self) -> Record:
        """A record that says which networks these are."""
        return next((record for record in self.records if not record.error), self.records[0])

    @property
    def seeds(self) -> int:
        """How many seeds have numbers."""
        return len({record.seed for record in self.records if not record.error})

    def spread(self, condition: str, metric: str) -> Spread | None:
        """Return a number under a condition, over seeds."""
        return spread([r.metrics[metric] for r in self.by_condition.get(condition, ()) if metric in r.metrics])

    def weather(self, corruption: str, metric: str) -> Spread | None:
        """Return a number under a corruption, the mean over its severities, over seeds."""
        by_seed: dict[int, list[float]] = {}
        for own in self.by_condition.values():
            for record in own:
                if record.severity and record.condition == corruption and metric in record.metrics:
                    by_seed.setdefault(record.seed, []).append(record.metrics[metric])
        return spread([fmean(values) for values in by_seed.values()])


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and deviation of numbers, one a seed; None of none."""
    if not values:
        return None
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Table:
    """Methods that compare.

    Args:
        kind: what their numbers share.
        metric: that they are ranked by.
        conditions: in which they were judged, such as ``clear`` and ``fog-3``.
        rows: the best first.
        baseline: frozen scores that errors are measured by, where there are such.
        against: rows that the others are compared with.
    """

    kind: Kind
    metric: str
    conditions: tuple[str, ...]
    rows: tuple[Row, ...]
    baseline: Baseline | None = None
    against: tuple[str, ...] = ()

    @property
    def corruptions(self) -> list[str]:
        """The kinds of bad weather, as the records name them."""
        listed = [record for row in self.rows for record in row.records if record.severity]
        return list(dict.fromkeys(record.condition for record in listed))

    @property
    def severities(self) -> list[int]:
        """Those of the bad weather."""
        return sorted({record.severity for row in self.rows for record in row.records if record.severity})

    def bad(self, row: Row) -> Spread | None:
        """Return a row's headline in bad weather: the mean over corruptions of that over severities, over seeds."""
        by_seed: dict[int, dict[str, list[float]]] = {}
        for records in row.by_condition.values():
            for record in records:
                if record.severity and self.metric in record.metrics:
                    own = by_seed.setdefault(record.seed, {})
                    own.setdefault(record.condition, []).append(record.metrics[self.metric])
        return spread([fmean(map(fmean, own.values())) for own in by_seed.values()])

    def row(self, method: str) -> Row | None:
        """Return the row of a method."""
        return next((row for row in self.rows if row.method == method), None)


@dataclass(frozen=True)
class Resilience:
    """What bad weather does to a method, in percent of the score, with intervals."""

    clear: Estimate
    mean: Estimate
    worst: Estimate
    gap: Estimate
    mrr: Estimate
    mce: Estimate | None


@dataclass(frozen=True)
class _Scores:
    """Scores of one method: of everything, and of each draw."""

    clear: float
    bad: Mapping[str, Sequence[float]]
    clear_draws: Draws | None
    bad_draws: Mapping[str, Sequence[Draws]] | None


def resilience(table: Table, row: Row, against: Row | None = None) -> Resilience | None:
    """Return what bad weather does to a method; None where it was not judged in all weather of the table.

    Args:
        table: which conditions there are, and the frozen baseline.
        row: the method.
        against: another one, whose numbers are taken off.
    """
    own = _scores(table, row)
    other = _scores(table, against) if against is not None else None
    if own is None or (against is not None and other is None):
        return None
    frozen = table.baseline.scores if table.baseline is not None else None
    values = [summary(each.bad, each.clear, frozen) for each in (own, other) if each is not None]
    drawn = [_drawn(each, frozen) for each in (own, other) if each is not None]

    def one(name: str) -> Estimate:
        numbers = [getattr(each, name) for each in values]
        draws = [None if each is None else np.array([getattr(draw, name) for draw in each]) for each in drawn]
        if len(numbers) == 1:
            return estimate(numbers[0], draws[0])
        both = None if draws[0] is None or draws[1] is None else draws[0] - draws[1]
        return estimate(numbers[0] - numbers[1], both)

    mce = one("mce") if frozen is not None else None
    return Resilience(one("clear"), one("mean"), one("worst"), one("gap"), one("mrr"), mce)


def _scores(table: Table, row: Row) -> _Scores | None:
    found: dict[str, float] = {}
    draws: dict[str, Draws] = {}
    for condition in table.conditions:
        records = row.by_condition.get(condition, ())
        values = [score(record.metrics) for record in records]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        found[condition] = fmean(known)
        drawn = over_seeds([record.draws for record in records])
        if drawn is not None:
            draws[condition] = drawn
    severities = {name: [c for c in table.conditions if _corruption(c) == name] for name in table.corruptions}
    if CLEAR not in found or not severities:
        return None
    bad = {name: [found[c] for c in own] for name, own in severities.items()}
    if len(draws) < len(found):
        return _Scores(found[CLEAR], bad, None, None)
    return _Scores(found[CLEAR], bad, draws[CLEAR], {name: [draws[c] for c in own] for name, own in severities.items()})


def _corruption(condition: str) -> str:
    return condition.rpartition("-")[0]


def _drawn(scores: _Scores, frozen: Mapping[str, Sequence[float]] | None) -> list[Robustness] | None:
    if scores.clear_draws is None or scores.bad_draws is None:
        return None
    return [
        summary(
            {name: [float(each[row]) for each in own] for name, own in scores.bad_draws.items()}, float(clear), frozen
        )
        for row, clear in enumerate(scores.clear_draws)
    ]


def tables(records: Iterable[Record], baselines: Sequence[Baseline] = (), against: tuple[str, ...] = ()) -> list[Table]:
    """Lay records out as tables, the best row of each first.

    Args:
        records: of one suite, or of several.
        baselines: frozen scores; each table takes those that are of its kind.
        against: rows that the others are compared with.

    Raises:
        DataError: if records of one table do not compare.
    """
    by_kind: dict[Kind, list[Record]] = {}
    for record in records:
        kind = Kind(record.suite, record.source, record.data, record.protocol, record.labels, record.weather)
        by_kind.setdefault(kind, []).append(record)
    _join_failed(by_kind)
    made = [_table(kind, own, baselines) for kind, own in sorted(by_kind.items(), key=lambda each: each[0].about)]
    return [replace(table, against=tuple(name for name in against if table.row(name))) for table in made]


def _join_failed(by_kind: dict[Kind, list[Record]]) -> None:
    """Put what failed, which says nothing of the weather, beside what did not."""
    for kind in [kind for kind, own in by_kind.items() if not kind.weather and all(r.error for r in own)]:
        weathered = [each for each in by_kind if each.weather and replace(each, weather="") == kind]
        if weathered:
            by_kind[weathered[0]].extend(by_kind.pop(kind))


def _table(kind: Kind, records: Sequence[Record], baselines: Sequence[Baseline]) -> Table:
    for name in ("suite_version", "asked"):
        found = sorted({str(getattr(record, name)) for record in records if not record.error})
        if len(found) > 1:
            first, other = (next(r for r in records if str(getattr(r, name)) == value) for value in found[:2])
            raise DataError(
                f"{kind.suite}: {kind.about} mixes records of {name} {found[0]} ({first.method}, seed {first.seed}) "
                f"and {found[1]} ({other.method}, seed {other.seed}); they do not compare"
            )
    fine = [record for record in records if not record.error]
    metric = headline({name: 0.0 for record in fine for name in record.metrics}) if fine else ""
    methods: dict[str, list[Record]] = {}
    for record in records:
        methods.setdefault(record.method, []).append(record)
    rows = [Row(name, tuple(own)) for name, own in methods.items()]
    conditions = sorted({record.judged_in for record in fine}, key=lambda name: (name != CLEAR, name == ALL, name))
    frozen = next((each for each in baselines if each.of(kind.data, kind.protocol, kind.weather)), None)
    table = Table(kind, metric, tuple(c for c in conditions if not (kind.weather and c == ALL)), tuple(rows), frozen)
    return replace(table, rows=tuple(sorted(rows, key=lambda row: _rank(table, row))))


def _rank(table: Table, row: Row) -> tuple[int, float, str]:
    """Order rows by their mean score in bad weather, and else by their headline over all frames."""
    found = resilience(table, row)
    if found is not None:
        return 0, -found.mean.value, row.method
    where = ALL if ALL in row.by_condition else next(iter(row.by_condition), "")
    number = row.spread(where, table.metric)
    return 1, math.inf if number is None else -(measure(table.metric).better or 1) * number.mean, row.method
