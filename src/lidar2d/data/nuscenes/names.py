"""File names in twelve bytes each: nearly all differ from others in one number."""

from __future__ import annotations

import re

import numpy as np

NAME_DTYPE = np.dtype([("words", np.int32), ("number", np.int64)])

_LAST_NUMBER = re.compile(r"(?<!\d)(0|[1-9]\d{0,17})(?=\D*$)", re.ASCII)
_GAP = "\0"  # stands for the number; no file name holds it


class Names:
    """The words of names, each kept once.

    Args:
        words: as an earlier collection had them.
    """

    def __init__(self, words: list[str] | None = None) -> None:
        self.words = list(words or [])
        self._rows = {each: row for row, each in enumerate(self.words)}

    def keep(self, name: str) -> tuple[int, int]:
        """Return the row of a name's words, and its number."""
        match = _LAST_NUMBER.search(name)
        if match is None:
            return self._row(name), -1
        return self._row(f"{name[: match.start()]}{_GAP}{name[match.end() :]}"), int(match[0])

    def read(self, kept: np.void) -> str:
        """Return the name that a row of NAME_DTYPE stands for."""
        return self.fill(kept["words"], str(kept["number"]))

    def keep_around(self, name: str, part: str) -> int:
        """Return the row of the words around a part of a name, which is known otherwise."""
        return self._row(name.replace(part, _GAP, 1) if part else name)

    def _row(self, words: str) -> int:
        row = self._rows.setdefault(words, len(self.words))
        if row == len(self.words):
            self.words.append(words)
        return row

    def fill(self, row: int, part: str) -> str:
        """Return the name whose words and whose other part these are."""
        return self.words[row].replace(_GAP, part)
