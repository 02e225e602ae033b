"""The files that are made of records: which there are, what they should say, and where they differ from it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

from lidar2d import recipe
from lidar2d.bench.suite import load_suite
from lidar2d.errors import DataError, UsageError
from lidar2d.leaderboard.board import Table, tables
from lidar2d.leaderboard.markdown import document, summary
from lidar2d.leaderboard.sheet import sheet
from lidar2d.results.baseline import load_baseline
from lidar2d.results.measures import measure
from lidar2d.results.record import Record, check_name
from lidar2d.results.store import Store
from lidar2d.writing import write_atomically

_MARKER = re.compile(r"<!--\s*(?:end of the\s+)?leaderboard\b[^>]*-->", re.IGNORECASE)
_BLOCK = re.compile(
    r"(?P<start><!-- leaderboard: (?P<suite>[\w.+@-]+)[^>]*-->(?P<end_of_line>\r?\n))"
    rf"(?:(?!{_MARKER.pattern}).)*?(?P<end><!-- end of the leaderboard -->)",
    re.DOTALL,
)
_SHOWN = 3  # differences of a file that are told


@dataclass(frozen=True)
class Suite:
    """All that is known of one suite."""

    name: str
    records: list[Record]
    tables: list[Table]


def read(store: Store) -> list[Suite]:
    """Read all suites of a folder.

    Raises:
        DataError: naming the record that is none, is out of its bounds, stands twice, or does not compare with others.
    """
    baselines = [load_baseline(name) for name in recipe.names("baselines")]
    found = []
    for name in store.suites():
        _must_have_files(store.folder, name)
        records = store.read(name)
        if not records:
            raise DataError(f"{store.folder / name} has files without a record; remove them, or run the suite")
        for record in records:
            _must_be_possible(store, record)
        _must_be_one(name, records)
        found.append(Suite(name, records, tables(records, baselines, _against(name))))
    return found


def _must_have_files(folder: Path, suite: str) -> None:
    """Refuse a suite whose table would take another file's place."""
    check_name(suite, f"the suite of {folder / suite}")
    if suite.lower() == "readme":
        raise UsageError(f"{folder / suite}: a suite called {suite} has its table in {suite}.md; rename it")


def _against(name: str) -> tuple[str, ...]:
    """Return the rows that a suite compares others with; a suite that is no file here names none."""
    return load_suite(name).against if name in recipe.names("suites") else ()


def _must_be_possible(store: Store, record: Record) -> None:
    for name, value in record.metrics.items():
        known = measure(name)
        if not known.low <= value <= known.high:
            raise DataError(
                f"{store.path(record.suite, record.method)}: {said(record)}: {name} is {value:g}, "
                f"which lies between {known.low:g} and {known.high:g}"
            )


def _must_be_one(suite: str, records: Sequence[Record]) -> None:
    """Refuse a suite of several versions, or of several versions of one table of corruptions."""
    seen: dict[str, Record] = {}
    for record in records:
        table, _, version = record.weather.rpartition("@")
        for what, value in (("suite", str(record.suite_version)), (table, version)):
            if what and value:
                first = seen.setdefault(what, record)
                other = str(first.suite_version) if what == "suite" else first.weather.rpartition("@")[2]
                if other != value:
                    raise DataError(
                        f"{suite} mixes versions of the {what}: {other} ({said(first)}) and {value} ({said(record)}); "
                        "run the older ones again"
                    )


def said(record: Record) -> str:
    """Say which record it is."""
    return f"{record.method}, {record.protocol} on {record.data}, {record.judged_in}, seed {record.seed}"


def wanted(suites: Sequence[Suite], store: Store, readme: Path | None) -> dict[Path, str]:
    """Return what each file should say.

    Raises:
        UsageError: if the README shows a suite without records, has half a leaderboard, or cannot be read.
    """
    found = {}
    for suite in suites:
        found[store.folder / f"{suite.name}.md"] = document(suite.name, suite.tables)
        found[store.folder / f"{suite.name}.csv"] = sheet(suite.records)
    if readme is not None:
        found[readme] = _with_blocks(readme, {suite.name: suite for suite in suites})
    return found


def _with_blocks(readme: Path, suites: dict[str, Suite]) -> str:
    def block(match: re.Match[str]) -> str:
        name = match["suite"]
        if name not in suites:
            raise UsageError(f"{readme} shows a leaderboard of {name}, which has no records")
        end_of_line = match["end_of_line"]
        made = f"\n{summary(suites[name].tables)}\n\n".replace("\n", end_of_line)
        return f"{match['start']}{made}{match['end']}"

    text = _text(readme)
    if text is None:
        raise UsageError(f"{readme} cannot be read: there is no such file")
    whole = [match.span() for match in _BLOCK.finditer(text)]
    for match in _MARKER.finditer(text):
        if not any(start <= match.start() < end for start, end in whole):
            line = text.count("\n", 0, match.start()) + 1
            raise UsageError(
                f"{readme}, line {line}: {match[0]!r:.80} is half a leaderboard; write "
                "<!-- leaderboard: SUITE --> and <!-- end of the leaderboard -->, each in a line of its own"
            )
    return _BLOCK.sub(block, text)


def write(files: dict[Path, str]) -> list[Path]:
    """Write what differs, each file whole or not at all, and return it.

    Raises:
        UsageError: naming the file that cannot be written.
    """
    changed = [path for path, text in files.items() if _text(path) != text]
    for path in changed:
        try:
            write_atomically(path, partial(Path.write_bytes, data=files[path].encode()))
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror or error}; `lidar2d table --suite NAME` prints tables"
            ) from None
    return changed


def differences(files: dict[Path, str], store: Store) -> Iterator[str]:
    """Yield where files differ from what they should say, and tables of suites that have no records any more."""
    for path, text in files.items():
        now = _text(path)
        if now is None:
            yield f"{path} is missing"
        elif now != text:
            yield from _lines(path, now, text)
    for path in sorted([*store.folder.glob("*.md"), *store.folder.glob("*.csv")]):
        if path not in files and path.name != "README.md":
            yield f"{path} is of no suite that has records; remove it"


def _lines(path: Path, now: str, wanted: str) -> Iterator[str]:
    """Yield the first lines that differ."""
    if path.suffix == ".csv":
        yield from _sheets(path, now, wanted)
        return
    pairs = zip_longest(now.split("\n"), wanted.split("\n"))  # ends of lines differ too
    apart = [(row, *pair) for row, pair in enumerate(pairs, start=1) if pair[0] != pair[1]]
    for row, old, new in apart[:_SHOWN]:
        yield f"{path}, line {row}: says {_cut(old)}; the records say {_cut(new)}"
    if len(apart) > _SHOWN:
        yield f"{path}: and {len(apart) - _SHOWN} more lines"


def _sheets(path: Path, now: str, wanted: str) -> Iterator[str]:
    """Yield the records that a sheet lacks, has beside them, or tells otherwise."""
    try:
        old, new = _by_cell(now), _by_cell(wanted)
    except csv.Error as error:
        yield f"{path} is not as the records say, and no sheet: {error}"
        return
    apart = [cell for cell in dict.fromkeys([*old, *new]) if old.get(cell) != new.get(cell)]
    for cell in apart[:_SHOWN]:
        fault = "is not in it" if cell not in old else "has no record" if cell not in new else "is told otherwise"
        yield f"{path}: {', '.join(cell)} {fault}"
    if len(apart) > _SHOWN:
        yield f"{path}: and {len(apart) - _SHOWN} more records"
    if not apart:
        yield f"{path}: differs in its head, or in the order or the ends of its lines"


def _by_cell(text: str) -> dict[tuple[str, ...], dict[str, str]]:
    names = ("method", "protocol", "data", "labels", "condition", "severity", "seed")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return {tuple(f"{name} {row.get(name)}" for name in names): row for row in rows}


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _cut(line: str | None) -> str:
    return "nothing" if line is None else f"{line[:100]!r}"
