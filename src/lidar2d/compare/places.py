"""Finds the runs that the words of ``lidar2d compare`` mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lidar2d import runs
from lidar2d.compare.folder import read_folder
from lidar2d.compare.offline import id_of, log_of, read_offline
from lidar2d.compare.online import PREFIX, read_online
from lidar2d.compare.run import Run
from lidar2d.errors import DataError, UsageError, nearest
from lidar2d.paths import expanded

_LINK = "latest-run"  # of wandb's, to one of the others


@dataclass(frozen=True)
class Found:
    """What lies in some places.

    Args:
        runs: of lidar2d.
        others: how many runs are of other programs.
        unreadable: what is wrong with runs that cannot be read, each in a line.
    """

    runs: list[Run]
    others: int
    unreadable: list[str]


def find(places: Sequence[str]) -> Found:
    """Read the runs of some places; one that cannot be read does not keep the others from being compared.

    Args:
        places: run folders, folders of them, folders of wandb's, or ``wandb:ENTITY/PROJECT[/ID]``.

    Raises:
        UsageError: if there is no run in one of them, or none that can be read.
    """
    found: list[Run | None] = []
    folders: dict[Path, Path] = {}  # each once, however it is spelt
    logs: dict[str, dict[Path, Path]] = {}  # the same, by the wandb run that they are parts of
    for place in places:
        if place.startswith(PREFIX):
            online = read_online(place)
            if not any(online):
                raise UsageError(f"{place}: has no run of lidar2d")
            found += online
            continue
        for folder in _runs_in(place):
            log = log_of(folder)
            same = folders if log is None else logs.setdefault(id_of(log), {})
            same.setdefault(folder.resolve(), log or folder)
    unreadable: list[str] = []
    for folder in folders.values():
        try:
            found.append(read_folder(folder))
        except UsageError as error:
            unreadable.append(str(error))
    for parts in logs.values():
        try:
            found.append(read_offline(sorted(parts.values(), key=_begun)))
        except DataError as error:  # but not that wandb is not installed
            unreadable.append(str(error))
    known = [run for run in found if run is not None]
    if not known and unreadable:
        more = f"\nnor can {len(unreadable) - 1} more be read" if unreadable[1:] else ""
        raise UsageError(f"{unreadable[0]}{more}")
    if not known:
        raise UsageError(f"{', '.join(places)}: no run of lidar2d; what else wandb has logged has no recipe of it")
    return Found(_told_apart(known), len(found) - len(known), unreadable)


def _runs_in(place: str) -> list[Path]:
    """Return the folders of runs that a path names: itself, or what lies in it.

    Raises:
        UsageError: if there is none.
    """
    path = expanded(place)
    if not path.exists():
        known = [saved.parent.as_posix() for saved in runs.RUNS.glob(f"*/{runs.RECIPE}")]
        raise UsageError(f"there is no {path.absolute()}{f'; {nearest(place, known)}' if known else ''}")
    if not path.is_dir():
        raise UsageError(f"{path} is a file; name the folder of a run, or one that holds several")
    try:
        if _is_run(path):
            return [path]
        inside = sorted(folder for folder in _folders(path) if _is_run(folder))
    except OSError as error:
        raise UsageError(f"cannot look into {error.filename}: {error.strerror}") from None
    if not inside:
        raise UsageError(f"{path} holds no run: neither {runs.RECIPE} nor a log of wandb's, in it or in its folders")
    return inside


def _folders(path: Path) -> Iterator[Path]:
    for folder in (path, path / "wandb"):
        if folder.is_dir():
            yield from (each for each in folder.iterdir() if each.is_dir() and each.name != _LINK)


def _is_run(path: Path) -> bool:
    return (path / runs.RECIPE).is_file() or log_of(path) is not None


def _begun(log: Path) -> str:
    """Return when a part of a wandb run began: offline-run-TIME-ID, or run-TIME-ID."""
    return log.resolve().parent.name.removeprefix("offline-").removeprefix("run-")


def _told_apart(found: Sequence[Run]) -> list[Run]:
    """Give runs of one name the names of their places."""
    names = [run.name for run in found]
    return [replace(run, name=run.place) if names.count(run.name) > 1 else run for run in found]
