"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from lidar2d.leaderboard.board import ALL, Row, Spread, Table, resilience
from lidar2d.leaderboard.intervals import Estimate
from lidar2d.results.measures import measure
from lidar2d.results.record import CLEAR

_NONE = "–"
_ARROWS = {1: " ↑", -1: " ↓", 0: ""}


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table, the first column to the left and all others to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def number(value: float, metric: str) -> str:
    """Write a number with as many digits as its kind has."""
    return f"{value:.{measure(metric).digits}f}"


def spread(found: Spread | None, metric: str) -> str:
    """Write a number, with its deviation over seeds where there are several."""
    if found is None:
        return _NONE
    text = number(found.mean, metric)
    return text if found.deviation is None else f"{text} ± {number(found.deviation, metric)}"


def estimate(found: Estimate | None, signed: bool = False) -> str:
    """Write a number with its interval."""
    if found is None:
        return _NONE
    sign = "+" if signed else ""
    text = f"{found.value:{sign}.1f}"
    return text if found.low is None else f"{text} [{found.low:{sign}.1f}, {found.high:{sign}.1f}]"


def document(suite: str, tables: Sequence[Table]) -> str:
    """Write all tables of a suite."""
    first = tables[0].kind
    version = next(record.suite_version for row in tables[0].rows for record in row.records)
    source = {
        "measured": "Measured by lidar2d",
        "paper": "Published numbers, each with its citation; none of them was measured here",
        "smoke": "Quick runs that prove that all works, and nothing else",
    }[first.source]
    head = f"# {suite}\n\n{source}. Suite version {version}; made by `lidar2d table`, never edited by hand."
    return "\n\n".join([head, *map(section, tables)]) + "\n"


def section(table: Table, against: str | None = None) -> str:
    """Write a table with its title, and what bad weather does where it was judged in it.

    Args:
        table: the numbers.
        against: name of a row that others are compared with; the frozen baseline's where it is None.
    """
    parts = [f"## {table.kind.about}", _numbers(table)]
    if table.kind.weather:
        parts += _weather(table, against)
    failed = [f"- {r.method}, seed {r.seed}: {r.error}" for row in table.rows for r in row.records if r.error]
    return "\n\n".join([*parts, *(["Failed:\n\n" + "\n".join(failed)] if failed else [])])


def _numbers(table: Table) -> str:
    metric, kind = table.metric, table.kind
    if not metric:
        return "No evaluation succeeded."
    where = [CLEAR, *table.corruptions] if kind.weather else list(table.conditions)
    cited = kind.source == "paper"
    head = ["method", *(_column(name, metric) for name in where), "teacher", "backbone", "text", "seeds"]
    rows = []
    for row in table.rows:
        found = [row.weather(name, metric) if name in table.corruptions else row.spread(name, metric) for name in where]
        about = row.about
        networks = [about.teacher or _NONE, f"{about.backbone} {about.backend}".strip() or _NONE]
        text = "yes" if about.uses_text_supervision else "no"
        last = about.citation if cited else str(row.seeds)
        rows.append([row.method, *(spread(each, metric) for each in found), *networks, text, last])
    notes = []
    if any(row.seeds > 1 for row in table.rows):
        notes.append("± is the deviation over seeds.")
    if kind.weather:
        severities = ", ".join(map(str, table.severities))
        notes.insert(0, f"Columns of bad weather are means over severities {severities}.")
    return "\n\n".join([grid([*head[:-1], "citation" if cited else "seeds"], rows), *([" ".join(notes)] if notes else [])])


def _weather(table: Table, against: str | None) -> list[str]:
    found = [(row, each) for row in table.rows if (each := resilience(table, row)) is not None]
    if not found:
        return ["No method was judged in all of this weather."]
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
        "Scores from 0 to 100: mIoU, AP or recall as above; of depth 100 (1 - DEE), DEE = (AbsRel - δ1 + 1) / 2. Brackets: "
        "95 % of the draws of scenes and seeds. Worst: the lowest condition. No column tells much alone."
    )
    if frozen is not None:
        told += f" mCE is beside {frozen.network} ({frozen.name}@{frozen.version}, {frozen.digest})."
    parts = [grid(head, lines), told]
    other = table.row(against or (frozen.method if frozen is not None else ""))
    rows = [row for row, _ in found]
    if other is None or other not in rows:
        return parts
    return [*parts, f"Compared with {other.method}, of the same scenes and seeds:", _compared(table, rows, other)]


def _compared(table: Table, rows: Sequence[Row], other: Row) -> str:
    lines = []
    for row in rows:
        apart = resilience(table, row, other)
        if row is not other and apart is not None:
            numbers = (apart.clear, apart.mean, apart.worst, apart.gap, apart.mrr)
            lines.append([row.method, *(estimate(each, signed=True) for each in numbers)])
    return grid(["method", "clear", "bad weather", "worst", "gap", "mRR"], lines)


def _column(condition: str, metric: str) -> str:
    return f"{metric}{_ARROWS[measure(metric).better]}, {condition}" if condition in (CLEAR, ALL) else condition


def summary(tables: Sequence[Table]) -> str:
    """Write what a suite of bad weather came to in one table: of each protocol clear air, and bad weather."""
    shown = [table for table in tables if table.kind.weather and table.metric]
    if not shown:
        return "No method has been judged in bad weather yet."
    methods = list(dict.fromkeys(row.method for table in shown for row in table.rows))
    head = ["", *(f"{_short(table)}{_ARROWS[measure(table.metric).better]}" for table in shown)]
    lines = []
    for method in methods:
        cells = []
        for table in shown:
            row = table.row(method)
            values = (None, None) if row is None else (row.spread(CLEAR, table.metric), table.bad(row))
            clear, bad = (_NONE if each is None else number(each.mean, table.metric) for each in values)
            cells.append("" if row is None else f"{clear} → {bad}")
        lines.append([method, *cells])
    return grid(head, lines)


def _short(table: Table) -> str:
    return f"{table.kind.protocol.partition('/')[0]} {table.metric}"
