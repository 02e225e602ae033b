"""Writes files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
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
