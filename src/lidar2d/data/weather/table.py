"""Tables of corruptions: which there are under which name, and what each severity means."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from lidar2d import recipe
from lidar2d.data.weather.corruption import Corruption
from lidar2d.errors import SettingError, UsageError, nearest
from lidar2d.results.record import check_name


@dataclass(frozen=True)
class Table:
    """A set of corruptions under one version.

    Args:
        name: of its file.
        version: goes up when any of its corruptions changes.
        corruptions: by name, of growing severity.
    """

    name: str
    version: int
    corruptions: dict[str, tuple[Corruption, ...]]

    def __str__(self) -> str:
        """Return ``weather-v1@1``."""
        return f"{self.name}@{self.version}"

    def levels(self, name: str) -> tuple[Corruption, ...]:
        """Return a corruption of every severity that it has, the mildest first.

        Raises:
            UsageError: if there is none.
        """
        if name not in self.corruptions:
            raise UsageError(f"{self.name} has no corruption '{name}'; {nearest(name, self.corruptions)}")
        return self.corruptions[name]

    def at(self, name: str, severity: int) -> Corruption:
        """Return a corruption of a severity, 1 the least.

        Raises:
            UsageError: if there is none.
        """
        levels = self.levels(name)
        if not 1 <= severity <= len(levels):
            raise UsageError(f"{name} of {self.name} has severities 1 to {len(levels)}; {severity} was asked for")
        return levels[severity - 1]


def load_table(name: str) -> Table:
    """Read a table by name or by path.

    Raises:
        UsageError: if there is none, or the file has a wrong value.
    """
    path = recipe.find("corruptions", name)
    given = recipe.read(path)
    try:
        if set(given) != {"version", "corruptions"} or type(given["version"]) is not int:
            raise UsageError("needs the keys version, a whole number, and corruptions, and no others")
        listed = given["corruptions"]
        if not isinstance(listed, dict) or not listed:
            raise UsageError("corruptions is no mapping of names")
        built = {check_name(str(key), "a corruption"): _levels(str(key), value) for key, value in listed.items()}
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return Table(path.stem, given["version"], built)


def _levels(name: str, given: Any) -> tuple[Corruption, ...]:
    """Build a corruption once for each severity.

    Raises:
        UsageError: saying what is wrong.
    """
    if not isinstance(given, dict) or "class_path" not in given:
        raise UsageError(f"{name} needs a class_path, and a list of values for each of its arguments")
    kind = _class(name, str(given["class_path"]))
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    lists = {key: value for key, value in given.items() if key != "class_path"}
    for key, values in lists.items():
        if key not in known:
            raise UsageError(f"{name} has no argument '{key}'; {nearest(str(key), known)}")
        if not isinstance(values, list) or not 1 <= len(values) <= 5:
            raise UsageError(f"{name}: {key} needs a list of one to five values, the mildest first")
        for value in values:
            if not _fits(value, hints[key]):
                what = {int: "a whole number", float: "a number", bool: "true or false"}[hints[key]]
                raise UsageError(f"{name}: {key} holds {value!r}, which is not {what}")
    if missing := sorted(set(known) - set(lists)):
        raise UsageError(f"{name} needs values for {missing[0]}")
    if len({len(values) for values in lists.values()}) > 1:
        raise UsageError(f"{name}: its lists differ in length")
    try:
        return tuple(kind(**dict(zip(lists, values, strict=True))) for values in zip(*lists.values(), strict=True))
    except SettingError as error:
        raise UsageError(f"{name}: {error}") from None


def _fits(value: Any, hint: type) -> bool:
    """Tell whether a value of a file has an argument's type; numbers that are read without a dot are numbers too."""
    return type(value) is hint or (hint is float and type(value) is int)


def _class(name: str, path: str) -> type[Corruption]:
    module, _, title = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), title)
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name}: no class {path} ({error}); give package.module.Class") from None
    if not (isinstance(found, type) and issubclass(found, Corruption) and is_dataclass(found)):
        raise UsageError(f"{name}: {path} is no Corruption")
    return found
