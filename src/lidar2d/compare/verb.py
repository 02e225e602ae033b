"""``lidar2d compare``: its words, and what it says and writes. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lidar2d import words
from lidar2d.compare.matters import matters
from lidar2d.compare.pages import best_recipe, page, told
from lidar2d.compare.places import find
from lidar2d.compare.table import Comparison, Goal, comma_separated, compare
from lidar2d.errors import UsageError, nearest
from lidar2d.paths import expanded, writable
from lidar2d.writing import write_atomically

HEADS = ("metric", "goal", "out")
_GOALS: dict[str, Goal] = {"maximize": "maximize", "minimize": "minimize"}


def compare_places(argv: Sequence[str]) -> str:
    """Compare the runs that the words name, and return what there is to say; write it too where that is asked for.

    Raises:
        UsageError: for what the user can mend.
    """
    words.check_heads("compare", argv, HEADS)
    asked, rest = words.take(argv, "--metric")
    goal, rest = words.take(rest, "--goal")
    out, places = words.take(rest, "--out")
    if goal is not None and goal not in _GOALS:
        raise UsageError(f"--goal {goal}: {nearest(goal, _GOALS)}")
    if not places:
        raise UsageError("compare needs runs: lidar2d compare runs/A runs/B, or a folder that holds them")
    metrics = [name for name in (asked or "").split(",") if name]
    found = find(places)
    comparison = compare(found.runs, metrics, None if goal is None else _GOALS[goal])
    lines = [told(comparison)]
    if found.others:
        lines.append(f"left out: {found.others} {'run' if found.others == 1 else 'runs'} of other programs")
    lines += [f"left out: {each}" for each in found.unreadable]
    if out is None:
        lines.append("--out DIR writes this, a plot of each setting, and the best recipe")
    else:
        lines.append(_written(comparison, writable(expanded(out))))
    return "\n".join(lines)


def _fill(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def _written(comparison: Comparison, folder: Path) -> str:
    """Write tables, plot and recipe; return where they are.

    Raises:
        UsageError: if one of them cannot be written.
    """
    files = {"compare.md": page(comparison).encode(), "compare.csv": comma_separated(comparison).encode()}
    weighed = matters(comparison)
    if comparison.best is not None:
        files["best.yaml"] = best_recipe(comparison).encode()
        if weighed:
            from lidar2d.compare.plot import plot  # matplotlib takes a second

            files["settings.png"] = plot(comparison, weighed)
    try:
        for name, content in files.items():
            write_atomically(folder / name, partial(_fill, content=content))
    except OSError as error:
        raise UsageError(f"cannot write in {folder}: {error.strerror}") from None
    if comparison.best is None:
        return f"written     {folder}; no run counts, so there is no best recipe"
    return f"written     {folder}\nbest        lidar2d fit --method {folder / 'best.yaml'}"
