"""``lidar2d table``: its words, and what it does. Imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lidar2d import words
from lidar2d.errors import UsageError, nearest
from lidar2d.leaderboard.board import Row, Table
from lidar2d.leaderboard.files import Suite, differences, read, wanted, write
from lidar2d.leaderboard.markdown import sections, shown_columns
from lidar2d.paths import expanded
from lidar2d.results.measures import measure
from lidar2d.results.record import CLEAR
from lidar2d.results.store import Store

HEADS = ("results", "readme", "suite", "sort", "against", "check", "html", "gallery")


def table(argv: Sequence[str]) -> int:
    """Write the tables, print those of one suite, or say where files differ from the records; return how many do.

    Raises:
        UsageError: for what the user can mend.
    """
    words.check_heads("table", argv, HEADS)
    check = "--check" in argv
    rest = [word for word in argv if word != "--check"]
    results, rest = words.take(rest, "--results")
    readme, rest = words.take(rest, "--readme")
    suite, rest = words.take(rest, "--suite")
    sort, rest = words.take(rest, "--sort")
    against, rest = words.take(rest, "--against")
    html, rest = words.take(rest, "--html")
    galleries, rest = words.several(rest, "--gallery")
    if rest:
        raise UsageError(f"table takes no word '{rest[0]}'")
    if suite is None and (sort is not None or against is not None):
        raise UsageError(f"{'--sort' if sort is not None else '--against'} belongs to one suite's tables: --suite NAME")
    if sum((check, suite is not None, html is not None)) > 1:
        raise UsageError("give one of --check, --suite NAME and --html DIR")
    if galleries and html is None:
        raise UsageError("--gallery belongs to the page: --html DIR")
    folder = expanded(results or "results")
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; records lie below it: --results DIR")
    store = Store(folder)
    suites = read(store)
    if not suites:
        raise UsageError(f"there are no records below {folder}; they lie in DIR/SUITE/METHOD.jsonl: --results DIR")
    if suite is not None:
        print(_printed(suites, suite, sort, against))
        return 0
    if html is not None:
        from lidar2d.leaderboard.page import write_page

        page = write_page(
            [each for own in suites for each in own.tables], expanded(html), list(map(expanded, galleries))
        )
        print(f"page  {page}")
        return 0
    files = wanted(suites, store, _readme(readme, folder))
    if check:
        found = list(differences(files, store))
        for line in found:
            print(line, file=sys.stderr)
        told = "as the records say" if not found else f"{len(found)} differences; `lidar2d table` writes them anew"
        print(f"{len(files)} files: {told}", file=sys.stderr)
        return len(found)
    for path in write(files):
        print(f"wrote  {path}", file=sys.stderr)
    return 0


def _readme(given: str | None, results: Path) -> Path | None:
    """Return the README whose leaderboard is made: the one that is named, or the one beside the records."""
    if given is not None:
        return expanded(given)
    beside = results.absolute().parent / "README.md"
    return beside if beside.is_file() else None


def _printed(suites: Sequence[Suite], name: str, sort: str | None, against: str | None) -> str:
    """Return the tables of one suite.

    Raises:
        UsageError: if there is no such suite, column or row.
    """
    known = {suite.name: suite for suite in suites}
    if name not in known:
        raise UsageError(f"there are no records of suite '{name}'; {nearest(name, known)}")
    shown = known[name].tables
    methods = {row.method for each in shown for row in each.rows}
    if against is not None and against not in methods:
        raise UsageError(f"suite {name} has no row '{against}'; {nearest(against, methods)}")
    if sort is not None:
        columns = {column for each in shown for column in _columns(each)}
        if sort not in columns:
            raise UsageError(f"no table of {name} has a column '{sort}'; {nearest(sort, columns)}")
        shown = [_sorted(each, sort) if sort in _columns(each) else each for each in shown]
    return "\n\n".join(sections(shown, against))


def _columns(table: Table) -> list[str]:
    """Return the columns that are shown, and so may be sorted by."""
    numbers = [CLEAR, *table.corruptions] if table.severities else [each.name for each in shown_columns(table)]
    return ["method", *numbers]


def _sorted(table: Table, column: str) -> Table:
    """Put the best row by a column first; rows that have no such number come last."""
    own = next((each for each in shown_columns(table) if each.name == column), None)
    metric = table.metric if own is None else own.metric

    def place(row: Row) -> tuple[float, str]:
        if column == "method":
            return 0.0, row.method
        found = table.weather(row, column, metric) if own is None else own.of(row.method)
        if found is None:
            return float("inf"), row.method
        return -(measure(metric).better or 1) * found.mean, row.method

    return replace(table, rows=tuple(sorted(table.rows, key=place)))
