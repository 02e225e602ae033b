"""Reads a whole split before a long run does, and lists what is wrong with it."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lidar2d.data.card import Card, load_card
from lidar2d.data.glance import glance
from lidar2d.data.source import Problem, Source, open_source
from lidar2d.data.sums import Sums
from lidar2d.errors import DataError, within
from lidar2d.frame import Frame
from lidar2d.paths import expanded


def check(
    card_name: str,
    root: str | None = None,
    split: str | None = None,
    quick: bool = False,
    sums: str | None = None,
    sweeps: int = 1,
) -> int:
    """Look at every file of a split, print the bad ones and how many there are, and return that number.

    Args:
        card_name: name of a data set, or path of a card.
        root: the folder that holds it.
        split: None is the card's training split.
        quick: look at names, sizes and headers alone; else every file is read.
        sums: a list of checksums, whose paths are below ``root``; None compares none.
        sweeps: of the LiDAR that belong to each frame.

    Raises:
        UsageError: if the data set, the split, the folder or the list does not exist.
    """
    within(1, 100, **{"data.sweeps": sweeps})
    card = load_card(card_name)
    split = split or card.train
    source = open_source(card, split, root, sweeps=sweeps)
    listed = None if sums is None else Sums(expanded(sums), expanded(root or "."))
    return report(card, split, source, _Listened(), Console(stderr=True), quick, listed)


def report(
    card: Card,
    split: str,
    source: Source,
    out: Console,
    progress: Console,
    quick: bool = False,
    sums: Sums | None = None,
) -> int:
    """Print the bad files of an open split and return how many there are.

    Args:
        card: of the data set.
        split: its name.
        source: the open split.
        out: where the table goes.
        progress: where the progress bar goes.
        quick: look at names, sizes and headers alone.
        sums: checksums to hold the files against.
    """
    looked = glance(source) if quick else source.check()
    found: list[tuple[str, Problem]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=progress) as bar:
        task = bar.add_task(f"{card.name} {split}", total=len(source))
        for token, problems in looked if sums is None else sums.hold(source, looked):
            found += [(token, problem) for problem in problems]
            bar.advance(task)
    for line in _lines(found) if not out.is_terminal else []:
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    if found and out.is_terminal:
        out.print(_table(found))
    well = "every file is there" if quick else "every file is there and readable"
    verdict = _count(len(found), "bad file") if found else well
    if sums is not None:
        verdict = f"{verdict}; {sums}"
    out.print(f"{card.name} {split}: {_count(len(source), 'frame')}, {verdict}", soft_wrap=True, highlight=False)
    if not found:
        with suppress(DataError):  # which a quick look does not see
            out.print(f"a frame has {_contents(source[0])}", soft_wrap=True, highlight=False)
    return len(found)


def _contents(frame: Frame) -> str:
    """Say what there is in a frame, so that labels that are not there are seen to be missing."""
    views, points = len(frame.images), len(frame.points)
    parts = [f"{points:,} points"] if points else []
    parts += [_count(views, "image")] if views else []
    named: dict[str, object] = {"point labels": frame.labels, "pixel labels": frame.pixel_labels}
    named |= {"depth": frame.depth, "boxes": frame.boxes}
    there = [name for name, value in named.items() if value is not None]
    lacking = [name for name, value in named.items() if value is None]
    return f"{', '.join([*parts, *there])}; no {', no '.join(lacking)}" if lacking else ", ".join([*parts, *there])


def _lines(found: list[tuple[str, Problem]]) -> list[str]:
    """Give one line a file, for other programs to read."""
    return [f"{problem.path}: {problem.fault} (frame {token})" for token, problem in found]


def _table(found: list[tuple[str, Problem]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("fault", overflow="fold", style="red")
    table.add_column("frame", overflow="fold", style="dim")
    for token, problem in found:
        table.add_row(Text(str(problem.path)), Text(problem.fault), Text(token))
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Listened(Console):
    """A console whose reader may stop listening, which says nothing of the files."""

    def on_broken_pipe(self) -> None:
        """Leave what to do to the command line."""
        raise BrokenPipeError


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        """Return the speed, once there is one."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "-/s", style="progress.data.speed")
