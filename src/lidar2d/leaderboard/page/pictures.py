"""Galleries that ``lidar2d eval --save-images`` wrote: read from their pages, copied beside ours."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote

from lidar2d.errors import UsageError
from lidar2d.writing import write_atomically

FOLDER = "gallery"  # beside the page
_COLOUR = re.compile(r"background:\s*(rgb\(\d{1,3}, ?\d{1,3}, ?\d{1,3}\))")
_WRITTEN = "`lidar2d eval --save-images` writes galleries"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A picture of a gallery."""

    file: str
    caption: str
    width: int  # pixels
    height: int


@dataclass
class Gallery:
    """Pictures of one evaluation, and what they show."""

    folder: Path
    title: str = ""
    about: list[str] = field(default_factory=list)
    colours: list[tuple[str, str]] = field(default_factory=list)  # of classes: rgb(…), name
    pictures: list[Picture] = field(default_factory=list)

    def content(self, place: str) -> dict[str, object]:
        """Return what the page's script reads.

        Args:
            place: of the copied pictures, beside the page.
        """
        return {
            **{"title": self.title, "about": self.about, "colours": self.colours},
            "pictures": [
                {
                    "file": f"{place}/{quote(each.file)}",
                    "caption": each.caption,
                    "condition": each.caption.partition(":")[0],
                    "size": [each.width, each.height],
                }
                for each in self.pictures
            ],
        }


def read_gallery(folder: Path) -> Gallery:
    """Read what the page of a gallery says of its pictures.

    Raises:
        UsageError: naming the folder or the file, if it is no gallery or lacks a picture.
    """
    page = folder / "index.html"
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"--gallery {folder}: it has no index.html that can be read; {_WRITTEN}") from None
    reader = _Reader()
    reader.feed(text)
    found = Gallery(folder, reader.title.strip(), reader.about, reader.colours)
    for source, caption in reader.figures:
        name = unquote(source)
        if name != Path(name).name or not name.lower().endswith(".png"):
            raise UsageError(f"--gallery {folder}: its page shows {name!r:.60}, which is no PNG file of the folder")
        found.pictures.append(Picture(name, caption.strip(), *_size(folder / name)))
    if not found.pictures:
        raise UsageError(f"--gallery {folder}: its page shows no picture; {_WRITTEN}")
    return found


def copy_pictures(galleries: Sequence[Gallery], folder: Path) -> list[dict[str, object]]:
    """Copy the pictures of galleries beside the page, and return what its script reads of them."""
    found = []
    for number, gallery in enumerate(galleries, start=1):
        place = f"{FOLDER}/{number}"
        for picture in gallery.pictures:
            write_atomically(folder / place / picture.file, partial(shutil.copy, gallery.folder / picture.file))
        found.append(gallery.content(place))
    return found


def _size(path: Path) -> tuple[int, int]:
    """Return width and height, so that the page keeps their place."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise UsageError(f"--gallery {path.parent}: {path.name} cannot be read: {error.strerror or error}") from None
    if len(head) < 24 or not head.startswith(_PNG):
        raise UsageError(f"--gallery {path.parent}: {path.name} is no PNG picture")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


class _Reader(HTMLParser):
    """Reads the title, the paragraphs, the colours and the figures of a gallery's page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.about: list[str] = []
        self.colours: list[tuple[str, str]] = []
        self.figures: list[tuple[str, str]] = []
        self._inside: list[str] = []
        self._caption = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img":
            self.figures.append((given.get("src") or "", self._caption))
            return
        if tag == "figure":
            self._caption = ""
        if tag == "p":
            self.about += [] if given.get("class") == "key" else [""]
        if tag == "i" and (colour := _COLOUR.search(given.get("style") or "")):
            self.colours.append((colour[1], ""))
        if tag in ("title", "figcaption", "p", "span"):
            self._inside.append("key" if given.get("class") == "key" else tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("title", "figcaption", "p", "span") and self._inside:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        where = self._inside[-1] if self._inside else ""
        if where == "title":
            self.title += data
        elif where == "figcaption":
            self._caption += data
        elif where == "p":
            self.about[-1] += data
        elif where == "span" and self.colours:
            colour, name = self.colours[-1]
            self.colours[-1] = (colour, name + data)
