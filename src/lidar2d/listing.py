"""What there is to choose from: methods, data sets, suites and networks, a name and a line each. Imports no torch."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from lidar2d import recipe
from lidar2d.docstrings import plain
from lidar2d.errors import UsageError, nearest

KINDS = ("methods", "datasets", "suites", "protocols", "corruptions")
NETWORKS = "networks"
_PACKAGE = Path(__file__).resolve().parent
_BASES = {"PointEncoder": "points", "ImageEncoder": "images", "WeakLabels": "weak_labels"}


@dataclass(frozen=True)
class Choice:
    """A class that recipes can name."""

    path: str  # package.module.Class
    setting: str  # that it can be chosen for: points, images or weak_labels
    headline: str


def choices(*settings: str) -> dict[str, Choice]:
    """Find the classes of lidar2d that a setting may be, by name, by reading modules rather than importing them."""
    found: dict[str, Choice] = {}
    for file in sorted(path for folder in ("nets", "data", "methods") for path in (_PACKAGE / folder).glob("*.py")):
        text = file.read_text(encoding="utf-8")
        if not any(f"({base})" in text for base in _BASES):
            continue
        of = dict(_BASES)
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and node.name not in _BASES:
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                for base in set(bases).intersection(of):
                    of[node.name] = of[base]
                    line = plain((ast.get_docstring(node) or "").partition("\n")[0])
                    path = f"lidar2d.{file.parent.name}.{file.stem}.{node.name}"
                    found[node.name] = Choice(path, of[base], line)
    wanted = {name: choice for name, choice in found.items() if choice.setting in settings}
    return dict(sorted(wanted.items(), key=lambda item: (item[1].setting, item[0])))


def table(kind: str) -> str:
    """Return a name and one line each.

    Raises:
        UsageError: if there is no such kind.
    """
    if kind == NETWORKS:
        found = choices("points", "images")
        return _aligned({name: f"{network.setting}  {network.headline}" for name, network in found.items()})
    if kind not in KINDS:
        raise UsageError(f"nothing called '{kind}' to list; {nearest(kind, [*KINDS, NETWORKS])}")
    folder, names = recipe.folder(kind), recipe.names(kind)
    if not names:
        return f"no {kind} yet: {folder} holds no YAML file"
    return _aligned({name: headline(folder / f"{name}.yaml") for name in names})


def dataset(name: str) -> str:
    """Return what a card tells people: how to get the data set, its layout, licence and splits.

    Raises:
        UsageError: if there is no such card.
    """
    path = recipe.find("datasets", name)
    card = recipe.read_like(path, "datasets")
    lines = [str(card.get("title", name)), ""]
    for key in ("homepage", "licence", "citation"):
        lines.append(f"{key:<9} {' '.join(str(card.get(key, '')).split())}")
    lines += [f"splits    {', '.join(card.get('splits', {}))}", f"card      {path}"]
    for key in ("get", "layout"):
        lines += ["", str(card.get(key, "")).rstrip()]
    return "\n".join(lines)


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
