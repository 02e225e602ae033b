"""The words of the command line that are spelled out before it is parsed: --method, --data, --run, --resume, --logger.

Imports no torch: a misspelt name is answered at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lidar2d import listing, recipe, runs
from lidar2d.errors import UsageError, nearest

CLASSES = ("--method.points", "--method.images", "--data.weak_labels", "--data.weak_labels.images")  # flags of classes
MOVABLE = ("--data.root", "--data.workers")  # beside --trainer.*, what a run may be resumed with


@dataclass(frozen=True)
class FitWords:
    """What ``lidar2d fit`` was told, spelled out."""

    name: str | None  # of the method's recipe; None when a run is resumed by its folder
    recipe: Path  # the recipe, or the one that the resumed run saved
    run: Path | None  # the folder that was asked for; None makes a new one
    resume: bool
    flags: tuple[str, ...]  # the rest, for the parser


def spell_fit(argv: Sequence[str], heads: Iterable[str], verb: str = "fit") -> FitWords:
    """Spell out the words of ``fit``.

    Args:
        argv: the words after the verb.
        heads: what may stand before the first dot of a flag.
        verb: that the words follow.

    Raises:
        UsageError: if a flag, a method, a data set or a run does not exist.
    """
    check_heads(verb, argv, heads)
    name, rest = take([_in_full(word) for word in argv], "--method")
    run_name, rest = take(rest, "--run")
    resume, rest = take(rest, "--resume", default="")
    card, rest = spell_data(rest)
    rest = _classes_first(rest)
    if resume is not None and run_name is not None:
        raise UsageError("--run and --resume both name the run folder; give one of them")
    if name is None and not resume:
        known = ", ".join(recipe.names("methods"))
        hint = "--resume needs a run folder or a --method" if resume == "" else f"{verb} needs a method: --method NAME"
        raise UsageError(f"{hint}; known: {known}")
    method = None if name is None else recipe.find("methods", name)
    if resume is None:
        assert name is not None  # a fit without both was refused above
        assert method is not None
        return FitWords(Path(name).stem, method, None if run_name is None else Path(run_name), False, tuple(rest))
    run = Path(resume) if resume else runs.newest(Path(name or "").stem, card)
    saved = runs.saved_recipe(run)
    rest = _kept(run, rest, None if card is None else ["--data.card", card])
    if method is not None and _class_path(method) != _class_path(saved):
        raise UsageError(f"{run} is a run of {_class_path(saved)}, not of '{name}'; leave --method out")
    return FitWords(None, saved, run, True, tuple(rest))


def _in_full(word: str) -> str:
    """Write ``--logger`` as the setting that it is short for."""
    flag, equals, value = word.partition("=")
    return f"--trainer.logger{equals}{value}" if flag == "--logger" else word


def _classes_first(argv: Sequence[str]) -> list[str]:
    """Move the flags that choose a class before those of its settings, and spell short names of classes out."""
    words = list(argv)
    for flag in CLASSES:
        name, rest = take(words, flag)
        if name is not None:
            known = listing.choices(flag.rpartition(".")[2]).get(name)
            settings = (index for index, word in enumerate(words) if word.startswith(f"{flag}."))
            own = next(index for index, word in enumerate(words) if word.partition("=")[0] == flag)
            place = min(own, next(settings, own))
            words = [*rest[:place], flag, name if known is None else known.path, *rest[place:]]
    return words


def _kept(run: Path, flags: list[str], card: list[str] | None) -> list[str]:
    """Return the flags that may stand beside --resume: those that change where a run runs, not what it computes.

    Raises:
        UsageError: for another one.
    """
    if card is not None and flags[:2] == card:  # it has found the run, or must be the run's own
        if Path(card[1]).stem != Path(str(recipe.read(runs.saved_recipe(run)).get("data", {}).get("card"))).stem:
            raise UsageError(f"{run} is not a run on '{card[1]}'; leave --data out")
        flags = flags[2:]
    for word in flags:
        flag = word.partition("=")[0]
        if flag.startswith("--") and not flag.startswith("--trainer") and flag not in MOVABLE:
            raise UsageError(f"{flag} would change what {run} computes, and a run keeps its recipe; start another run")
    return flags


def spell_data(argv: Sequence[str]) -> tuple[str | None, list[str]]:
    """Turn ``--data NAME`` into ``--data.card NAME``; return the name and the words.

    Raises:
        UsageError: with the nearest name, if there is no such data set.
    """
    name, rest = take(argv, "--data")
    if name is None:
        return None, rest
    recipe.find("datasets", name)
    return name, ["--data.card", name, *rest]


def check_heads(verb: str, argv: Sequence[str], heads: Iterable[str]) -> None:
    """Refuse a flag whose first part is unknown, with the nearest one.

    Raises:
        UsageError: if there is one.
    """
    known = tuple(heads)
    for word in argv:
        if not word.startswith("--"):
            continue
        flag = word.partition("=")[0]
        head = flag.removeprefix("--").partition(".")[0]
        if head not in known:
            hint = nearest(flag.partition(".")[0], [f"--{name}" for name in known])
            raise UsageError(f"{verb} has no flag {flag}; {hint}")


def take(argv: Sequence[str], flag: str, default: str | None = None) -> tuple[str | None, list[str]]:
    """Take ``--flag VALUE`` or ``--flag=VALUE`` out of the words.

    Args:
        argv: the words.
        flag: with its dashes.
        default: the value when nothing follows the flag; None makes that an error.

    Raises:
        UsageError: if the flag stands twice or has no value.
    """
    value: str | None = None
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, given = word.partition("=")
        if name != flag:
            rest.append(word)
            continue
        if value is not None:
            raise UsageError(f"{flag} is given twice")
        if equals:
            value = given
        elif words and not words[0].startswith("--"):
            value = words.pop(0)
        else:
            value = default
        if value is None:
            raise UsageError(f"{flag} needs a value")
        if not value and default is None:
            raise UsageError(f"{flag} is empty; give a value, or leave it out")
    return value, rest


def _class_path(path: Path) -> str:
    method = recipe.read(path).get("method")
    return str(method.get("class_path")) if isinstance(method, dict) else ""


def several(argv: Sequence[str], flag: str) -> tuple[list[str], list[str]]:
    """Take ``--flag A B C`` out of the words.

    Raises:
        UsageError: if nothing follows the flag.
    """
    found: list[str] = []
    rest: list[str] = []
    taking = False
    for word in argv:
        if word.startswith("--"):
            head, equals, value = word.partition("=")
            taking = head == flag
            if not taking:
                rest.append(word)
            elif equals:
                found.append(value)
        elif taking:
            found.append(word)
        else:
            rest.append(word)
    if not found and any(word.partition("=")[0] == flag for word in argv):
        raise UsageError(f"{flag} needs a value")
    return found, rest
