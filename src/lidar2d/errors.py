"""The one error that users see: what is wrong, what was given, what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

_MOST = 12  # names that an answer lists


class UsageError(Exception):
    """A mistake that the user can mend; the command line prints it in one to three lines and exits with status 2."""


class DataError(UsageError):
    """A file of a data set that is missing, unreadable or wrong; the message names the file."""


class SettingError(UsageError):
    """A setting whose value has no meaning; it knows its last name, and the command line adds those before it."""

    def __init__(self, name: str, value: object, needs: str) -> None:
        shown = list(value) if isinstance(value, tuple) else value  # as it is written
        super().__init__(f"{name} is {shown}; {needs}")
        self.name = name
        self.value = value
        self.needs = needs


def within(low: float, high: float = math.inf, /, **settings: float | Iterable[float] | None) -> None:
    """Refuse settings, given by name, that lie outside of low..high or are NaN; None passes, of several all count.

    Raises:
        SettingError: naming the first one.
    """
    for name, given in settings.items():
        numbers = () if given is None else given if isinstance(given, Iterable) else (given,)
        if not all(low <= number <= high and math.isfinite(number) for number in numbers):
            reach = f"at least {low:.12g}" if high == math.inf else f"from {low:.12g} to {high:.12g}"
            raise SettingError(name, given, f"it must be {reach}")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'collab'?``, or the known names when none is near."""
    names = sorted(known, key=lambda name: (name.isdigit(), len(name) if name.isdigit() else 0, name))
    match = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    shown = names if len(names) <= _MOST else [*names[:_MOST], f"and {len(names) - _MOST} more"]
    return f"did you mean '{match[0]}'?" if match else f"known: {', '.join(shown)}"
