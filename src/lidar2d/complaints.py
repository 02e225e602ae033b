"""Says in one to three lines what is wrong with a command line: where, what was given, what would do.

The parser's own text names neither the flag nor the file. The culprit is found by trial instead: recipes are spelled
out as flags, and the shortest beginning of the command line that the parser refuses ends with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from lidar2d import listing, recipe
from lidar2d.docstrings import load
from lidar2d.errors import nearest

Attempt = Callable[[Sequence[str]], dict[str, Any] | str]
_NAMES = {"int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false", "NoneType": "null"}
NO_NULL = "null is not one of its values"
GROUP = "it is no value but a group of settings: --{name}.NAME VALUE"
_LISTS = {"data.also": "'[{card: kitti, root: DIR, weight: 0.5}]'; split is its other key"}  # of groups of settings
_UNKNOWN = re.compile(r"is not accepted|does not accept option|unrecognized arguments|^no setting ")


@dataclass(frozen=True)
class Setting:
    """One setting of the command line, or one line of a recipe."""

    name: str  # as in method.points.width
    value: str
    origin: str  # "" for a flag, else the recipe's file

    @property
    def word(self) -> str:
        """Return the setting as a flag."""
        return f"--{self.name}={self.value}"

    @property
    def where(self) -> str:
        """Return how the user finds it."""
        return f"{self.origin}: {self.name}" if self.origin else f"--{self.name}"


def explain(complaint: str, argv: Sequence[str], attempt: Attempt) -> str:
    """Explain why a parser refuses a command line.

    Args:
        complaint: what the parser said.
        argv: the words it was given.
        attempt: parses words; returns the flat settings or the complaint.
    """
    settings: list[Setting] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            return f"unexpected word '{word}'; every setting has a flag: --NAME VALUE"
        if not equals:
            if not words or words[0].startswith("--"):
                return f"{word} needs a value"
            value = words.pop(0)
        if name != "config":
            settings += [Setting(*line, "") for line in _flag(name, value)]
        elif not Path(value).is_file():
            return f"no file {value}"
        else:
            settings += [Setting(*line, value) for line in _lines(recipe.read(Path(value)))]
    return _judge(complaint, settings, attempt)


def _judge(complaint: str, settings: list[Setting], attempt: Attempt) -> str:
    place, said = _first_refused(settings, attempt)
    if place is None:
        if missing := re.search(r"arguments are required: ([\w.]+)", complaint):
            inside = "".join(f"{key}." for key in re.findall(r'Parser key "([\w.]+)"', complaint))
            return (
                f"{inside}{missing[1]} has no value; set it in the recipe, or by a flag: --{inside}{missing[1]} VALUE"
            )
        return _short(complaint)
    culprit = settings[place]
    if culprit.name in _LISTS:
        return f"{culprit.where} {culprit.value} is not understood; give a list such as {_LISTS[culprit.name]}"
    if said.endswith(NO_NULL):
        return f"{culprit.where}: {NO_NULL}"
    said = _of_it_alone(culprit.name, said)
    if _UNKNOWN.search(said):
        others = [setting for setting in settings if setting.name != culprit.name]
        known = attempt([setting.word for setting in others])
        names = {setting.name for setting in others} if isinstance(known, str) else set(known)
        names |= {f"{culprit.name.rpartition('.')[0]}.{member}" for member in _members(said)}
        origin, dashes = (f"{culprit.origin}: ", "") if culprit.origin else ("", "--")
        return f"{origin}no setting {dashes}{culprit.name}; {nearest_setting(culprit.name, names, dashes)}"
    if choices := re.search(r"Expected a typing\.Literal\[(.*?)\]", said):
        options = [option.strip().strip("'\"") for option in choices[1].split(",")]
        hint = nearest(culprit.value, options)
        return f"{culprit.where}: no '{culprit.value}'; {hint}" + (
            "" if "known" in hint else f" ({', '.join(options)})"
        )
    given = re.escape(culprit.value)
    if re.search(rf"given class_path '{given}'|dot import path string: {given}|Import path {given} ", said):
        return f"{culprit.where}: {_wrong_class(culprit, said)}"
    if re.search(r"Unable to load config|Subtypes: \[<class '\w+\.", said):
        return f"{culprit.where}: {_group(culprit.name, said)}"
    if elements := re.search(r"Subtypes: \[(?:tuple|list)\[(\w+)", said):
        such = "[a,b]" if elements[1] == "str" else "[1,2]"
        return f"{culprit.where}: expected a list such as {such}, given '{culprit.value}'"
    kinds = dict.fromkeys(re.findall(r"Expected an? (.+?)(?:\. Got value.*)?$", said, re.MULTILINE))
    named = [_name(kind) for kind in kinds if "NoneType" not in kind]
    if named:
        return f"{culprit.where}: expected {' or '.join(named)}, given '{culprit.value}'"
    return f"{culprit.where} {culprit.value}: {_short(said)}"


def _flag(name: str, value: str) -> Iterable[tuple[str, str]]:
    """Spell a flag out as settings: several where its value is a mapping, as those of a suite are."""
    try:
        content = yaml.safe_load(value) if value.startswith("{") else None
    except yaml.YAMLError:
        content = None
    return _lines({name: content}) if isinstance(content, dict) and content else [(name, value)]


def _of_it_alone(name: str, said: str) -> str:
    """Return what is said of a setting itself: of one in a group that may be null, the parser complains of both."""
    lines = said.splitlines()
    last = name.rpartition(".")[2]
    heads = [index for index, line in enumerate(lines) if line.strip() == f'Parser key "{last}":']
    if not heads:
        return said
    deep = _indent(lines[heads[-1]])
    return "\n".join(takewhile(lambda line: _indent(line) > deep, lines[heads[-1] + 1 :]))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _group(name: str, said: str) -> str:
    members = ", ".join(sorted(_members(said)))
    return GROUP.format(name=name) + (f"; it has: {members}" if members else "")


def _members(said: str) -> list[str]:
    """Return the settings of the innermost group that a complaint names; none where it is no group."""
    named = re.findall(r"(?:given class_path '|Subtypes: \[<class ')((?:\w+\.)+\w+)'", said)
    try:
        found = load(named[-1]) if named else None
    except (ImportError, AttributeError):  # the user's own name of a class
        return []
    return [each.name for each in fields(found) if each.init] if is_dataclass(found) else []


def _lines(content: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Spell a recipe out as settings, classes before their arguments."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and "class_path" in value:
            yield name, str(value["class_path"])
            yield from _lines(value.get("init_args") or {}, f"{name}.")
        elif isinstance(value, dict) and value:
            yield from _lines(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, default=str)


def _first_refused(settings: list[Setting], attempt: Attempt) -> tuple[int | None, str]:
    """Find the first setting that the parser refuses, by bisection; what is merely missing does not count."""

    def refusal(count: int) -> str:
        said = attempt([setting.word for setting in settings[:count]])
        return said if isinstance(said, str) and "arguments are required" not in said else ""

    said = refusal(len(settings))
    if not said:
        return None, ""
    good, bad = 0, len(settings)
    while bad - good > 1:
        middle = (good + bad) // 2
        if text := refusal(middle):
            bad, said = middle, text
        else:
            good = middle
    return bad - 1, said


def nearest_setting(name: str, known: Iterable[str], dashes: str) -> str:
    """Name the likely setting: a sibling, one of that name elsewhere; else what the siblings are; else a like path."""
    names = sorted(known)
    group, _, last = name.rpartition(".")
    siblings = {other.rpartition(".")[2]: other for other in names if other.rpartition(".")[0] == group}
    if match := get_close_matches(last, siblings, n=1):
        return f"did you mean {dashes}{siblings[match[0]]}?"
    namesakes = [other for other in names if other.rpartition(".")[2] == last]
    if match := get_close_matches(name, namesakes, n=1, cutoff=0.0):
        return f"did you mean {dashes}{match[0]}?"
    if siblings:
        return f"{group or 'known'} has: {', '.join(sorted(siblings))}"
    while group := group.rpartition(".")[0]:  # such a group is not there: what is, in the next one above it?
        inside = [other.removeprefix(f"{group}.") for other in names if other.startswith(f"{group}.")]
        if inside:
            return f"{group} has: {', '.join(sorted({other.partition('.')[0] for other in inside}))}"
    if match := get_close_matches(name, names, n=1):
        return f"did you mean {dashes}{match[0]}?"
    return "`lidar2d fit --method NAME --help` lists them all"


def _wrong_class(culprit: Setting, said: str) -> str:
    value, name = culprit.value, culprit.name.removesuffix(".class_path")
    if base := re.search(r"does not correspond to a subclass of (\w+)", said):
        return f"{value} is no {base[1]}"
    if "." not in value:
        known = listing.choices(name.rpartition(".")[2])
        if name == "method":
            return f"no class '{value}'; give its dotted path"
        if not known:
            return _group(name, said)
        return f"no class '{value}'; {nearest(value, known)} or one of your own, by its dotted path"
    return f"no class {value}; " + ("no such module" if "No module" in said else "its module has none of that name")


def _name(kind: str) -> str:
    plain = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind).strip()
    if plain.startswith(("tuple", "list")):
        count = re.search(r"with (\d+) elements", plain)
        return f"{count[1]} values, as a list" if count else "a list such as [1,2]"
    return _NAMES.get(plain, plain)


def _short(text: str) -> str:
    """Keep what fits in a line or two of a text that none of the above understands."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:3])[:300]
