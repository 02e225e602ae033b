"""What there is to choose from: methods, data sets and suites, a name and a line each. Imports no torch."""

from __future__ import annotations

import re
from pathlib import Path

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest

KINDS = {"methods": "methods", "datasets": "datasets", "suites": "benchmarks"}  # word -> folder


def table(kind: str) -> str:
    """Return a name and one line each.

    Raises:
        UsageError: if there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"nothing called '{kind}' to list; {nearest(kind, KINDS)}")
    folder = recipe.folder(KINDS[kind])
    names = recipe.names(KINDS[kind])
    if not names:
        return f"no {kind} yet: {folder} holds no YAML file"
    width = max(map(len, names))
    return "\n".join(f"{name:<{width}}  {headline(folder / f'{name}.yaml')}".rstrip() for name in names)


def headline(path: Path) -> str:
    """Return a file's title, or its first comment; only lines are read, so that a long card costs no time."""
    first = ""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if title := re.match(r"title:\s*(.+)", line):
                return re.sub(r"\s+#.*", "", title[1]).strip().strip("'\"")
            if not first and line.startswith("#"):
                first = line.lstrip("# ").strip()
    return first
