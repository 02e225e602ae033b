"""A data set's card: what it holds, who may use it, and how its labels are read. One YAML in ``datasets/`` each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest, within
from lidar2d.paths import expanded

Kinds = tuple[type, ...]  # that a value may be of

TEXT = (str, int)  # YAML reads 08 as a number
_WORDS = {str: "text", int: "a number", dict: "a mapping", bool: "true or false", type(None): "null"}


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
    val: str = ""  # the split that recipes are chosen on
    probe: str = ""  # the split that linear probes are fitted on; "" where nothing is labelled
    test: str = ""  # the split that probes are judged on
    image_size: tuple[int, int] | None = None  # (height, width) to read images at where no recipe says; null: as is
    colours: tuple[tuple[int, int, int], ...] = ()  # RGB 0..255 of each class
    share_by: Literal["scene", "frame"] | None = None  # what a share of the labels counts; None has no published rule
    scene_conditions: dict[str, str] | None = None  # condition -> its scenes; the others have the first clear one
    label_map: dict[int, int] | None = None  # raw label -> class index, -1 = ignore; every raw id has a line
    box_map: dict[str, str] | None = None  # raw category -> box class; boxes of other categories are left out
    category_map: dict[str, int] | None = None  # the same of a table of categories by name
    intrinsics: tuple[float, ...] | None = None  # K of all images, row by row, where no file says it
    depth_scale: float = 256.0  # of 16-bit depth images, per metre
    elevation: tuple[float, float] = (-30.0, 10.0)  # degrees: lowest and highest beam of the LiDAR
    beams: int = 32  # of the LiDAR

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        within(1e-6, intensity_scale=self.intensity_scale)
        within(8, 8192, image_size=self.image_size)
        within(1, beams=self.beams)
        within(1e-3, depth_scale=self.depth_scale)
        if self.intrinsics is not None and len(self.intrinsics) != 9:
            raise UsageError(f"intrinsics has {len(self.intrinsics)} numbers; 9 are needed, row by row")
        if self.intrinsics is not None and min(self.intrinsics[0], self.intrinsics[4], self.intrinsics[8]) <= 0:
            raise UsageError("intrinsics has no positive focal length")
        for key, values, end in (
            ("label_map", self.label_map, len(self.classes)),
            ("category_map", self.category_map, len(self.classes)),
        ):
            if wrong := [f"{raw}: {index}" for raw, index in (values or {}).items() if not -1 <= index < end]:
                raise UsageError(f"{key} has {wrong[0]}; classes are 0 to {end - 1}, and -1 is ignored")
        if negative := [raw for raw in self.label_map or {} if raw < 0]:
            raise UsageError(f"label_map has the raw label {negative[0]}; raw labels are not negative")
        if strange := [name for name in (self.box_map or {}).values() if name not in self.box_classes]:
            raise UsageError(f"box_map has class '{strange[0]}'; {nearest(strange[0], self.box_classes)}")
        for key in ("train", "val", "probe", "test"):
            if (split := getattr(self, key)) or key == "train":
                self.split(split)
        if self.colours and len(self.colours) != len(self.classes):
            raise UsageError(f"{len(self.colours)} colours for {len(self.classes)} classes")

    @property
    def usual(self) -> str:
        """The condition of frames of which nothing else is said.

        Raises:
            UsageError: if the card has none.
        """
        if not self.clear:
            raise UsageError(f"card {self.name}: clear is empty; frames of which nothing is said have its first")
        return self.clear[0]

    def split(
        self, name: str, needs: Mapping[str, Kinds] | None = None, takes: Mapping[str, Kinds] | None = None
    ) -> Any:
        """Return what the reader needs to find a split's frames.

        Args:
            name: of the split.
            needs: the keys that it must have, and what their values may be; None where the split is no mapping.
            takes: the keys that it may have.

        Raises:
            UsageError: if there is no such split, or a key is missing, unknown, or has a wrong value.
        """
        if name not in self.splits:
            raise UsageError(f"{self.name} has no split '{name}'; {nearest(name, self.splits)}")
        split = self.splits[name]
        if needs is None:
            return split
        known = {**needs, **(takes or {})}
        if not (isinstance(split, dict) and set(needs) <= set(split)):
            asked = ", ".join(needs) or f"some of {', '.join(known)}"
            raise UsageError(f"split '{name}' of {self.name} is {split!r:.80}; it needs the keys {asked}")
        for key, value in split.items():
            if key not in known:
                raise UsageError(f"split '{name}' of {self.name}: unknown key '{key}'; {nearest(str(key), known)}")
            if type(value) not in known[key]:
                words = " or ".join(_WORDS[kind] for kind in known[key])
                raise UsageError(f"split '{name}' of {self.name}: {key} is {value!r:.60}; it must be {words}")
        return split


def load_card(name: str) -> Card:
    """Read a card by name or by path; what it leaves out it has of the card that it is ``like``, if it names one.

    Raises:
        UsageError: if there is no such card, or the file has a missing or an unknown key, or a wrong value.
    """
    path = recipe.find("datasets", name)
    given = recipe.read_like(path, "datasets")
    known = {field.name: field for field in fields(Card)}
    for key in given:
        if key not in known:
            raise UsageError(f"{path}: unknown key '{key}'; {nearest(key, known)}")
    required = [key for key, field in known.items() if field.default is MISSING]
    if missing := [key for key in required if key not in given]:
        raise UsageError(f"{path}: missing key '{missing[0]}'; every card needs {', '.join(required)}")
    hints = get_type_hints(Card)
    for key, value in given.items():
        try:
            given[key] = _typed(value, hints[key])
        except (TypeError, ValueError):
            raise UsageError(f"{path}: {key} is {value!r:.80}; it must be {_shape(hints[key])}") from None
    try:
        return Card(**given)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _shape(hint: Any) -> str:
    """Say in words what a value must be."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (UnionType, Union):
        return f"{_shape(inner[0])}, or null"
    if kind is Literal:
        return " or ".join(map(str, inner))
    if kind is dict:
        return f"a mapping of {_shape(inner[0])} to {_shape(inner[1])}"
    if kind is tuple:
        return f"a list of {_shape(inner[0])}" if Ellipsis in inner else f"a list of {len(inner)} numbers"
    return {str: "text", int: "a whole number", float: "a number", Any: "anything"}.get(hint, str(hint))


def _typed(value: Any, hint: Any) -> Any:
    """Return what YAML gave as what the card holds, lists as tuples.

    Raises:
        TypeError, ValueError: if it is something else.
    """
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (UnionType, Union):
        return None if value is None else _typed(value, inner[0])
    if kind is Literal and value in inner:
        return value
    if kind is dict and isinstance(value, dict):
        return {_typed(key, inner[0]): _typed(item, inner[1]) for key, item in value.items()}
    if kind is tuple and isinstance(value, (list, tuple)):
        each = inner[:1] * len(value) if Ellipsis in inner else inner
        return tuple(_typed(item, own) for item, own in zip(value, each, strict=True))
    if hint is Any or type(value) is hint or (hint is float and type(value) is int):
        return value
    raise TypeError


def folder_of(root: str | Path | None, card: Card) -> Path:
    """Return the folder that holds the data set.

    Raises:
        UsageError: if no folder was given, or it does not exist.
    """
    if not root:
        raise UsageError(f"{card.name} needs its folder: --data.root FOLDER\n{card.get.strip()}")
    folder = expanded(root)
    try:
        there = folder.is_dir()
    except OSError as error:
        raise UsageError(f"cannot look at --data.root {folder}: {error.strerror}") from None
    if not there:
        raise UsageError(f"no folder {folder}; --data.root must name the folder of {card.title}")
    return folder
