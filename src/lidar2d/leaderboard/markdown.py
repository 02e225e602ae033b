"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lidar2d.leaderboard import titles
from lidar2d.leaderboard.board import ALL, Kind, Row, Spread, Table, digits, network, resilience
from lidar2d.leaderboard.intervals import Estimate
from lidar2d.results.measures import measure, written
from lidar2d.results.record import CLEAR

_NONE = "–"
_ARROWS = {1: " ↑", -1: " ↓", 0: ""}
_NETWORKS = ("teacher", "backbone", "text")
_DEVIATION = "± is the deviation over seeds."
_SOURCES = {
    "measured": "Measured by lidar2d.",
    "paper": "Published numbers, each with its citation; none of them was measured here.",
    "smoke": "Quick runs that prove that all works, and nothing else.",
}
_COLUMNS = (
    "In the column *text*: whether a network that knows words took part in the teaching. "
    "In columns of *all*: the frames of all conditions, pooled."
)
PRINTED = "mCE is as it was printed, beside a baseline of its authors; docs/evaluation.md says which."


def as_text(text: str) -> str:
    """Write text of a record so that Markdown takes it as text: in one line, no end of a cell and no HTML in it."""
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "&#124;")


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table, the first column to the left and all others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(as_text, cells))} |" for cells in (head, rule, *rows))


def spread(found: Spread | None, places: int) -> str:
    """Write a number with so many digits behind the point, with its deviation over seeds where there are several."""
    if found is None:
        return _NONE
    text = written(found.mean, places)
    return text if found.deviation is None else f"{text} ± {written(found.deviation, places)}"


def estimate(found: Estimate | None, signed: bool = False) -> str:
    """Write a number with its interval."""
    if found is None:
        return _NONE
    sign = "+" if signed else ""
    text = written(found.value, 1, sign)
    bounds = [written(each, 1, sign) for each in (found.low, found.high) if each is not None]
    return f"{text} [{', '.join(bounds)}]" if bounds else text


def document(suite: str, tables: Sequence[Table]) -> str:
    """Write all tables of a suite."""
    version = next(record.suite_version for row in tables[0].rows for record in row.records)
    about = f"Suite version {version}; made by `lidar2d table`, never edited by hand. {_COLUMNS}"
    return "\n\n".join([f"# {suite}", about, *sections(tables)]) + "\n"


def sections(tables: Sequence[Table], against: str | None = None) -> list[str]:
    """Write tables, those that differ in the share of the labels alone as one, after where their numbers are from.

    Args:
        tables: the numbers.
        against: row that others are compared with in bad weather; those that the suite names where it is None.
    """
    found = []
    for source, about in _SOURCES.items():
        groups: dict[Kind, list[Table]] = {}
        for table in (each for each in tables if each.kind.source == source):
            kind = table.kind if table.severities else replace(table.kind, labels=0)
            groups.setdefault(kind, []).append(table)
        shown = [_section(sorted(own, key=lambda each: each.kind.labels), against) for own in groups.values()]
        found += [about, *shown] if shown else []
    return found


def _section(tables: Sequence[Table], against: str | None) -> str:
    whole = tables[0].kind if len(tables) == 1 else replace(tables[0].kind, labels=100)
    records = [record for table in tables for row in table.rows for record in row.records]
    failed = [f"- {r.method}, seed {r.seed}: {as_text(r.error)}" for r in records if r.error]
    shown = _weather(tables[0], against) if tables[0].severities else [_plain(tables)]
    return "\n\n".join([f"## {as_text(whole.about)}", *shown, *(["Failed:\n\n" + "\n".join(failed)] if failed else [])])


@dataclass(frozen=True)
class Column:
    """One column of numbers."""

    table: Table
    condition: str
    metric: str

    @property
    def name(self) -> str:
        """What the column is sorted by."""
        return self.condition if self.metric == self.table.metric else self.metric

    def title(self, several: bool) -> str:
        """Return its head; the share of the labels where there are several."""
        share = [f"{self.table.kind.labels} %"] if several else []
        metric = self.metric + _ARROWS[measure(self.metric).better]
        if self.metric != self.table.metric:
            return ", ".join([*share, metric])
        if self.condition != ALL:
            return ", ".join([*share, self.condition])
        alone = len(self.table.conditions) == 1
        return share[0] if several else metric if alone else f"{metric}, {ALL}"

    def of(self, method: str) -> Spread | None:
        """Return a method's number."""
        row = self.table.row(method)
        return None if row is None else row.spread(self.condition, self.metric)


def _plain(tables: Sequence[Table]) -> str:
    """Write tables of different shares of the labels as one: a column a share, or a condition."""
    several, paper = len(tables) > 1, tables[0].kind.source == "paper"
    columns = [column for table in tables for column in shown_columns(table, several)]
    if not columns:
        return "No evaluation succeeded."
    citations = list(dict.fromkeys(r.citation for table in tables for row in table.rows for r in row.records))
    lines = []
    for method in dict.fromkeys(row.method for table in reversed(tables) for row in table.rows):  # as the page has them
        rows = [row for table in tables if (row := table.row(method)) is not None]
        own = dict.fromkeys(record.citation for row in rows for record in row.records)
        last = " ".join(f"[{citations.index(each) + 1}]" for each in own) if paper else str(max(r.seeds for r in rows))
        numbers = [spread(column.of(method), digits(tables, column.metric)) for column in columns]
        lines.append([method, *numbers, *_networks(rows[0]), last])
    head = ["method", *(column.title(several) for column in columns), *_NETWORKS, "source" if paper else "seeds"]
    metric = tables[0].metric + _ARROWS[measure(tables[0].metric).better]
    alone = [each for each in columns if each.metric == tables[0].metric and each.condition != ALL]
    notes = [f"{metric} by the share of the labels."] if several else [f"{metric} in each condition."] if alone else []
    notes += [PRINTED] if paper and any(column.metric == "mce" for column in columns) else []
    notes += [_DEVIATION] if any(row.seeds > 1 for table in tables for row in table.rows) else []
    notes += [f"\\[{number}\\] {as_text(text)}" for number, text in enumerate(citations, start=1) if paper]
    return "\n\n".join([grid(head, lines), *notes])


def shown_columns(table: Table, several: bool = False) -> list[Column]:
    """Return a table's headline in each condition, over all frames alone where there are several tables."""
    conditions = [ALL] if several and ALL in table.conditions else table.conditions
    found = []
    for condition in conditions:
        known = {name for row in table.rows for r in row.by_condition.get(condition, ()) for name in r.metrics}
        metrics = [table.metric] if table.metric in known else sorted(known)
        found += [Column(table, condition, metric) for metric in metrics]
    return found


def _networks(row: Row) -> list[str]:
    about = row.about
    backbone = f"{network(about.backbone)} {about.backend}".strip()
    return [network(about.teacher) or _NONE, backbone or _NONE, "yes" if about.uses_text_supervision else "no"]


def _numbers(table: Table) -> str:
    """Write the headline in clear air and in each kind of bad weather."""
    metric = table.metric
    called = metric + _ARROWS[measure(metric).better]
    head = ["method", f"{called}, {CLEAR}", *table.corruptions, *_NETWORKS, "seeds"]
    lines = []
    for row in table.rows:
        found = [row.spread(CLEAR, metric), *(table.weather(row, name, metric) for name in table.corruptions)]
        numbers = [spread(each, digits([table], metric)) for each in found]
        lines.append([row.method, *numbers, *_networks(row), str(row.seeds)])
    severities = ", ".join(map(str, table.severities))
    notes = [f"Columns of bad weather: {called}, means over severities {severities}."]
    notes += [_DEVIATION] if any(row.seeds > 1 for row in table.rows) else []
    return f"{grid(head, lines)}\n\n{' '.join(notes)}"


def _weather(table: Table, against: str | None) -> list[str]:
    found = [(row, each) for row in table.rows if (each := resilience(table, row)) is not None]
    if not found:
        return [_numbers(table), "No method was judged in all of this weather."]
    frozen = table.baseline
    head = ["method", "clear ↑", "bad weather ↑", "worst ↑", "gap ↓", "mRR ↑", *(["mCE ↓"] if frozen else [])]
    lines = [
        [
            *(row.method, estimate(each.clear), estimate(each.mean), estimate(each.worst)),
            *(estimate(each.gap), estimate(each.mrr), *([estimate(each.mce)] if frozen else [])),
        ]
        for row, each in found
    ]
    told = (
        "Scores from 0 to 100: mIoU, AP or recall as above; of depth 100 (1 - DEE), DEE = (AbsRel - δ1 + 1) / 2. "
        "Brackets: 95 % of the draws of scenes and seeds. Worst: the lowest condition. No column tells much alone."
    )
    if frozen is not None:
        told += f" mCE is beside {frozen.network} ({frozen.name}@{frozen.version}, {frozen.digest})."
    parts = [_numbers(table), grid(head, lines), told]
    rows = [row for row, _ in found]
    for name in table.against if against is None else (against,):
        other = table.row(name)
        if other in rows:
            title = f"Compared with {name}, on the same draws of scenes and seeds:"
            parts += [title, _compared(table, rows, other)]
    return parts


def _compared(table: Table, rows: Sequence[Row], other: Row) -> str:
    lines = []
    for row in rows:
        apart = resilience(table, row, other)
        if row is not other and apart is not None:
            numbers = (apart.clear, apart.mean, apart.worst, apart.gap, apart.mrr)
            lines.append([row.method, *(estimate(each, signed=True) for each in numbers)])
    return grid(["method", "clear", "bad weather", "worst", "gap", "mRR"], lines)


def summary(tables: Sequence[Table]) -> str:
    """Write what a suite of bad weather came to in one table: of each protocol clear air, and bad weather."""
    found = [table for table in tables if table.kind.weather and table.metric]
    shown = sorted(found, key=lambda table: titles.place(table.kind.protocol))
    if not shown:
        return "No method has been judged in bad weather yet."
    methods = list(dict.fromkeys(row.method for table in shown for row in table.rows))
    lines = []
    for method in methods:
        cells = []
        for table in shown:
            row = table.row(method)
            values = (None, None) if row is None else (row.spread(CLEAR, table.metric), table.bad(row, table.metric))
            places = digits([table], table.metric)
            clear, bad = (_NONE if each is None else written(each.mean, places) for each in values)
            cells.append("" if row is None else f"{clear} → {bad}")
        lines.append([method, *cells])
    return grid(["", *_heads(shown)], lines)


def _heads(tables: Sequence[Table]) -> list[str]:
    """Name tables by task and number, and by all that they are about where that is not enough."""
    found = []
    names = [f"{titles.task(table.kind.protocol)}: {titles.metric(table.metric)}" for table in tables]
    for name, table in zip(names, tables, strict=True):
        whole = name if names.count(name) == 1 else f"{name} ({table.kind.about})"
        found.append(whole + _ARROWS[measure(table.metric).better])
    return found
