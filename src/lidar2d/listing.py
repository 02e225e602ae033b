"""What there is to choose from: methods, data sets, suites and networks, a name and a line each. Imports no torch."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest

KINDS = {"methods": "methods", "datasets": "datasets", "suites": "benchmarks"}  # word -> folder
NETWORKS = "networks"
_NETS = Path(__file__).resolve().parent / "nets"
_ENCODERS = {"PointEncoder": "points", "ImageEncoder": "images"}


@dataclass(frozen=True)
class Network:
    """An encoder that recipes can name."""

    path: str  # package.module.Class
    sees: str  # points or images
    headline: str


def networks() -> dict[str, Network]:
    """Find the encoders of lidar2d by name, by reading their modules rather than importing them."""
    found: dict[str, Network] = {}
    for file in sorted(_NETS.glob("*.py")):
        sees = dict(_ENCODERS)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name not in _ENCODERS:
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                for base in set(bases).intersection(sees):
                    sees[node.name] = sees[base]
                    line = (ast.get_docstring(node) or "").partition("\n")[0]
                    line = re.sub(r":class:`(\w+)`", r"\1", line)
                    found[node.name] = Network(f"lidar2d.nets.{file.stem}.{node.name}", sees[base], line)
    return dict(sorted(found.items(), key=lambda item: (item[1].sees, item[0])))


def table(kind: str) -> str:
    """Return a name and one line each.

    Raises:
        UsageError: if there is no such kind.
    """
    if kind == NETWORKS:
        return _aligned({name: f"{network.sees}  {network.headline}" for name, network in networks().items()})
    if kind not in KINDS:
        raise UsageError(f"nothing called '{kind}' to list; {nearest(kind, [*KINDS, NETWORKS])}")
    folder = recipe.folder(KINDS[kind])
    names = recipe.names(KINDS[kind])
    if not names:
        return f"no {kind} yet: {folder} holds no YAML file"
    return _aligned({name: headline(folder / f"{name}.yaml") for name in names})


def _aligned(lines: dict[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {line}".rstrip() for name, line in lines.items())


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
