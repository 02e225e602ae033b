"""Reads a run folder: its recipe, what the CSV files say of its losses, and its report."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from lidar2d import recipe, runs
from lidar2d.compare.run import Run, as_settings
from lidar2d.errors import DataError
from lidar2d.results.numbers import numbers

NO_LOSS = ("epoch", "step")  # columns that count
_LOG = re.compile(r"(.+)-(\d+)")  # of a stage, and which part of it


def read_folder(path: Path) -> Run:
    """Read a run of its own folder.

    Raises:
        UsageError: naming the file that is missing or unreadable.
    """
    report = path / "report.json"
    metrics = _losses(path / "logs") | (_reported(report) if report.is_file() else {})
    saved = runs.saved_recipe(path)
    content = recipe.read(saved)
    settings = as_settings(content, saved)
    judged = report.is_file() or not settings.get("trainer.report", True)
    return Run(path.resolve().name, str(path), content, metrics, judged and (path / "losses.json").is_file())


def _losses(logs: Path) -> dict[str, float]:
    """Return the last value of each column of each stage; a resumed stage has several files, one after another."""
    parts = [(named[1], int(named[2]), file) for file in logs.glob("*/metrics.csv") if (named := _named(file))]
    return {name: value for stage, _, file in sorted(parts) for name, value in _last(stage, file).items()}


def _named(file: Path) -> re.Match[str] | None:
    return _LOG.fullmatch(file.parent.name)


def _last(stage: str, file: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    try:
        text = file.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a killed run may have left half a line
        for row in csv.DictReader(whole.splitlines()):
            found |= {f"{stage}/{name}": float(value) for name, value in row.items() if value and name not in NO_LOSS}
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{file}: not a readable log: {error}") from None
    return found


def _reported(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable: {error}") from None
    try:
        return numbers(content)
    except (TypeError, AttributeError, OverflowError):  # a list or a text in the place of numbers by name
        raise DataError(f"{path}: holds no report of a run") from None
