"""The one error that users see: what is wrong, what was given, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A mistake that the user can mend; the command line prints it in one to three lines and exits with status 2."""


class DataError(UsageError):
    """A file of a data set that is missing, unreadable or wrong; the message names the file."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'collab'?``, or the known names when none is near."""
    names = sorted(known)
    match = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean '{match[0]}'?" if match else f"known: {', '.join(names)}"
