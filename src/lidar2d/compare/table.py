"""The runs side by side: the settings in which they differ, and some of their metrics."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lidar2d.compare.run import Run, as_settings
from lidar2d.errors import UsageError, nearest
from lidar2d.results.numbers import HEADLINES, from_report
from lidar2d.words import MOVABLE

Goal = Literal["maximize", "minimize"]
Settings = dict[str, Any]  # name of a flag -> value

BEST = "best"  # marks the best run
NONE = "–"  # of a setting that a run does not have, or a metric that it did not log
_KEPT = "trainer.precision"  # of the trainer's settings, what the numbers depend on
_CLASS = re.compile(r"lidar2d(?:\.\w+)*\.([A-Z]\w*)")
_OTHER = "pairs"  # what a stage logs beside its losses


@dataclass(frozen=True)
class Comparison:
    """Runs, the best first, those that count for nothing last.

    Args:
        runs: in this order.
        settings: of each run.
        parameters: the settings in which they differ.
        metrics: that are shown; the first is the one that runs are sorted by.
        goal: of that one.
    """

    runs: tuple[Run, ...]
    settings: tuple[Settings, ...]
    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    goal: Goal

    @property
    def counted(self) -> int:
        """How many runs have finished and have a finite value of the metric: they stand first."""
        return sum(_counts(run, self.metrics[0]) for run in self.runs)

    @property
    def best(self) -> Run | None:
        """The best of those that count, if any does."""
        return self.runs[0] if self.counted else None


def compare(found: Sequence[Run], asked: Sequence[str], goal: Goal | None) -> Comparison:
    """Put runs side by side.

    Args:
        found: at least one.
        asked: the metrics; the headline of the report and the losses of the stages where none is named.
        goal: of the first metric; the report's go up, losses down.

    Raises:
        UsageError: if no run has a metric.
    """
    known = list(dict.fromkeys(name for run in found for name in run.metrics))
    for name in asked:
        if name not in known:
            raise UsageError(f"no run has a metric '{name}'; {nearest(name, known) if known else 'they logged none'}")
    metrics = tuple(dict.fromkeys(asked)) or _usual(known)
    by = metrics[0]
    upwards = from_report(by) if goal is None else goal == "maximize"
    ranked = sorted(found, key=lambda run: _place(run, by, upwards))
    plainly = [_settings(run) for run in ranked]
    settings = tuple(_with_groups(each, plainly) for each in plainly)
    names = tuple(_varying(settings))
    return Comparison(tuple(ranked), settings, names, metrics, "maximize" if upwards else "minimize")


def rows(comparison: Comparison) -> list[list[str]]:
    """Return the cells of the table, its head first."""
    head = ["run", "", *comparison.parameters, *comparison.metrics]
    body = []
    for run, settings in zip(comparison.runs, comparison.settings, strict=True):
        values = [shown(settings[name]) if name in settings else NONE for name in comparison.parameters]
        metrics = [number(name, run.metrics[name]) if name in run.metrics else NONE for name in comparison.metrics]
        body.append([run.name, _mark(comparison, run), *values, *metrics])
    return [head, *body]


def _mark(comparison: Comparison, run: Run) -> str:
    """Say what is particular about a run."""
    return BEST if run is comparison.best else "" if run.finished else "unfinished"


def lines(cells: Sequence[Sequence[str]], left: int) -> str:
    """Return a table as Markdown, the best run in bold.

    Args:
        cells: its head first.
        left: columns that are words; the others are numbers.
    """
    head, *body = cells
    made = [_line(head), _line(["---"] * left + ["---:"] * (len(head) - left))]
    made += [_line([f"**{cell}**" if row[1] == BEST and cell else cell for cell in row]) for row in body]
    return "\n".join(made) + "\n"


def comma_separated(comparison: Comparison) -> str:
    """Return the table as CSV, with every metric, every digit and empty cells for what is not there."""
    rest = dict.fromkeys(name for run in comparison.runs for name in run.metrics)
    metrics = list(dict.fromkeys([*comparison.metrics, *sorted(rest)]))
    with io.StringIO() as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "mark", *comparison.parameters, *metrics])
        for run, settings in zip(comparison.runs, comparison.settings, strict=True):
            values = [plain(settings[name]) if name in settings else "" for name in comparison.parameters]
            writer.writerow(
                [run.name, _mark(comparison, run), *values, *(run.metrics.get(name, "") for name in metrics)]
            )
        return file.getvalue()


def plain(value: Any) -> str:
    """Return a value as it is written on the command line; equal numbers are written alike."""
    if type(value) in (int, float):
        return f"{value:.12g}"
    return value if isinstance(value, str) else json.dumps(value)


def shown(value: Any) -> str:
    """Return a value as it stands in a table: numbers to six digits, classes of lidar2d without their modules."""
    text = f"{value:.6g}" if isinstance(value, float) else plain(value)
    found = _CLASS.fullmatch(text)
    return found[1] if found else text


def number(name: str, value: float) -> str:
    """Return a metric as it stands in a table: mIoU in percent with two decimals, six digits of anything else."""
    return f"{value:.2f}" if from_report(name) and "cosine" not in name else f"{value:.6g}"


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _counts(run: Run, metric: str) -> bool:
    return run.finished and math.isfinite(run.metrics.get(metric, math.nan))


def _place(run: Run, metric: str, upwards: bool) -> tuple[bool, float, str]:
    value = run.metrics.get(metric, 0.0)
    value = value if math.isfinite(value) else 0.0  # nothing is in order beside a NaN
    return (not _counts(run, metric), -value if upwards else value, run.name)


def _usual(known: Sequence[str]) -> tuple[str, ...]:
    """Return the report's headline, and the loss of each stage.

    Raises:
        UsageError: if no run was judged.
    """
    headline = next((name for name in HEADLINES if name in known), None)
    stages: dict[str, list[str]] = {}
    for name in known:
        stage, _, loss = name.partition("/")
        if not from_report(name) and loss != _OTHER:
            stages.setdefault(stage, []).append(name)
    totals = [f"{stage}/loss" if f"{stage}/loss" in own else own[0] for stage, own in stages.items()]
    if headline is None:
        said = f"choose another: --metric {totals[0]}" if totals else "there is nothing to compare"
        raise UsageError(f"no run was judged, so none has {HEADLINES[0]}; {said}")
    return (headline, *totals)


def _settings(run: Run) -> Settings:
    """Return the settings that what a run computes depends on."""
    return {
        name: value
        for name, value in as_settings(run.recipe, run.place).items()
        if name == _KEPT or not (name.startswith("trainer.") or f"--{name}" in MOVABLE)
    }


def _varying(settings: Sequence[Settings]) -> list[str]:
    """Return the names of settings in which runs differ.

    What only some runs have counts where those differ, or where nothing above says why the others lack it: that one
    method has a temperature follows from which method it is.
    """
    names = dict.fromkeys(name for each in settings for name in each)
    given = {name: [plain(each[name]) for each in settings if name in each] for name in names}
    differ = {name for name, values in given.items() if len(set(values)) > 1}
    for name in sorted(names, key=lambda name: name.count(".")):
        if len(given[name]) < len(settings) and not any(above in differ for above in _above(name)):
            differ.add(name)
    return [name for name in names if name in differ]


def _with_groups(own: Settings, settings: Sequence[Settings]) -> Settings:
    """Let a group of settings count as a value where other runs have null in its place."""
    groups = {above for name in own for above in _above(name)}
    others = {name for each in settings for name in each}
    return own | {name: "given" for name in groups & others - set(own)}


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
