"""What a comparison says: on the terminal, as a page of Markdown, and as the recipe of the best run."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence

import yaml
from rich.console import Console
from rich.table import Table

from lidar2d.compare.matters import FEW, Matter, matters
from lidar2d.compare.table import NONE, Comparison, lines, number, rows

_WIDEST = 10_000  # characters of a line that goes into a file
_WEIGHTS = ("setting", "values", "runs", "explains", "rank")


def told(comparison: Comparison) -> str:
    """Return the tables for a terminal, with a line on what they mean."""
    parts = [_table(rows(comparison), 2 + len(comparison.parameters)), _best(comparison)]
    if weighed := matters(comparison):
        parts += ["", _table(_weights(weighed), 1), _meaning(comparison)]
    return "\n".join(parts)


def page(comparison: Comparison) -> str:
    """Return the same as Markdown, with the plot."""
    metric = comparison.metrics[0]
    parts = [f"# {len(comparison.runs)} runs by {metric}", "", lines(rows(comparison), 2 + len(comparison.parameters))]
    parts += [_best(comparison), ""]
    if weighed := matters(comparison):
        parts += ["## Settings that matter", "", lines(_weights(weighed), 1), _meaning(comparison), ""]
        if comparison.best is not None:
            parts += [f"![{metric} against each setting](settings.png)", ""]
    return "\n".join(parts)


def best_recipe(comparison: Comparison) -> str:
    """Return the recipe of the best run as ``fit --method`` takes it.

    Raises:
        ValueError: if no run counts.
    """
    best = comparison.best
    if best is None:
        raise ValueError("no run counts")
    metric = comparison.metrics[0]
    value = number(metric, best.metrics[metric])
    head = f"# Best of {comparison.counted} runs by {metric}, {value}: {best.name}\n"
    return head + yaml.safe_dump(best.recipe, sort_keys=False)


def _best(comparison: Comparison) -> str:
    metric, count = comparison.metrics[0], len(comparison.runs)
    if comparison.best is None:
        return f"no run has finished with a finite number for {metric}"
    first = "highest" if comparison.goal == "maximize" else "lowest"
    said = f"sorted by {metric}, the {first} first"
    left = count - comparison.counted
    return f"{said}; {left} of {count} runs left out: unfinished, or without a finite number for it" if left else said


def _weights(weighed: Sequence[Matter]) -> list[list[str]]:
    body = []
    for matter in weighed:
        share = NONE if matter.share is None else f"{matter.share:.0%}"
        rank = NONE if matter.rank is None else f"{matter.rank:+.2f}"
        body.append([matter.name, str(len(set(matter.values))), str(len(matter.scores)), share, rank])
    return [list(_WEIGHTS), *body]


def _meaning(comparison: Comparison) -> str:
    metric, count = comparison.metrics[0], comparison.counted
    said = (
        f"explains: share of the variance of {metric} that the setting explains alone (epsilon squared: chance taken "
        f"off); {NONE} where no two runs share a value\n"
        f"rank: Spearman's correlation with {metric}, of settings that are numbers, three runs at least"
    )
    return f"{said}\n{count} runs are few: take these for hints" if count < FEW else said


def _table(cells: Sequence[Sequence[str]], left: int) -> str:
    """Lay cells out, the first columns to the left; wrapped on a terminal alone."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDEST
    head, *body = cells
    table = Table(box=None, pad_edge=False, header_style="")
    for column, name in enumerate(head):
        table.add_column(name, justify="left" if column < left else "right", overflow="fold")
    for row in body:
        table.add_row(*row)
    with io.StringIO() as file:
        console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
        console.print(table)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
