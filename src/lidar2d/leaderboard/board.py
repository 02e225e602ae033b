"""Records side by side: a table for each protocol, a row for each method, means and deviations over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

import numpy as np

from lidar2d.errors import DataError
from lidar2d.leaderboard.intervals import Draws, Estimate, estimate, over_seeds
from lidar2d.results.baseline import Baseline
from lidar2d.results.measures import decimals, headline, measure, score
from lidar2d.results.record import CLEAR, Record, Source, severity_of
from lidar2d.results.robustness import Robustness, summary

ALL = "all"
_FILES = (".safetensors", ".pt", ".pth")  # of weights
CORRUPTED = "corrupted"  # the condition of published numbers that are of all corruptions together


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
    def whole(self) -> bool:
        """Whether all labels, or none, taught the heads: shares have several draws, each of other frames."""
        return self.labels in (0, 100)

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

    @cached_property
    def seeds(self) -> int:
        """How many seeds have numbers."""
        return len({record.seed for record in self.records if not record.error})

    def spread(self, condition: str, metric: str) -> Spread | None:
        """Return a number under a condition, over seeds."""
        return spread([r.metrics[metric] for r in self.by_condition.get(condition, ()) if metric in r.metrics])

    def every_seed(self, condition: str, metric: str) -> list[float] | None:
        """Return a number under a condition, one a seed in their order; None where a seed lacks it."""
        found = [r.metrics[metric] for r in self.by_condition.get(condition, ()) if metric in r.metrics]
        return found if len(found) == self.seeds else None


def digits(tables: Sequence[Table], metric: str) -> int:
    """Return how many digits a number has behind the point: as its kind has, or as the longest was published with."""
    if tables[0].kind.source != "paper":
        return measure(metric).digits
    records = [record for table in tables for row in table.rows for record in row.records]
    return max((decimals(r.metrics[metric]) for r in records if metric in r.metrics), default=measure(metric).digits)


def network(label: str) -> str:
    """Name a network without the file that its weights came from, which a record tells as well."""
    return " ".join(word for word in label.split() if not word.endswith(_FILES))


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and deviation of numbers, one a seed; None of none."""
    if not values:
        return None
    mean, count = fmean(values), len(values)
    # statistics.stdev counts in fractions, a hundred times as long: a page has hundreds of thousands of cells
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean, math.sqrt(squares / (count - 1)) if count > 1 else None, count)


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

    @cached_property
    def corruptions(self) -> list[str]:
        """The kinds of bad weather, as the records name them."""
        listed = [record for row in self.rows for record in row.records if record.severity]
        return list(dict.fromkeys(record.condition for record in listed))

    @cached_property
    def worsened(self) -> dict[str, list[str]]:
        """The conditions of each kind of bad weather, such as ``fog-1`` and ``fog-3`` of ``fog``."""
        return {name: [c for c in self.conditions if severity_of(c)[0] == name] for name in self.corruptions}

    def weather(self, row: Row, corruption: str, metric: str) -> Spread | None:
        """Return a number under a corruption, the mean over its severities, over seeds.

        None of a row that some seed lacks a severity of: a mean over others would flatter it.
        """
        return self._over_severities(row, metric, [corruption])

    def bad(self, row: Row, metric: str) -> Spread | None:
        """Return a number in bad weather: the mean over corruptions of that over severities; None as above."""
        return self._over_severities(row, metric, self.corruptions)

    def _over_severities(self, row: Row, metric: str, corruptions: Sequence[str]) -> Spread | None:
        means = []
        for name in corruptions:
            found = [row.every_seed(condition, metric) for condition in self.worsened[name]]
            whole = [numbers for numbers in found if numbers is not None]
            if len(whole) < len(found):
                return None
            means.append([fmean(own) for own in zip(*whole, strict=True)])
        return spread([fmean(own) for own in zip(*means, strict=True)])

    @cached_property
    def severities(self) -> list[int]:
        """Those of the bad weather."""
        return sorted({record.severity for row in self.rows for record in row.records if record.severity})

    def row(self, method: str) -> Row | None:
        """Return the row of a method."""
        return next((row for row in self.rows if row.method == method), None)

    @cached_property
    def judged(self) -> dict[str, Judged | None]:
        """What bad weather does to each method; None where it was not judged in all weather of the table."""
        frozen = self.baseline.scores if self.baseline is not None else None
        scores = {row.method: _scores(self, row) for row in self.rows}
        return {
            method: None if each is None else Judged(summary(each.bad, each.clear, frozen), _drawn(each, frozen))
            for method, each in scores.items()
        }


@dataclass(frozen=True)
class Judged:
    """Robustness of one method: of everything, and of each draw where there are draws."""

    whole: Robustness
    draws: Sequence[Robustness] | None

    def number(self, name: str) -> tuple[float, Draws | None]:
        """Return one of its numbers, such as ``mrr``, and its draws where each of them has it."""
        drawn = [getattr(each, name) for each in self.draws or ()]
        return getattr(self.whole, name), np.array(drawn) if drawn and None not in drawn else None


@dataclass(frozen=True)
class Resilience:
    """What bad weather does to a method, in percent of the score, with intervals."""

    clear: Estimate
    mean: Estimate
    worst: Estimate
    gap: Estimate
    mrr: Estimate | None  # none where the clear score is nothing
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
    own = table.judged[row.method]
    other = table.judged[against.method] if against is not None else None
    if own is None or (against is not None and other is None):
        return None

    def one(name: str) -> Estimate:
        value, draws = own.number(name)
        if other is None:
            return estimate(value, draws)
        less, others = other.number(name)
        if draws is None or others is None or len(draws) != len(others):  # no draw of one has its twin in the other
            return estimate(value - less, None)
        return estimate(value - less, draws - others)

    def known(name: str) -> Estimate | None:
        return None if None in (getattr(each.whole, name) for each in (own, other or own)) else one(name)

    return Resilience(one("clear"), one("mean"), one("worst"), one("gap"), known("mrr"), known("mce"))


def _scores(table: Table, row: Row) -> _Scores | None:
    found: dict[str, float] = {}
    draws: dict[str, Draws] = {}
    for condition in table.conditions:
        records = row.by_condition.get(condition, ())
        if len(records) < row.seeds:
            return None
        values = [score(record.metrics) for record in records]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        found[condition] = fmean(known)
        drawn = over_seeds([record.draws for record in records])
        if drawn is not None:
            draws[condition] = drawn
    if CLEAR not in found or not table.worsened:
        return None
    bad = {name: [found[c] for c in own] for name, own in table.worsened.items()}
    if len(draws) < len(found) or len({len(each) for each in draws.values()}) > 1:
        return _Scores(found[CLEAR], bad, None, None)
    return _Scores(
        found[CLEAR], bad, draws[CLEAR], {name: [draws[c] for c in own] for name, own in table.worsened.items()}
    )


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
    for name in ("suite_version", "asked", *(["data_list"] if kind.whole else [])):
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
    before = (CLEAR, CORRUPTED)
    conditions = sorted({r.judged_in for r in fine}, key=lambda name: (name not in before, name == ALL, name))
    bad = {(r.condition, r.severity) for r in fine if r.severity}
    frozen = next((b for b in baselines if kind.whole and b.of(kind.data, kind.protocol, kind.weather, bad)), None)
    table = Table(kind, metric, tuple(c for c in conditions if not (kind.weather and c == ALL)), tuple(rows), frozen)
    return replace(table, rows=tuple(sorted(rows, key=lambda row: _rank(table, row))))


def _rank(table: Table, row: Row) -> tuple[int, float, str]:
    """Order rows by their mean score in bad weather, by a published mCE, and else by their headline over all frames."""
    found = resilience(table, row)
    if found is not None:
        return 0, -found.mean.value, row.method
    printed = row.spread(CORRUPTED, "mce")
    if printed is not None:
        return 1, printed.mean, row.method
    where = ALL if ALL in row.by_condition else next(iter(row.by_condition), "")
    number = row.spread(where, table.metric)
    return 2, math.inf if number is None else -(measure(table.metric).better or 1) * number.mean, row.method
