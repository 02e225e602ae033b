"""Progress bars of long work: how far it is, and how long it still takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Display

Progress = Callable[[str, int], Callable[[], None]]  # opens a bar of so many steps; the result advances it


@contextmanager
def bars(console: Console, shown: bool = True) -> Iterator[Progress]:
    """Give what opens bars, which leave the screen when the work is done."""
    columns = (TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Display(*columns, console=console, transient=True, disable=not shown) as display:

        def progress(name: str, total: int) -> Callable[[], None]:
            task = display.add_task(name, total=total)
            return lambda: display.advance(task)

        yield progress
