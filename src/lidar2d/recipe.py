"""Finds recipes, cards, suites and baselines by name, in a checkout or in a wheel. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lidar2d.errors import UsageError, nearest
from lidar2d.paths import expanded

LARGEST_SEED = 2**32 - 1  # that all sources of what is random take

_PACKAGE = Path(__file__).resolve().parent
_NO_VALUE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)  # of a tag or a number
# where their names are not their folders'
_FOLDERS = {
    "suites": "benchmarks",
    "protocols": "benchmarks/protocols",
    "corruptions": "benchmarks/corruptions",
    "baselines": "benchmarks/baselines",
}
_ENDINGS = {"baselines": (".json",)}  # of what is not YAML
_YAML = (".yaml", ".yml")


class _TwiceError(yaml.MarkedYAMLError):
    """A key that stands twice in a mapping: one of its values would be lost."""

    def __str__(self) -> str:
        return self.problem or ""


class _Once(yaml.SafeLoader):
    """Reads YAML whose keys stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping.

        Raises:
            _TwiceError: naming the key.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise _TwiceError(problem=f"'{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def folder(kind: str) -> Path:
    """Return the folder of ``methods``, ``datasets``, ``suites`` or ``protocols``: in the wheel, or in a checkout."""
    place = _FOLDERS.get(kind, kind)
    shipped = _PACKAGE / "shipped" / place
    return shipped if shipped.is_dir() else _PACKAGE.parents[1] / place


def names(kind: str) -> list[str]:
    """List what ``folder(kind)`` holds, by name; a protocol's is ``task/name@version``."""
    top, ending = folder(kind), _ENDINGS.get(kind, _YAML)[0]
    found = top.glob(f"*/*{ending}" if kind == "protocols" else f"*{ending}")
    return sorted(path.relative_to(top).with_suffix("").as_posix() for path in found)


def called(kind: str, name: str) -> str:
    """Return what records call a data set or a protocol: its name, or one made of a file's."""
    if not name.endswith(_YAML):
        return name
    stem = Path(name).stem
    return f"own/{stem}@0" if kind == "protocols" else stem


def find(kind: str, name: str) -> Path:
    """Return the file for a name (``collab``) or a path (``./mine.yaml``; of baselines ``./mine.json``).

    Raises:
        UsageError: with the nearest name, if there is none.
    """
    endings = _ENDINGS.get(kind, _YAML)
    if name.endswith(endings):
        path = expanded(name)
        if not path.is_file():
            raise UsageError(f"no file {path.absolute()}")
        return path
    if name not in names(kind):
        raise UsageError(f"no {kind.removesuffix('s')} '{name}'; {nearest(name, names(kind))}")
    return folder(kind) / f"{name}{endings[0]}"


def read(path: Path) -> dict[str, Any]:
    """Read a mapping: YAML, or JSON where the file's name ends so.

    Raises:
        UsageError: with the line, if it is not one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = _json(text) if path.suffix == ".json" else yaml.load(text, _Once)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a readable text file: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        what = str(error) if isinstance(error, _TwiceError) else "not valid YAML"
        raise UsageError(f"{path}{f', line {where.line + 1}' if where else ''}: {what}") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: not valid JSON") from None
    except _NO_VALUE as error:
        raise UsageError(f"{path}: has a value that is none: {error or type(error).__name__}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected 'key: value' lines")
    return content


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_number)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise _TwiceError(problem=f"'{twice[0]}' stands twice")
    return dict(pairs)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def digest(path: Path) -> str:
    """Return 12 digits that tell what a file says; comments and order do not count."""
    return hashlib.sha256(json.dumps(read(path), sort_keys=True, default=str).encode()).hexdigest()[:12]


def read_like(path: Path, kind: str, before: Sequence[Path] = ()) -> dict[str, Any]:
    """Read a file, with what it leaves out of the one that it is ``like``, if it names one, and so on.

    Args:
        path: of the file.
        kind: the folder of the others; one that ends in .yaml may lie beside the file.
        before: the files that led here.

    Raises:
        UsageError: if one of them does not exist, or is like itself.
    """
    if path in before:
        raise UsageError(f"{before[0]}: is like itself, by way of {before[-1].name}")
    given = read(path)
    if (other := given.pop("like", None)) is None:
        return given
    beside = path.parent / str(other)
    try:
        found = beside if beside.suffix == ".yaml" and beside.is_file() else find(kind, str(other))
    except UsageError as error:
        raise UsageError(f"{path}: like {other}: {error}") from None
    return read_like(found, kind, [*before, path]) | given
