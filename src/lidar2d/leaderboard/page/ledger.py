"""The records behind the numbers, as columns: most of what a record says, thousands of others say too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from lidar2d.results.record import Record, rounded

_LEFT_OUT = ("metrics", "draws", "schema")


class Ledger:
    """Numbers records in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._rows: dict[int, int] = {}

    def rows(self, records: Iterable[Record]) -> list[int]:
        """Return the numbers of records."""
        return [self._row(record) for record in records]

    def _row(self, record: Record) -> int:
        key = id(record)  # records are kept, so that no other one gets this place in memory
        if key not in self._rows:
            self._rows[key] = len(self._records)
            self._records.append(record)
        return self._rows[key]

    def content(self) -> dict[str, Any]:
        """Return all that was asked for, a column a field."""
        names = [each.name for each in fields(Record) if each.name not in _LEFT_OUT]
        measured = [tuple(record.metrics) for record in self._records]
        return {
            "count": len(self._records),
            "ids": [identity(record) for record in self._records],
            "fields": {name: _column([rounded(getattr(record, name)) for record in self._records]) for name in names},
            "metrics": _column(measured),
            "values": [[rounded(value) for value in record.metrics.values()] for record in self._records],
        }


def identity(record: Record) -> str:
    """Return what a link calls a record: 10 digits of the SHA-256 of the cell that it fills.

    A link keeps its meaning when the cell is measured again.
    """
    return hashlib.sha256("\n".join(map(str, record.cell)).encode("utf-8", "surrogatepass")).hexdigest()[:10]


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Say each value once, and where it stands; nowhere in particular where there is but one."""
    known: dict[Any, int] = {}
    at = [known.setdefault(value, len(known)) for value in values]
    return {"of": list(known), "at": at if len(known) > 1 else []}
