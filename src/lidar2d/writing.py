"""Writes files whole or not at all, and one process at a time where that matters."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and rename it: readers see the old file or the new one, never half of it.

    Args:
        path: of the file; missing folders are made.
        write: fills the file that it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")  # other nodes may write beside it, under the same number
    try:
        write(unfinished)
        os.replace(unfinished, path)  # noqa: PTH105 Path.replace is the same call
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[int | None]:
    """Hold a lock that other processes respect; it ends with the process, however that ends.

    Args:
        path: of the lock's own file, which stays; missing folders are made.
        wait: for another process that holds it; otherwise None is given.

    Returns:
        the lock's descriptor: a process that is started with it holds the lock as well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.fileno()
