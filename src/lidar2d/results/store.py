"""Records in files: one a suite and method, a line a record, in an order that tells nothing of when they were made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lidar2d.errors import DataError
from lidar2d.results.record import Record, parse
from lidar2d.writing import locked, write_atomically


class Store:
    """The records below a folder, such as results/: ``SUITE/METHOD.jsonl``.

    Args:
        folder: of all suites.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, suite: str, method: str) -> Path:
        """Return the file of a suite's method."""
        return self.folder / suite / f"{method}.jsonl"

    def suites(self) -> list[str]:
        """Return the suites that have files of records.

        Raises:
            DataError: naming the folder that cannot be read.
        """
        return [each.name for each in _inside(self.folder) if any(map(_of_records, _inside(each)))]

    def read(self, suite: str) -> list[Record]:
        """Return all records of a suite.

        Raises:
            DataError: naming the file and the line that is no record of its place, or stands there twice.
        """
        return [record for path in filter(_of_records, _inside(self.folder / suite)) for record in self._read(path)]

    def of(self, suite: str, method: str) -> list[Record]:
        """Return the records of one method of a suite; none where it has no file.

        Raises:
            DataError: naming the file and the line that is no record of its place, or stands there twice.
        """
        path = self.path(suite, method)
        return list(self._read(path)) if path.exists() else []

    def add(self, records: Iterable[Record]) -> list[Path]:
        """Put records in the place of those of the same cells, and return the files that were written.

        A new evaluation takes the place of all records of an older one; what fails leaves numbers of the same version
        as they are. Several processes may add at once.

        Raises:
            DataError: if a file holds what is no record, or cannot be written; nothing is lost then.
        """
        by_path: dict[Path, list[Record]] = {}
        for record in records:
            by_path.setdefault(self.path(record.suite, record.method), []).append(record)
        for path, fresh in by_path.items():
            try:
                self._add(path, fresh)
            except OSError as error:
                raise DataError(f"cannot write {path}: {error.strerror or error}") from None
        return list(by_path)

    def _add(self, path: Path, fresh: Sequence[Record]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock")):
            found = self.of(fresh[0].suite, fresh[0].method)
            judged = {(each.evaluation, each.suite_version) for each in found if not each.error}
            added = [each for each in fresh if not each.error or (each.evaluation, each.suite_version) not in judged]
            again = {each.evaluation for each in added}
            kept = [each for each in found if each.evaluation not in again]
            by_cell = {record.cell: record for record in [*kept, *added]}
            text = "".join(f"{line}\n" for line in sorted(record.line() for record in by_cell.values()))
            write_atomically(path, lambda unfinished: unfinished.write_bytes(text.encode("utf-8", "replace")))

    def _read(self, path: Path) -> Iterator[Record]:
        seen: dict[tuple[str | int, ...], int] = {}
        try:
            lines = path.read_bytes().decode().removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not readable: {getattr(error, 'strerror', None) or error}") from None
        for number, line in enumerate(lines if lines != [""] else [], start=1):
            try:
                record = parse(line)
            except DataError as error:
                raise DataError(f"{path}, line {number}: {error}") from None
            if self.path(record.suite, record.method) != path:
                raise DataError(f"{path}, line {number}: is of suite {record.suite} and method {record.method}")
            if record.cell in seen:
                raise DataError(f"{path}, line {number}: stands already in line {seen[record.cell]}")
            seen[record.cell] = number
            yield record


def _of_records(path: Path) -> bool:
    return path.name.endswith(".jsonl")


def _inside(folder: Path) -> list[Path]:
    """List a folder in order; one that is not there holds nothing."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}; its records would be missed") from None
