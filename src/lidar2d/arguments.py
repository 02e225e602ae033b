"""The parser of the command line, built from the types of what it fills."""

from __future__ import annotations

import inspect
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from lidar2d import recipe
from lidar2d.complaints import GROUP, NO_NULL, explain, nearest_setting
from lidar2d.docstrings import load
from lidar2d.errors import SettingError, UsageError

set_parsing_settings(unset_sentinel=True)  # a null in a recipe is a value, and is checked as one


def new_parser(prog: str) -> ArgumentParser:
    """Make an empty parser; use it with :func:`parse`."""
    return ArgumentParser(prog=prog, exit_on_error=False, add_help=False, allow_abbrev=False, print_config=None)


def fit_parser(method: type, data: type, trainer: type) -> ArgumentParser:
    """Make the parser of ``fit``: its flags are the constructor arguments of these types.

    Args:
        method: the abstract base of methods; a recipe names the class.
        data: the datamodule.
        trainer: the dataclass of training options.
    """
    parser = new_parser("lidar2d fit")
    parser.add_argument("--config", action="config")
    parser.add_argument("--seed", type=int, default=0)
    # as a type, not as subclass arguments: those are optional, and an optional swallows what constructors raise
    parser.add_argument("--method", type=method, required=True)
    parser.add_class_arguments(data, "data")
    parser.add_class_arguments(trainer, "trainer")
    return parser


def protocol_parser(protocol: type) -> ArgumentParser:
    """Make the parser of a protocol's file.

    Args:
        protocol: the abstract base of protocols; a file names the class.
    """
    parser = new_parser("lidar2d eval")
    parser.add_argument("--protocol", type=protocol, required=True)
    return parser


def eval_parser(data: type) -> ArgumentParser:
    """Make the parser of ``eval``: which frames, and where it computes."""
    parser = new_parser("lidar2d eval")
    parser.add_class_arguments(data, "data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", type=Literal[1, 5, 10, 25, 50, 100], default=100)
    parser.add_argument("--device", type=str, default="auto")
    return parser


def check_parser() -> ArgumentParser:
    """Make the parser of ``check``."""
    parser = new_parser("lidar2d check")
    _add_split(parser)
    parser.add_argument("--data.sweeps", type=int, default=1)
    parser.add_argument("--sums", type=str | None, default=None)
    return parser


def view_parser(weather: type) -> ArgumentParser:
    """Make the parser of ``view``.

    Args:
        weather: the dataclass of the data's bad weather.
    """
    parser = new_parser("lidar2d view")
    _add_split(parser)
    parser.add_argument("--data.image_size", type=tuple[int, int] | None, default=None)
    parser.add_argument("--data.sweeps", type=int, default=1)
    parser.add_argument("--data.cameras", type=list[str] | None, default=None)
    box = tuple[float, float, float, float, float, float]
    parser.add_argument("--data.points_range", type=box | None, default=None)
    parser.add_argument("--data.weather", type=weather | None, default=None)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--condition", type=str | None, default=None)
    parser.add_argument("--colour", type=Literal["depth", "class"], default="depth")
    parser.add_argument("--out", type=str, default="view.png")
    return parser


def _add_split(parser: ArgumentParser) -> None:
    parser.add_argument("--data.card", type=str, default="synthetic")
    parser.add_argument("--data.root", type=str | None, default=None)
    parser.add_argument("--split", type=str | None, default=None)


def parse(parser: ArgumentParser, argv: Sequence[str]) -> Namespace:
    """Parse flags and the recipes they name.

    Raises:
        UsageError: in one to three lines, with the nearest flag or value.
    """
    nulls, rest = _take_nulls(argv)
    try:
        settings = parser.parse_args(rest)
    except (ArgumentError, UnicodeDecodeError) as error:  # of a recipe that is no text
        complaint = str(error)
    else:
        for name in nulls:
            _set_null(parser, settings, name)
        _check_groups(settings, "")
        return settings
    raise UsageError(explain(complaint, rest, lambda words: _attempt(parser, words)))


def parse_content(parser: ArgumentParser, content: dict[str, Any]) -> Namespace:
    """Parse what a YAML file holds.

    Raises:
        UsageError: in a line.
    """
    try:
        settings: Namespace = parser.parse_object(content)
        return settings
    except ArgumentError as error:
        raise UsageError(" ".join(str(error).split())[:400]) from None


def _take_nulls(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--method.NAME null`` out of the words: the parser hands a null inside a class on as the word 'None'."""
    nulls: list[str] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        name, equals, value = words[0].partition("=")
        setting = name.removeprefix("--")
        if name.startswith("--method.") and (value if equals else "".join(words[1:2])) == "null":
            nulls.append(setting)
            words = words[1 if equals else 2 :]
        else:
            nulls = [null for null in nulls if null != setting]  # the last value counts
            rest.append(words.pop(0))
    return nulls, rest


def _check_groups(settings: Namespace, prefix: str) -> None:
    """Refuse a value where a group of settings is needed: the parser takes anything there, and fails when it builds."""
    for key, value in vars(settings).items():
        if not isinstance(value, Namespace) or "init_args" not in value:
            continue
        hints = get_type_hints(load(value.class_path).__init__)  # type: ignore[misc]
        for part, given in vars(value.init_args).items():
            if is_dataclass(hints.get(part)) and not isinstance(given, Namespace):
                name = f"{prefix}{key}.{part}"
                raise UsageError(f"--{name}: {GROUP.format(name=name)}")
        _check_groups(value.init_args, f"{prefix}{key}.")


def _set_null(parser: ArgumentParser, settings: Namespace, name: str) -> None:
    """Set a setting inside the method to null, if it exists and may be."""
    *path, last = name.split(".")
    node: Any = settings
    for key in path:
        node = node.get(key) if isinstance(node, Namespace) else None
        if isinstance(node, Namespace) and "class_path" in node:
            node = node.get("init_args")
    if not isinstance(node, Namespace) or last not in node:
        raise UsageError(f"no setting --{name}; {nearest_setting(name, flags(resolved(parser, settings)), '--')}")
    node[last] = None
    try:
        parser.validate(settings)
    except (TypeError, ValueError):
        raise UsageError(f"--{name}: {NO_NULL}") from None


def build(parser: ArgumentParser, settings: Namespace) -> Namespace:
    """Build the objects that the settings describe.

    Raises:
        UsageError: as their constructors raise it; a setting is named in full.
    """
    try:
        built: Namespace = parser.instantiate(settings)
    except (UsageError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UsageError):
            cause = cause.__cause__ or cause.__context__  # the parser wraps what is raised inside an optional argument
        if cause is None:
            raise
        raise _in_full(cause, flags(resolved(parser, settings))) from None
    return built


def _in_full(error: UsageError, content: dict[str, Any]) -> UsageError:
    """Name a refused setting as a flag: a constructor knows but the last part of it."""
    if not isinstance(error, SettingError):
        return error
    given = str(error.value).strip("()")  # a list of the recipe has become a tuple
    flag = [
        f"--{name}"
        for name, value in content.items()
        if name.rpartition(".")[2] == error.name and str(value).strip("[]") == given
    ]
    return SettingError(flag[0], error.value, error.needs) if len(flag) == 1 else error


def forget_other_classes(settings: Namespace, chosen: Path, argv: Sequence[str]) -> None:
    """Where a flag chose another network than the recipe, give it its own defaults: the parser keeps like-named ones.

    Args:
        settings: of ``fit``, changed in place.
        chosen: the recipe.
        argv: the flags, which count nevertheless.
    """
    given = {word.removeprefix("--").partition("=")[0] for word in argv}
    parts = (recipe.read(chosen).get("method") or {}).get("init_args") or {}
    for part, before in parts.items():
        flag, node = f"method.{part}", settings.method.init_args.get(part)
        is_class = isinstance(before, dict) and isinstance(node, Namespace) and "class_path" in node
        if flag not in given or not is_class or before.get("class_path") == node.class_path:
            continue
        defaults = inspect.signature(load(node.class_path)).parameters
        for name in before.get("init_args") or {}:
            if name in node.init_args and not any(word.startswith(f"{flag}.{name}") for word in given):
                node.init_args[name] = defaults[name].default


def forget_weights(settings: Namespace) -> None:
    """Let encoders begin at random: a run that is resumed has its own weights, and the first ones may be gone."""
    for encoder in (settings.method.init_args.points, settings.method.init_args.images):
        if isinstance(encoder.init_args.get("weights"), str):
            encoder.init_args.weights = None


def resolved(parser: ArgumentParser, settings: Namespace) -> dict[str, Any]:
    """Return every setting as plain values: a recipe that gives the same run without a flag."""
    content: dict[str, Any] = yaml.safe_load(parser.dump(settings))
    content.pop("config", None)
    return content


def flags(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten settings to names such as ``method.points.width``; a class stands under its own name."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and "class_path" in value:
            found[name] = value["class_path"]
            found |= flags(value.get("init_args") or {}, f"{name}.")
        elif isinstance(value, dict) and value:
            found |= flags(value, f"{name}.")
        else:
            found[name] = value
    return found


def _attempt(parser: ArgumentParser, words: Sequence[str]) -> dict[str, Any] | str:
    """Parse again, to find what is wrong: the flat settings, or what the parser says against them."""
    nulls, rest = _take_nulls(words)
    try:
        settings = parser.parse_args(rest)
        for name in nulls:
            _set_null(parser, settings, name)
        return flags(resolved(parser, settings))
    except (ArgumentError, UsageError) as error:
        return str(error)
