"""One HTML file that needs nothing else: its style, its script and its data stand in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from lidar2d import __version__
from lidar2d.errors import UsageError
from lidar2d.leaderboard.board import Table
from lidar2d.leaderboard.page.ledger import Ledger
from lidar2d.leaderboard.page.pictures import copy_pictures, read_gallery
from lidar2d.leaderboard.page.sections import sections
from lidar2d.writing import write_atomically

STYLES = ("colours", "layout", "table", "plots", "record", "print")
SCRIPTS = (
    *("dom", "model", "format", "state", "filters", "view", "table"),
    *("plots", "curves", "radar", "record", "gallery"),
)
_TITLE = b"<title>lidar2d leaderboard</title>"  # a page that this has written has it
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def write_page(tables: Sequence[Table], folder: Path, galleries: Sequence[Path] = ()) -> Path:
    """Write the leaderboard as ``index.html`` below a folder and return its path.

    Args:
        tables: that it shows.
        folder: of the page, and of the galleries' pictures beside it.
        galleries: folders that ``lidar2d eval --save-images`` wrote.

    Raises:
        UsageError: if a gallery is none, the folder has a page of somebody else's, or it cannot be written.
    """
    shown = [read_gallery(each) for each in galleries]
    path = folder / "index.html"
    try:
        if path.exists() and _TITLE not in path.read_bytes():
            raise UsageError(f"--html {folder}: {path} is no leaderboard and would be lost; name another folder")
        pictures = copy_pictures(shown, folder)
        text = html(tables, pictures)
        write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--html {folder} cannot be written: {error.strerror or error}; name another folder") from None
    return path


def html(tables: Sequence[Table], pictures: Sequence[Mapping[str, object]] = ()) -> str:
    """Return the page."""
    ledger = Ledger()
    content = {
        "sections": sections(tables, ledger),
        "records": ledger.content(),
        "galleries": list(pictures),
        "version": __version__,
    }
    parts = {
        "style": "\n".join(_static(f"{name}.css") for name in STYLES),
        "script": "\n".join(_static(f"{name}.js") for name in (*SCRIPTS, "main")),
        "data": _safe(content),
    }
    # one pass: what looks like a place inside of data stays what it is
    return _PLACE.sub(lambda match: parts[match[1]], _static("page.html"))


def _static(name: str) -> str:
    return (files(__package__) / "static" / name).read_text(encoding="utf-8")


def _safe(content: Any) -> str:
    """Write JSON that ends no script: a name may hold ``</script>``."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
