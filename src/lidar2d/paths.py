"""Where users' files are."""

from __future__ import annotations

import os
from pathlib import Path

from lidar2d.errors import UsageError


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` as the user's folder.

    Raises:
        UsageError: if there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no such user's folder") from None


def cache_folder() -> Path:
    """Return $LIDAR2D_CACHE, or lidar2d in the user's cache folder: files there can be made again."""
    if own := os.environ.get("LIDAR2D_CACHE"):
        return expanded(own)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "lidar2d"


def writable(folder: Path) -> Path:
    """Return a folder that files can be written in; it is made.

    Raises:
        UsageError: if there can be none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write in {folder}: {getattr(error, 'strerror', None) or error}") from None
    if not free:
        raise UsageError(f"cannot write in {folder}: no permission; name another folder")
    return folder
