"""What can be said of a frame's files without reading them: are they there, and as large as they must be?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lidar2d.data.files import BadFileError, must_exist
from lidar2d.data.pixels import image_size
from lidar2d.data.source import Expected, Expecting, Problem, Source
from lidar2d.errors import UsageError


def glance(source: Source) -> Iterator[tuple[str, list[Problem]]]:
    """Yield each frame's token with its problems; each bad file is named once.

    Raises:
        UsageError: if the source's files are not known before they are read.
    """
    if not isinstance(source, Expecting):
        raise UsageError(f"the files of {source.card.name} cannot be checked quickly; leave --quick out")
    named: set[Path] = set()
    for index, token in enumerate(source.tokens):
        found = []
        for file in source.expected(index):
            if file.path in named:
                continue
            try:
                _look(file)
                if file.like is not None and file.like.path not in named:
                    (_compare_sizes if file.picture else _compare)(file, file.like)
            except BadFileError as error:
                named.add(file.path)
                found.append(Problem(error.path, error.fault))
        yield token, found


def _look(file: Expected) -> None:
    must_exist(file.path)
    if file.picture:
        size = image_size(file.path)
        if file.size is not None and size != file.size:
            said = f"its calibration is for {file.size[1]}x{file.size[0]}"
            raise BadFileError(file.path, f"is {size[1]}x{size[0]} pixels; {said}")
        return
    length = file.path.stat().st_size
    if not length and not file.empty:
        raise BadFileError(file.path, "empty")
    if length % file.row:
        raise BadFileError(file.path, f"truncated: {length} bytes are no whole number of {file.row}-byte rows")


def _compare_sizes(file: Expected, other: Expected) -> None:
    size, others = image_size(file.path), image_size(other.path)
    if size != others:
        raise BadFileError(file.path, f"is {size[1]}x{size[0]} pixels; its image has {others[1]}x{others[0]}")


def _compare(file: Expected, other: Expected) -> None:
    rows, others = (each.path.stat().st_size // each.row for each in (file, other))
    if rows != others:
        raise BadFileError(file.path, f"has {rows} rows; {other.path.name} has {others}")
