"""A data set's card: what it holds, who may use it, and how its labels are read. One YAML in ``datasets/`` each."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest


@dataclass(frozen=True)
class Card:
    """The facts about one data set that code and people need."""

    name: str
    title: str
    reader: str  # dotted path of the Source class
    licence: str
    citation: str
    homepage: str
    get: str  # how to get the data, in words
    layout: str  # the official folder layout, in words
    classes: tuple[str, ...]  # of points and pixels, in index order; () where there are none
    box_classes: tuple[str, ...]
    cameras: tuple[str, ...]
    splits: dict[str, Any]  # split name -> what the reader needs to find its frames
    train: str  # the split that methods train on
    clear: tuple[str, ...]  # the conditions in which the image teacher is trusted
    adverse: tuple[str, ...]
    intensity_scale: float  # raw intensity / scale is in 0..1
    probe: str = ""  # the split that linear probes are fitted on; "" where nothing is labelled
    test: str = ""  # the split that probes are judged on
    image_size: tuple[int, int] | None = None  # (height, width) to read images at where no recipe says; null: as is
    colours: tuple[tuple[int, int, int], ...] = ()  # RGB 0..255 of each class
    label_map: dict[int, int] | None = None  # raw label -> class index, -1 = ignore; every raw id has a line
    box_map: dict[str, str] | None = None  # raw category -> box class; boxes of other categories are left out
    elevation: tuple[float, float] = (-30.0, 10.0)  # degrees: lowest and highest beam of the LiDAR
    beams: int = 32  # of the LiDAR


def load_card(name: str) -> Card:
    """Read a card by name or by path.

    Raises:
        UsageError: if there is no such card, or the file has a missing or an unknown key.
    """
    path = recipe.find("datasets", name)
    given = recipe.read(path)
    known = {field.name: field for field in fields(Card)}
    for key in given:
        if key not in known:
            raise UsageError(f"{path}: unknown key '{key}'; {nearest(key, known)}")
    required = [key for key, field in known.items() if field.default is MISSING]
    if missing := [key for key in required if key not in given]:
        raise UsageError(f"{path}: missing key '{missing[0]}'; every card needs {', '.join(required)}")
    for key in ("classes", "box_classes", "cameras", "clear", "adverse", "elevation", "image_size"):
        if given.get(key) is not None:
            given[key] = tuple(given[key])
    if "colours" in given:
        given["colours"] = tuple(tuple(colour) for colour in given["colours"])
    return Card(**given)


def folder_of(root: str | Path | None, card: Card) -> Path:
    """Return the folder that holds the data set.

    Raises:
        UsageError: if no folder was given, or it does not exist.
    """
    if root is None:
        raise UsageError(f"{card.name} needs its folder: --data.root FOLDER\n{card.get.strip()}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UsageError(f"no folder {folder}; --data.root must name the folder of {card.title}")
    return folder
