"""The command line: ``lidar2d fit | eval | bench | compare | prepare | view | check | weights | list``.

Imports torch only for words that are right.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lidar2d import __version__, listing, manual, recipe, runs, words
from lidar2d.errors import DataError, UsageError, nearest, within
from lidar2d.paths import expanded

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

JOINED = "LIDAR2D_RUN"  # names the run folder to the processes that Lightning starts, which repeat the command
_UNHEARD = 141  # as a shell says of a command whose reader went away
INTERRUPTED = 130  # what shells report for a process ended by Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 `check` found something, 2 wrong words, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    # oneDNN keeps 1024 kernels, each with memory of its own, one for every size of input; sweeps have a new size at
    # every step, and a run would grow by gigabytes. 128 hold those of one step. Read when torch first computes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    try:
        return _dispatch(given)
    except UsageError as error:
        # every process of a launch finds the same mistake in the words, but a bad file is met by one of them
        if runs.is_first_process() or isinstance(error, DataError):
            print(f"lidar2d: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if runs.is_first_process():
            print("lidar2d: interrupted", file=sys.stderr)
        return INTERRUPTED


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        _say(manual.OVERVIEW)
        return 0
    if argv[0] in ("-V", "--version"):
        _say(f"lidar2d {__version__}")
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {
        "fit": _fit,
        "eval": _eval,
        "bench": _bench,
        "table": _table,
        "compare": _compare,
        "prepare": _prepare,
        "view": _view,
        "check": _check,
        "weights": _weights,
        "list": _list,
    }
    if argv[0] not in commands:
        raise UsageError(f"no command '{argv[0]}'; {nearest(argv[0], commands)}")
    return commands[argv[0]](argv[1:])


def _list(argv: list[str]) -> int:
    if argv and argv[0] in ("-h", "--help"):
        _say(manual.LIST)
        return 0
    if len(argv) == 2 and argv[0] == "datasets":
        _say(listing.dataset(argv[1]))
        return 0
    if len(argv) != 1:
        raise UsageError(f"list takes one word: {', '.join([*listing.KINDS, listing.NETWORKS])}; or datasets NAME")
    _say(listing.table(argv[0]))
    return 0


def _fit(argv: list[str]) -> int:
    asked = [word for word in argv if word not in ("-h", "--help", "--print_config")]
    wants_help = "-h" in argv or "--help" in argv
    if wants_help and not any(word.partition("=")[0] in ("--method", "--resume") for word in asked):
        _say(f"{manual.FIT}\nName a method to see them: lidar2d fit --method NAME --help")
        return 0
    told = words.spell_fit(asked, ("method", "data", "trainer", "seed", "run", "resume", "config", "logger"))

    # from here on the words name things that exist, and torch is worth its seconds
    from lidar2d import arguments, docstrings
    from lidar2d.data.module import LidarData
    from lidar2d.fit import TrainerOptions

    parser, settings = _settings(told)
    content = arguments.resolved(parser, settings)
    if wants_help:
        takers = {
            "method": docstrings.load(content["method"]["class_path"]),
            "data": LidarData,
            "trainer": TrainerOptions,
        }
        _say(manual.FIT + "\n" + docstrings.settings_table(content, takers))
        return 0
    if "--print_config" in argv:
        _say(yaml.safe_dump(content, sort_keys=False).rstrip())
        return 0
    return _run(told, parser, settings, content)


def _settings(told: words.FitWords) -> tuple[ArgumentParser, Namespace]:
    """Parse what ``fit`` and ``prepare`` were told; return the settings, and the parser that knows their types."""
    from lidar2d import arguments
    from lidar2d.data.module import LidarData
    from lidar2d.fit import TrainerOptions
    from lidar2d.methods.base import Method

    parser = arguments.fit_parser(Method, LidarData, TrainerOptions)
    settings = arguments.parse(parser, ["--config", str(told.recipe), *told.flags])
    arguments.forget_other_classes(settings, told.recipe, told.flags)
    return parser, settings


def _run(told: words.FitWords, parser: ArgumentParser, settings: Namespace, content: dict[str, Any]) -> int:
    """Build what the settings say and train it in a run folder that can be resumed from the first moment on."""
    import torch

    from lidar2d import arguments
    from lidar2d.fit import fit, rehearse
    from lidar2d.fit.folder import RunFolder

    within(0, recipe.LARGEST_SEED, **{"--seed": settings.seed})
    torch.manual_seed(settings.seed)  # the networks' first weights
    if told.resume and told.run is not None and RunFolder(told.run).start.is_file():
        arguments.forget_weights(settings)  # `content` keeps them
    built = arguments.build(parser, settings)
    rehearse(built.method, built.data, built.trainer)  # so that a mistake leaves no folder behind
    joined = os.environ.get(JOINED)
    run = _run_folder(told, content) if joined is None else Path(joined)
    os.environ[JOINED] = str(run.resolve())
    try:
        fit(built.method, built.data, built.trainer, settings.seed, run)
    except KeyboardInterrupt:
        if runs.is_first_process():
            print(f"lidar2d: interrupted; the run is in {run}; go on: lidar2d fit --resume {run}", file=sys.stderr)
        return INTERRUPTED
    except (OSError, RuntimeError) as error:
        if reason := _unwritable(error):
            go_on = f"make room, then go on: lidar2d fit --resume {run}"
            raise UsageError(f"cannot write in {run}: {reason}\n{go_on}") from None
        raise
    finally:
        if joined is None:
            del os.environ[JOINED]
    return 0


def _run_folder(told: words.FitWords, content: dict[str, Any]) -> Path:
    """Return the run's folder, with its recipe in it.

    Raises:
        UsageError: if it holds another run, or processes that were launched from outside would each make their own.
    """
    if told.run is None and (runs.processes() > 1 or not runs.is_first_process()):
        raise UsageError("processes that were launched from outside cannot agree on a new folder; give --run DIR")
    if told.run is not None and told.resume:
        if runs.is_first_process():
            runs.save_recipe(told.run, content)  # what may follow --resume is a setting too
        return told.run
    if told.run is not None and not runs.is_first_process():
        return told.run
    run = runs.make(told.run, told.name or "", content["data"]["card"])
    runs.save_recipe(run, content)
    return run


def _eval(argv: list[str]) -> int:
    if not argv or "-h" in argv or "--help" in argv:
        _say(manual.EVAL)
        return 0

    from lidar2d.bench import verbs

    _say(verbs.evaluate(argv))
    return 0


def _bench(argv: list[str]) -> int:
    if not argv or "-h" in argv or "--help" in argv:
        _say(manual.BENCH)
        return 0

    from lidar2d.bench import verbs

    try:
        return 1 if verbs.bench(argv) else 0
    except KeyboardInterrupt:
        print("lidar2d: interrupted; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED


def _table(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        _say(manual.TABLE)
        return 0
    from lidar2d.leaderboard.verbs import table

    return 1 if table(argv) else 0


def _compare(argv: list[str]) -> int:
    if not argv or "-h" in argv or "--help" in argv:
        _say(manual.COMPARE)
        return 0

    from lidar2d.compare import verb

    _say(verb.compare_places(argv))
    return 0


def _prepare(argv: list[str]) -> int:
    if not argv or "-h" in argv or "--help" in argv:
        _say(manual.PREPARE)
        return 0
    told = words.spell_fit(argv, ("method", "data", "trainer", "seed", "config"), "prepare")

    import torch

    from lidar2d import arguments
    from lidar2d.fit import prepare
    from lidar2d.paths import cache_folder

    parser, settings = _settings(told)
    torch.manual_seed(settings.seed)
    built = arguments.build(parser, settings)
    try:
        prepare(built.method, built.data, built.trainer)
        _say(f"all that this run needs beside its data set is in {cache_folder()}")
    except KeyboardInterrupt:
        print("lidar2d: interrupted; what was made is kept, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _check(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        _say(manual.CHECK)
        return 0
    words.check_heads("check", argv, ("data", "split", "quick", "deep", "sums"))
    if "--quick" in argv and "--deep" in argv:
        raise UsageError("--quick and --deep exclude each other; --deep is what is done without either")
    _, rest = words.spell_data([word for word in argv if word not in ("--quick", "--deep")])

    from lidar2d import arguments

    parser = arguments.check_parser()
    settings = arguments.parse(parser, rest)

    from lidar2d.check import check

    data = settings.data
    with _listening():
        bad = check(data.card, data.root, settings.split, "--quick" in argv, settings.sums, data.sweeps)
        return 1 if bad else 0
    return _UNHEARD


def _view(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        _say(manual.VIEW)
        return 0
    words.check_heads("view", argv, ("data", "split", "index", "condition", "colour", "out"))
    _, rest = words.spell_data(argv)

    from lidar2d import arguments
    from lidar2d.data.weather.source import Weather

    parser = arguments.view_parser(Weather)
    settings = arguments.build(parser, arguments.parse(parser, rest))

    from lidar2d.view import choose, view

    card, frame = choose(
        settings.data.card,
        settings.data.root,
        settings.split,
        settings.index,
        settings.condition,
        settings.data.image_size,
        settings.data.sweeps,
        settings.data.cameras,
        settings.data.points_range,
        settings.data.weather,
    )
    out = Path(settings.out)
    view(card, frame, out, settings.colour)
    _say(f"{out}: frame {frame.token}")
    return 0


def _weights(argv: list[str]) -> int:
    if not argv or "-h" in argv or "--help" in argv:
        _say(manual.WEIGHTS)
        return 0
    to, rest = words.take(argv, "--to")
    out, rest = words.take(rest, "--out")
    words.check_heads("weights", rest, ("to", "out", "names"))
    names, rest = "--names" in rest, [word for word in rest if word != "--names"]
    if len(rest) != 1:
        raise UsageError(f"weights takes one file or run folder, not {len(rest)}: lidar2d weights FILE")
    if (to is None) != (out is None):
        raise UsageError("--to FORM and --out FILE go together: lidar2d weights RUN --to FORM --out FILE")
    path = expanded(rest[0])
    if to is None and path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, or write it for others: --to FORM --out FILE")

    from lidar2d import exchange

    if to is not None and out is not None:
        encoder = exchange.write(path, to, expanded(out))
        _say(f"{out}: {encoder} of {path}, for {to}")
        return 0
    text, fits = exchange.describe(path, names)
    _say(text)
    return 0 if fits else 1


def _say(text: str) -> None:
    """Print an answer; a reader such as ``head`` may stop listening.

    Raises:
        UsageError: if it cannot be written, because a disk is full for example.
    """
    with _listening():
        print(text, flush=True)


@contextmanager
def _listening() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # of a file, not of what is printed
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again at its exit
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"cannot print: {error.strerror}") from None


def _unwritable(error: OSError | RuntimeError) -> str:
    """Say why a file could not be written, or nothing if this error is about something else."""
    if isinstance(error, OSError):
        refused = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
        return str(error.strerror) if error.errno in refused else ""
    # torch.save hides what the system said
    return "the disk may be full" if "inline_container" in str(error) or "iostream" in str(error) else ""


if __name__ == "__main__":
    sys.exit(main())
