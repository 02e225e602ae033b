"""Records as a sheet: a line each, with every number, for those who compute with them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence

from lidar2d.results.measures import score
from lidar2d.results.record import Record

_FACTS = (
    *("suite", "suite_version", "source", "data", "protocol", "labels", "method", "condition", "severity", "seed"),
    *("frames", "teacher", "backbone", "backend", "uses_text_supervision", "pretrain_frames", "selection_rule"),
    *("weather", "shown", "commit", "version", "devices", "seconds", "peak_gib", "citation", "error"),
)


def sheet(records: Sequence[Record]) -> str:
    """Write records as CSV, in order of what they are about.

    The last column tells a record from every other: 12 digits of its line's SHA-256.
    """
    metrics = sorted({name for record in records for name in record.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FACTS, "score", *metrics, "record"])
    for record in sorted(records, key=lambda each: tuple(map(str, each.cell))):
        found = None if record.error else score(record.metrics)
        numbers = [f"{record.metrics[name]:.6g}" if name in record.metrics else "" for name in metrics]
        facts = [getattr(record, name) for name in _FACTS]
        writer.writerow([*facts, "" if found is None else f"{found:.6g}", *numbers, digest(record)])
    return text.getvalue()


def digest(record: Record) -> str:
    """Return 12 digits that tell a record from every other."""
    return hashlib.sha256(record.line().encode()).hexdigest()[:12]
