"""What every setting means, from the docstrings of the classes that take it."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")  # of a docstring, as in :class:`~lidar2d.nets.small.SmallConv`


def settings_table(content: dict[str, Any], takers: dict[str, type]) -> str:
    """Return a line for each setting: flag, value, meaning.

    Args:
        content: the settings, with the names of the classes in them.
        takers: the class that takes each group of settings.
    """
    lines: list[str] = []
    for name, value in content.items():
        if name in takers:
            inner = value.get("init_args") or {} if "class_path" in value else value
            lines += _lines(inner, takers[name], f"{name}.")
        else:
            lines.append(_line(name, value, "of everything random" if name == "seed" else ""))
    return "\n".join(lines)


def _lines(content: dict[str, Any], owner: type, prefix: str) -> Iterator[str]:
    meanings, hints = arguments_of(owner), get_type_hints(owner.__init__)  # type: ignore[misc]
    for key, value in content.items():
        hint = hints.get(key)
        if isinstance(value, dict) and "class_path" in value:
            inner = load(value["class_path"])
            short = inner.__name__ if inner.__module__.startswith("lidar2d.nets.") else value["class_path"]
            yield _line(f"{prefix}{key}", short, meanings.get(key, ""))
            yield from _lines(value.get("init_args") or {}, inner, f"{prefix}{key}.")
        elif isinstance(value, dict) and inspect.isclass(hint):
            yield from _lines(value, hint, f"{prefix}{key}.")
        else:
            meaning = meanings.get(key, "")
            yield _line(f"{prefix}{key}", value, meaning + _choices(hint, meaning))


def _choices(hint: object, meaning: str) -> str:
    """Say which words a setting may be, unless its meaning names them, or which settings it has if it is not null."""
    words = [str(word) for word in get_args(hint)] if get_origin(hint) is Literal else []
    if any(f"``{word}``" not in meaning for word in words):
        return f" ({', '.join(words)})"
    for kind in get_args(hint):
        if is_dataclass(kind):
            return f" (has: {', '.join(field.name for field in fields(kind) if field.init)})"
    return ""


def _line(name: str, value: object, meaning: str) -> str:
    shown = value if isinstance(value, str) else re.sub(r"(\.\d{4})\d+", r"\1", json.dumps(value))
    said = meaning.replace("``", "").replace("None", "null")
    return f"  --{name:<32} {shown:<16} {said}".rstrip()


def load(path: str) -> type:
    """Import a class by its dotted path."""
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def plain(text: str) -> str:
    """Return a line of a docstring without its roles: the last name of each alone."""
    return _ROLE.sub(r"\1", text)


def arguments_of(owner: type) -> dict[str, str]:
    """Return what the docstrings of a class and of its bases say of each argument."""
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(owner)):
        section = re.search(r"^Args:\n((?: +.*\n?|\n)*)", inspect.cleandoc(base.__doc__ or ""), re.MULTILINE)
        if section is not None:
            for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section[1], re.MULTILINE):
                found[name] = plain(" ".join(text.split()).rstrip("."))
    return found
