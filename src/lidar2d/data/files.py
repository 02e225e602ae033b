"""Reads single files, trusting none: what is wrong with one is said by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.source import Problem
from lidar2d.errors import DataError

_Number = TypeVar("_Number", bound=np.generic)

_FARTHEST = 1e4  # metres; no LiDAR sees farther, so larger numbers are no coordinates


class BadFileError(DataError):
    """One file of a data set that is missing, unreadable or wrong."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path
        self.fault = fault

    def __reduce__(self) -> tuple[type[BadFileError], tuple[Path, str]]:
        """Travel from a loader's worker to the training process."""
        return BadFileError, (self.path, self.fault)


def problems(whole: Callable[[], object], parts: Iterable[Callable[[], object]], named: set[Path]) -> list[Problem]:
    """List the bad files of a frame that are not named yet.

    Args:
        whole: reads the frame; where it succeeds there is no problem.
        parts: each reads one file; tried in turn where ``whole`` fails, which stops at the first bad file.
        named: files that earlier frames listed; the new ones are added.
    """
    try:
        whole()
        return []
    except BadFileError as first:
        bad = [first]
    for read in parts:
        try:
            read()
        except BadFileError as another:
            bad.append(another)
    found = {one.path: Problem(one.path, one.fault) for one in bad if one.path not in named}
    named.update(found)
    return list(found.values())


def read_text(path: Path) -> str:
    """Read a small text file.

    Raises:
        BadFileError: if it is missing or not text.
    """
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise BadFileError(path, "not text") from None


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        BadFileError: if it is missing or unreadable.
    """
    must_exist(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFileError(path, f"unreadable: {error.strerror}") from None


def read_binary(path: Path, dtype: type[_Number]) -> NDArray[_Number]:
    """Read a headerless file of numbers.

    Raises:
        BadFileError: if it is missing, empty, or no whole number of numbers.
    """
    raw = read_bytes(path)
    if not raw:
        raise BadFileError(path, "empty")
    size = np.dtype(dtype).itemsize
    if len(raw) % size:
        raise BadFileError(path, f"truncated: {len(raw)} bytes are no whole number of {size}-byte values")
    return np.frombuffer(raw, dtype=dtype)


def read_points(path: Path, columns: int, intensity_scale: float) -> NDArray[np.float32]:
    """Read a scan of float32 rows (x, y, z, intensity, ...) as (N, 4), intensity divided to 0..1.

    Raises:
        BadFileError: if it is missing, empty or truncated, or holds numbers that no scan holds.
    """
    values = read_binary(path, np.float32)
    if values.size % columns:
        raise BadFileError(path, f"truncated: {values.nbytes} bytes are no whole number of {columns * 4}-byte points")
    points = values.reshape(-1, columns)[:, :4].astype(np.float32)
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(1).sum())
        raise BadFileError(path, f"{bad} of {len(points)} points have NaN or infinite values")
    if (farthest := float(np.abs(points[:, :3]).max())) > _FARTHEST:
        raise BadFileError(path, f"a coordinate of {farthest:.3g} m; are its rows {columns} float32 values?")
    points[:, 3] /= np.float32(intensity_scale)
    low, high = float(points[:, 3].min()), float(points[:, 3].max())
    if not 0 <= low <= high <= 1:
        raise BadFileError(
            path, f"intensities from {low:.3g} to {high:.3g} after dividing by {intensity_scale:g}; not 0..1"
        )
    return points


def must_exist(path: Path) -> None:
    """Refuse what is no file: a pipe or a device would make reading wait for ever.

    Raises:
        BadFileError: if it is missing or something else.
    """
    try:
        there = path.is_file()
        fault = "not a file" if not there and path.exists() else "missing"
    except OSError as error:  # a folder without permission, a name that is too long
        raise BadFileError(path, f"unreadable: {error.strerror}") from None
    if not there:
        raise BadFileError(path, fault)
