"""Where files are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $LIDAR2D_CACHE, or lidar2d in the user's cache folder."""
    if own := os.environ.get("LIDAR2D_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lidar2d"
