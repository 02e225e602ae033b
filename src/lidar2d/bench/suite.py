"""What a suite is: the methods, the frames they are judged on, and the protocols. Imports no torch."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from lidar2d import recipe
from lidar2d.bench.weather import checked_weather
from lidar2d.errors import UsageError, nearest
from lidar2d.results.record import WEATHER, Record, check_name

Flags = dict[str, Any]  # settings by their names in full, such as trainer.devices
RESERVED = "eval"
# of the data's settings, those that only training reads
UNREAD = (
    *("split", "also", "weight", "share", "draw", "batch_size", "augment"),
    *("superpixels", "weak_labels", "label_folder", "bad_files"),
)
_PERCENT = (1, 5, 10, 25, 50, 100)
_OF_FIT = ("config", "method", "data", "trainer")  # what a setting of a training begins with


@dataclass(frozen=True)
class Entry:
    """A row of the tables: a recipe, and what this suite changes in it.

    Args:
        name: of the row.
        recipe: name of the method's recipe; the row's own where none is named.
        settings: laid over the recipe.
        taught: whether it is trained; else its networks are judged as they begin: a teacher, or random weights.
    """

    name: str
    recipe: str
    settings: Flags
    taught: bool = True


@dataclass(frozen=True)
class Judged:
    """Frames and how encoders are judged on them.

    Args:
        data: name of a card.
        protocols: ids.
        settings: of the data, such as ``test: val``.
        labels: percent of the labels that heads learn from.
        methods: rows that are judged so; all of the suite where none is named.
    """

    data: str
    protocols: tuple[str, ...]
    settings: Flags
    labels: tuple[int, ...]
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One evaluation: a square of a table, or one square for each condition of the frames."""

    method: str
    seed: int
    data: str
    protocol: str
    labels: int

    def __str__(self) -> str:
        """Say which it is, in a line."""
        share = "" if self.labels == 100 else f", {self.labels} % of the labels"
        return f"{self.method}, seed {self.seed}: {self.protocol} on {self.data}{share}"


@dataclass(frozen=True)
class Suite:
    """A product of methods, seeds, frames and protocols.

    Args:
        name: of the file.
        methods: rows, by name.
        judge: what they are judged on.
        pretrain: settings laid over every recipe.
        seeds: of the runs and of the heads.
        version: goes up when results of before no longer compare.
        source: ``smoke`` results prove that all works, and nothing else.
        against: rows that the others are compared with, where they are judged in bad weather.
    """

    name: str
    methods: dict[str, Entry]
    judge: tuple[Judged, ...]
    pretrain: Flags = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    version: int = 1
    source: Literal["measured", "smoke"] = "measured"
    against: tuple[str, ...] = ()

    def cells(self) -> list[Cell]:
        """Return every evaluation, the cells of one run together."""
        return [
            Cell(method, seed, recipe.called("datasets", judged.data), recipe.called("protocols", protocol), labels)
            for method in self.methods
            for seed in self.seeds
            for judged in self.judge
            if not judged.methods or method in judged.methods
            for protocol in judged.protocols
            for labels in judged.labels
        ]

    def judged(self, cell: Cell) -> tuple[Judged, str]:
        """Return what a cell is judged on, and its protocol's name or file."""
        return next(
            (each, protocol)
            for each in self.judge
            for protocol in each.protocols
            if recipe.called("datasets", each.data) == cell.data
            and (not each.methods or cell.method in each.methods)
            and recipe.called("protocols", protocol) == cell.protocol
        )


def load_suite(name: str) -> Suite:
    """Read a suite by name or by path.

    Raises:
        UsageError: if there is none, or the file names what does not exist or has a wrong value.
    """
    path = recipe.find("suites", name)
    given = recipe.read(path)
    try:
        known = ("version", "source", "pretrain", "methods", "judge", "seeds", "against")
        _check_keys(given, known, ("methods", "judge"))
        if path.stem == RESERVED:
            raise UsageError(f"a suite cannot be called {RESERVED}: records of `lidar2d eval` are; rename the file")
        methods = {str(key): _entry(str(key), value) for key, value in _mapping(given["methods"], "methods").items()}
        listed = given["judge"]
        if not isinstance(listed, list) or not listed:
            raise UsageError("judge is no list of data sets")
        judge = tuple(_judged(each, methods) for each in listed)
        squares = [
            (recipe.called("datasets", each.data), recipe.called("protocols", protocol), method)
            for each in judge
            for protocol in each.protocols
            for method in each.methods or methods
        ]
        if twice := sorted(square for square, times in Counter(squares).items() if times > 1):
            raise UsageError(f"{twice[0][1]} on {twice[0][0]} stands twice in judge; files need names of their own")
        seeds = _numbers(given.get("seeds", [0]), "seeds")
        if max(seeds) > recipe.LARGEST_SEED:
            raise UsageError(f"seeds has {max(seeds)}; the largest is {recipe.LARGEST_SEED}")
        version = given.get("version", 1)
        if type(version) is not int or version < 0:
            raise UsageError(f"version is {version!r:.60}; it must be a whole number")
        source = given.get("source", "measured")
        if source not in ("measured", "smoke"):
            raise UsageError(f"source is {source!r}; it is measured or smoke")
        return Suite(
            name=path.stem,
            methods=methods,
            judge=judge,
            pretrain=_of_fit(_settings(given.get("pretrain"), "pretrain", ("seed",)), "pretrain"),
            seeds=seeds,
            version=version,
            source=source,
            against=_rows(given.get("against", []), methods, "against"),
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def done(suite: Suite, cells: Iterable[Cell], records: Iterable[Record]) -> dict[Cell, bool]:
    """Return the cells that have a record, and whether they failed.

    Records of another version or source of the suite, of another version of its corruptions, or of another text of a
    protocol do not count.
    """
    found: dict[Cell, bool] = {}
    wanted = set(cells)
    digest, table = cache(_digest), cache(_table)  # a suite asks the same of many cells

    def asked(cell: Cell) -> tuple[str, str]:
        judged, protocol = suite.judged(cell)
        weather = judged.settings.get("weather")
        return digest(protocol), "" if weather is None else table(str(weather.get("table", WEATHER)))

    for record in records:
        cell = Cell(record.method, record.seed, record.data, record.protocol, record.labels)
        if cell not in wanted or (record.suite_version, record.source) != (suite.version, suite.source):
            continue
        if record.error or (record.asked, record.weather) == asked(cell):
            found[cell] = found.get(cell, False) or bool(record.error)
    return found


def _digest(protocol: str) -> str:
    return recipe.digest(recipe.find("protocols", protocol))


def _table(name: str) -> str:
    """Return a table of corruptions with its version, as records name it."""
    path = recipe.find("corruptions", name)
    return f"{path.stem}@{recipe.read(path).get('version')}"


def shard(cells: Sequence[Cell], text: str) -> list[Cell]:
    """Return the share k of n of the cells, whole runs each.

    Raises:
        UsageError: unless the text is k/n with 1 <= k <= n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard is {text}; give k/n, such as 1/4 for the first of four shares")
    runs = list(dict.fromkeys((cell.method, cell.seed) for cell in cells))
    own = set(runs[int(match[1]) - 1 :: int(match[2])])
    return [cell for cell in cells if (cell.method, cell.seed) in own]


def _entry(name: str, value: Any) -> Entry:
    settings = _settings(value, f"methods.{check_name(name, 'the name of a row')}", ("seed",))
    base, taught = str(settings.pop("recipe", name)), settings.pop("taught", True)
    recipe.find("methods", base)
    if not isinstance(taught, bool):
        raise UsageError(f"methods.{name}.taught is {taught!r:.60}; it is true or false")
    return Entry(name, base, _of_fit(settings, f"methods.{name}", ("recipe", "taught")), taught)


def _judged(value: Any, methods: Iterable[str]) -> Judged:
    given = _mapping(value, "judge")
    _check_keys(given, ("data", "protocols", "settings", "labels", "methods"), ("data", "protocols"))
    recipe.find("datasets", str(given["data"]))
    names = given["protocols"]
    if not isinstance(names, list) or not names:
        raise UsageError("protocols is no list of protocols")
    for each in names:
        recipe.find("protocols", str(each))
    labels = _numbers(given.get("labels", [100]), "labels")
    if wrong := [each for each in labels if each not in _PERCENT]:
        raise UsageError(f"labels has {wrong[0]}; known: {', '.join(map(str, _PERCENT))}")
    own = _rows(given.get("methods", []), methods, "methods of a judge")
    settings = checked_weather(_settings(given.get("settings"), "settings", ("card", *UNREAD)))
    return Judged(str(given["data"]), tuple(map(str, names)), settings, labels, own)


def _rows(given: Any, methods: Iterable[str], name: str) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise UsageError(f"{name} is {given!r:.60}; it must be a list of rows")
    for each in given:
        if not isinstance(each, str) or each not in methods:
            raise UsageError(f"{name} has '{each}', which is no row; {nearest(str(each), methods)}")
    return tuple(given)


def _check_keys(given: dict[str, Any], known: Sequence[str], required: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"unknown key '{key}'; {nearest(str(key), known)}")
    for key in required:
        if not given.get(key):
            raise UsageError(f"missing key '{key}'")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{name} is {value!r:.60}; it must be a mapping")
    return dict(value)


def _settings(value: Any, name: str, refused: Sequence[str]) -> Flags:
    """Return settings that the command line can say.

    Raises:
        UsageError: if one is none, or is said elsewhere.
    """
    found = _mapping(value, name)
    for key, each in found.items():
        if key in refused:
            raise UsageError(f"{name}.{key} has no meaning in a suite; leave it out")
        try:
            json.dumps(each, allow_nan=False)
        except (TypeError, ValueError):
            raise UsageError(f"{name}.{key} is {str(each)!r:.60}; give text, a number, a list or a mapping") from None
    return found


def _of_fit(settings: Flags, name: str, beside: Sequence[str] = ()) -> Flags:
    """Return settings that begin as those of a training do.

    Raises:
        UsageError: naming the first that does not.
    """
    for key in settings:
        if (head := str(key).partition(".")[0]) not in _OF_FIT:
            raise UsageError(f"{name} has no key '{key}'; {nearest(head, (*beside, *_OF_FIT))}")
    return settings


def _numbers(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(each) is int and each >= 0 for each in value):
        raise UsageError(f"{name} is {value!r:.60}; it must be a list of whole numbers")
    if len(set(value)) < len(value):
        raise UsageError(f"{name} has a number twice")
    return tuple(value)
