"""Whether the bad weather that a suite asks for exists, told before anything is trained. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest
from lidar2d.results.record import WEATHER

_KEYS = ("table", "corruptions", "severities", "keep")
_OWN = "weather."


def checked_weather(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a judge sets, all of its weather in one mapping.

    Args:
        settings: of the data; ``weather.table`` may stand for ``weather: {table: ...}``.

    Raises:
        UsageError: naming the key that does not exist, or whose value does not.
    """
    apart = {key.removeprefix(_OWN): value for key, value in settings.items() if str(key).startswith(_OWN)}
    weather = settings.get("weather")
    if weather is None and not apart:
        return settings
    if weather is not None and not isinstance(weather, dict):
        raise UsageError(f"settings.weather is {weather!r:.60}; give its settings: {{table: {WEATHER}}}")
    given = {**(weather or {}), **apart}
    for key in given:
        if key not in _KEYS:
            raise UsageError(f"settings.weather has no key '{key}'; {nearest(str(key), _KEYS)}")
    keep, table = given.get("keep", False), given.get("table", WEATHER)
    if not isinstance(keep, bool):
        raise UsageError(f"settings.weather.keep is {keep!r:.60}; it is true or false")
    if not isinstance(table, str):
        raise UsageError(f"settings.weather.table is {table!r:.60}; name one: {WEATHER}")
    _check_table(table, given.get("corruptions"), given.get("severities"))
    return {key: value for key, value in settings.items() if not str(key).startswith(_OWN)} | {"weather": given}


def _check_table(table: str, corruptions: Any, severities: Any) -> None:
    """Refuse corruptions and severities that a table does not have.

    Raises:
        UsageError: naming the first.
    """
    try:
        path = recipe.find("corruptions", table)
    except UsageError as error:
        raise UsageError(f"settings.weather.table: {error}") from None
    listed = recipe.read(path).get("corruptions")
    if not isinstance(listed, dict) or not listed:
        raise UsageError(f"settings.weather.table: {path}: corruptions is no mapping of names")
    _check_list(corruptions, "corruptions", str, "names such as [fog, rain]")
    _check_list(severities, "severities", int, "whole numbers such as [1, 3]")
    for name in listed if corruptions is None else corruptions:
        if name not in listed:
            raise UsageError(f"settings.weather.corruptions: {table} has no '{name}'; {nearest(name, listed)}")
        most = _levels(listed[name])
        for each in severities or ():
            if not 1 <= each <= most:
                raise UsageError(f"settings.weather.severities has {each}; {name} of {table} has 1 to {most}")


def _levels(corruption: Any) -> int:
    """Count the severities of a corruption: each of its arguments has a value for each of them."""
    values: Sequence[Any] = list(corruption.values()) if isinstance(corruption, dict) else []
    return max((len(each) for each in values if isinstance(each, list)), default=0)


def _check_list(value: Any, name: str, kind: type, such: str) -> None:
    if value is None:
        return
    if not isinstance(value, list) or not value or not all(type(each) is kind for each in value):
        raise UsageError(f"settings.weather.{name} is {value!r:.60}; it must be a list of {such}, or left out for all")
    if len(set(value)) < len(value):
        raise UsageError(f"settings.weather.{name} is {value!r:.60}; each must stand once")
