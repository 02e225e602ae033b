"""Checksums of a data set's files, as ``sha256sum`` and ``md5sum`` list them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lidar2d.data.source import Expecting, Problem, Source
from lidar2d.errors import UsageError

_LINE = re.compile(r"\\?([0-9a-fA-F]+) [ *](.+)")
_KINDS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # by hexadecimal digits


class Sums:
    """A list of checksums, a file a line.

    Args:
        path: of the list; the paths in it are below ``root``.
        root: the folder of the data set.

    Raises:
        UsageError: if there is no such list, or a line is no checksum and path.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the checksums {path}: {error}") from None
        self._digests: dict[Path, str] = {}
        self._seen: set[Path] = set()
        for number, line in enumerate(lines, start=1):
            match = _LINE.fullmatch(line)
            if not line.strip() or line.startswith("#"):
                continue
            if match is None or len(match[1]) not in _KINDS:
                raise UsageError(f"{path}: line {number} is no checksum and path, as `sha256sum` writes them")
            self._digests[root / match[2]] = match[1].lower()

    def hold(self, source: Source, found: Iterable[tuple[str, list[Problem]]]) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems, and with its files that have another checksum.

        Args:
            source: whose files they are.
            found: problems of each of its frames, in order; their files are not looked at again.

        Raises:
            UsageError: if the source does not name its files, or none of them is in the list.
        """
        if not isinstance(source, Expecting):
            raise UsageError(f"{source.card.name} names no files; leave --sums out")
        if not any(file.path in self._digests for index in range(len(source)) for file in source.expected(index)):
            raise UsageError(f"{self.path} has no file of this split; its paths must begin below {self.root}")
        bad: set[Path] = set()
        for index, (token, problems) in enumerate(found):
            bad.update(problem.path for problem in problems)
            more = []
            for path in {file.path: None for file in source.expected(index)}:
                if path in self._seen:
                    continue
                self._seen.add(path)
                if path in self._digests and path not in bad and (fault := self._fault(path)) is not None:
                    more.append(Problem(path, fault))
            yield token, [*problems, *more]

    def __str__(self) -> str:
        """Say how many of the files that were held are in the list."""
        return f"{len(self._seen & self._digests.keys())} of {len(self._seen)} files held against {self.path.name}"

    def _fault(self, path: Path) -> str | None:
        wanted = self._digests[path]
        kind = _KINDS[len(wanted)]
        try:
            with path.open("rb") as file:
                has = hashlib.file_digest(file, kind).hexdigest()
        except OSError as error:
            return f"unreadable: {error.strerror}"
        return None if has == wanted else f"its {kind} is {has[:12]}...; {self.path.name} has {wanted[:12]}..."
