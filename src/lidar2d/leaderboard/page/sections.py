"""Tables as the page's script reads them: every mean, deviation, interval and difference is taken here, none there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lidar2d.leaderboard import titles
from lidar2d.leaderboard.board import ALL, Kind, Resilience, Row, Table, digits, network, resilience
from lidar2d.leaderboard.intervals import Estimate
from lidar2d.leaderboard.markdown import PRINTED
from lidar2d.leaderboard.page.ledger import Ledger
from lidar2d.results.measures import measure
from lidar2d.results.record import CLEAR, Record, rounded, severity_of, spelt

_SOURCES = ("measured", "smoke", "paper")  # as they stand on the page
_ESTIMATES = {
    "mean": ("bad weather", 1, "mean score over all corruptions and severities"),
    "worst": ("worst", 1, "lowest score of a corruption and severity"),
    "gap": ("gap", -1, "score in clear air less that in bad weather"),
    "mrr": ("mRR", 1, "how much of the clear score is left, in percent"),
    "mce": ("mCE", -1, "errors beside those of the baseline, 100 the same"),
}


@dataclass(frozen=True)
class _Column:
    """A column whose numbers are spreads over seeds.

    Args:
        table: that they are of.
        condition: such as ``fog``.
        severity: of a corruption; 0 where the condition has none, None for the mean over all.
        metrics: that the column has, in the order of the section's; one alone stands in it whichever is chosen.
        fixed: the place of that one.
        label: at its head.
    """

    table: Table
    condition: str
    severity: int | None
    metrics: Sequence[str]
    fixed: int | None
    label: str

    @property
    def key(self) -> str:
        name = self.condition if self.severity is None else _spelt(self.condition, self.severity)
        share = "" if self.table.kind.labels == 100 else f"@{self.table.kind.labels}"
        return name + share + ("" if self.fixed is None else f":{self.metrics[0]}")

    def records(self, row: Row) -> list[Record]:
        found = row.by_condition
        if self.severity is not None:
            return list(found.get(_spelt(self.condition, self.severity), ()))
        return [r for severity in self.table.severities for r in found.get(spelt(self.condition, severity), ())]

    def means(self, row: Row) -> list[tuple[float, float | None] | None]:
        """Return mean and deviation of each metric."""
        if self.severity is None:
            found = [self.table.weather(row, self.condition, name) for name in self.metrics]
        else:
            found = [row.spread(_spelt(self.condition, self.severity), name) for name in self.metrics]
        return [None if each is None else (each.mean, each.deviation) for each in found]


def _spelt(condition: str, severity: int) -> str:
    return spelt(condition, severity) if severity else condition


def sections(tables: Iterable[Table], ledger: Ledger) -> list[dict[str, Any]]:
    """Return what the page shows of tables, those that were measured first."""
    by_kind: dict[Kind, list[Table]] = {}
    for table in sorted(tables, key=lambda each: _SOURCES.index(each.kind.source)):
        kind = replace(table.kind, labels=0) if _one_column(table) else table.kind
        by_kind.setdefault(kind, []).append(table)
    return [_section(sorted(own, key=lambda each: each.kind.labels), ledger) for own in by_kind.values()]


def _one_column(table: Table) -> bool:
    """Tell whether shares of the labels may stand side by side, as papers print them."""
    return not table.kind.weather and len(table.conditions) == 1


def _section(tables: Sequence[Table], ledger: Ledger) -> dict[str, Any]:
    last, several = tables[-1], len(tables) > 1
    kind = last.kind
    first = next(record for row in last.rows for record in row.records)
    metrics = _metrics(tables)
    columns = [column for table in tables for column in _columns(table, metrics, several)]
    rows = _rows(tables)
    numbers = [_numbers(column, rows, ledger) for column in columns]
    estimates = _estimates(last, rows) if kind.weather else []
    conditions = {name for table in tables for name in table.conditions}
    listed = [_row(method, own, conditions, ledger) for method, own in rows.items()]
    counts = {row["seeds"] for row in listed}
    share = "" if several or kind.whole else f", {kind.labels} % of the labels"
    return {
        "key": "/".join(part for part in (kind.source, kind.suite, kind.data, kind.protocol, kind.weather) if part)
        + (f"/{kind.labels}" if share else ""),
        "title": ", ".join(part for part in (titles.task(kind.protocol), titles.probe(kind.protocol)) if part) + share,
        "task": titles.task(kind.protocol),
        **{name: getattr(kind, name) for name in ("source", "suite", "data", "protocol", "weather")},
        "version": first.suite_version,
        "metrics": [{**_about(name), "digits": digits(tables, name)} for name in metrics],
        "columns": [*estimates, *numbers],
        "rows": listed,
        "seeds": counts.pop() if len(counts) == 1 and kind.source != "paper" else 0,  # 0 where rows differ
        "references": _references(last, rows),
        "severities": last.severities,
        "notes": _notes(last, estimates),
    }


def _rows(tables: Sequence[Table]) -> dict[str, dict[int, Row]]:
    """Return the rows of each method by their table's share of the labels; the order is that of the largest share."""
    found: dict[str, dict[int, Row]] = {}
    for table in reversed(tables):
        for row in table.rows:
            found.setdefault(row.method, {})[table.kind.labels] = row
    return found


def _metrics(tables: Sequence[Table]) -> list[str]:
    headlines = dict.fromkeys(table.metric for table in tables if table.metric)
    others = {name for table in tables for row in table.rows for record in row.records for name in record.metrics}
    return [*headlines, *sorted(others - set(headlines))]


def _about(name: str) -> dict[str, Any]:
    known = measure(name)
    title = {"name": name, "title": titles.metric(name), "unit": titles.unit(name)}
    return {**title, "better": known.better}


def _columns(table: Table, metrics: Sequence[str], several: bool) -> list[_Column]:
    """Return clear air first, then the mean over severities of each corruption, then each severity."""
    share = f"{table.kind.labels} % labels" if several else ""
    found = []
    plain = [name for name in table.conditions if severity_of(name)[0] not in table.corruptions or name == CLEAR]
    for condition in plain:
        label = share or titles.condition(condition)
        found += _plain(table, condition, metrics, label)
    found.sort(key=lambda column: (column.condition not in (CLEAR, ALL), column.fixed is None))
    for corruption in table.corruptions:
        found.append(_Column(table, corruption, None, metrics, None, titles.condition(corruption)))
    for corruption in table.corruptions:
        for severity in table.severities:
            label = f"{titles.condition(corruption)} {severity}"
            found.append(_Column(table, corruption, severity, metrics, None, label))
    return found


def _plain(table: Table, condition: str, metrics: Sequence[str], label: str) -> list[_Column]:
    """Return the column of a condition; where the headline was not measured, one for each number that was."""
    records = [record for row in table.rows for record in row.by_condition.get(condition, ())]
    own = {name for record in records for name in record.metrics}
    if table.metric in own:
        return [_Column(table, condition, 0, metrics, None, label)]
    return [_Column(table, condition, 0, [n], metrics.index(n), titles.metric(n)) for n in metrics if n in own]


def _numbers(column: _Column, rows: Mapping[str, Mapping[int, Row]], ledger: Ledger) -> dict[str, Any]:
    """Return a column with its cells, and how each differs from the rows to compare with."""
    labels = column.table.kind.labels
    own = {method: shares.get(labels) for method, shares in rows.items()}
    found = {method: [] if row is None else column.means(row) for method, row in own.items()}
    references = _references(column.table, rows)
    cells: list[dict[str, Any] | None] = []
    for method, row in own.items():
        values = found[method]
        if row is None or not any(each is not None for each in values):
            cells.append(None)
            continue
        less = [[_difference(values, found[other], k) for k in range(len(values))] for other in references]
        cells.append(
            {
                "mean": [None if each is None else rounded(each[0]) for each in values],
                "deviation": [None if each is None or each[1] is None else rounded(each[1]) for each in values],
                "less": less,
                "records": ledger.rows(column.records(row)),
            }
        )
    return {
        **{"kind": "number", "key": column.key, "label": column.label, "condition": column.condition},
        **{"severity": column.severity, "fixed": column.fixed, "cells": cells},
    }


def _difference(
    values: Sequence[tuple[float, float | None] | None], other: Sequence[tuple[float, float | None] | None], place: int
) -> float | None:
    one, two = values[place], other[place] if other else None
    return None if one is None or two is None else rounded(one[0] - two[0])


def _estimates(table: Table, rows: Mapping[str, Mapping[int, Row]]) -> list[dict[str, Any]]:
    """Return what bad weather does to each method, with intervals, and how that differs from others."""
    own = [shares.get(table.kind.labels) for shares in rows.values()]
    found = [None if row is None else resilience(table, row) for row in own]
    if not any(found):
        return []
    others = [table.row(name) for name in _references(table, rows)]
    apart = [
        [None if row is None or each is None or other is None else resilience(table, row, other) for other in others]
        for row, each in zip(own, found, strict=True)
    ]
    columns = []
    for name, (label, better, about) in _ESTIMATES.items():
        told: Callable[[Resilience | None], list[float | None] | None] = _teller(name)
        if not any(told(each) for each in found):
            continue
        cells = [
            None if (value := told(each)) is None else {"value": value, "less": [told(one) for one in less]}
            for each, less in zip(found, apart, strict=True)
        ]
        facts = {"kind": "estimate", "key": f"~{name}", "label": label, "better": better, "about": about}
        columns.append({**facts, "cells": cells})
    return columns


def _teller(name: str) -> Callable[[Resilience | None], list[float | None] | None]:
    def told(found: Resilience | None) -> list[float | None] | None:
        each: Estimate | None = None if found is None else getattr(found, name)
        if each is None:
            return None
        bounds = [] if each.low is None or each.high is None else [rounded(each.low), rounded(each.high)]
        return [rounded(each.value), *bounds]

    return told


def _references(table: Table, rows: Mapping[str, Any]) -> list[str]:
    """Return the methods that others are compared with: the frozen baseline's, and those that the suite names."""
    frozen = (table.baseline.method,) if table.baseline is not None else ()
    return [name for name in dict.fromkeys((*frozen, *table.against)) if name in rows]


def _row(method: str, own: Mapping[int, Row], conditions: Collection[str], ledger: Ledger) -> dict[str, Any]:
    records = [record for row in own.values() for record in row.records]
    fine = [record for record in records if not record.error]
    about = (fine or records)[0]
    return {
        "method": method,
        **{"teacher": network(about.teacher), "backbone": network(about.backbone)},
        "text": about.uses_text_supervision,
        "seeds": len({record.seed for record in fine}),
        "failed": ledger.rows(record for record in records if record.error),
        "records": ledger.rows(record for record in fine if record.judged_in in conditions),  # what numbers are made of
    }


def _notes(table: Table, estimates: Sequence[Any]) -> list[str]:
    found = []
    if table.severities:
        found.append(f"A corruption’s column is the mean over severities {', '.join(map(str, table.severities))}.")
    if estimates:
        found.append(
            "Robustness is told of scores from 0 to 100: mIoU, AP or recall as it is; of depth 100 (1 − DEE), "
            "DEE = (AbsRel − δ1 + 1) / 2. Brackets hold 95 % of the draws of scenes and seeds. No column tells much "
            "alone: where there is little to lose, little is lost."
        )
    if table.baseline is not None and estimates:
        frozen = table.baseline
        found.append(f"mCE is beside {frozen.network} ({frozen.name}@{frozen.version}, {frozen.digest}).")
    if table.kind.source == "paper" and any("mce" in record.metrics for row in table.rows for record in row.records):
        found.append(PRINTED)
    if ALL in table.conditions and len(table.conditions) > 1:
        found.append("“All frames” pools the frames of all conditions; it is not the mean of the columns beside it.")
    return found
