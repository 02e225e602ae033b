"""Run folders: how they are named, made, and found again. Imports no torch."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from lidar2d import recipe
from lidar2d.errors import UsageError, nearest
from lidar2d.writing import write_atomically

RUNS = Path("runs")
RECIPE = "recipe.yaml"  # in a run folder: every setting of the run
_STAMP = re.compile(r"\d{8}-\d{6}(-\d+)?")


def is_first_process() -> bool:
    """Tell whether this is the process that speaks and writes: launchers number the others in these variables."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def processes() -> int:
    """Return how many processes a launcher started, this one among them.

    Raises:
        UsageError: if the launcher's variables are no numbers.
    """
    counts = {name: os.environ.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS")}
    for name, count in counts.items():
        if not count.isdecimal():
            raise UsageError(
                f"the environment variable {name} is '{count}'; set it to a number of processes, or unset it"
            )
    return max(map(int, counts.values()))


def name(method: str, card: str) -> str:
    """Name a run by its method, its data set and the time."""
    return f"{method}-{Path(card).stem}-{datetime.now():%Y%m%d-%H%M%S}"


def folder_of(path: Path) -> Path:
    """Return the run folder that a path names, itself or by a file in it."""
    return path if path.is_dir() or not path.suffix or not path.parent.is_dir() else path.parent


def make(folder: Path | None, method: str, card: str) -> Path:
    """Make the folder of a new run: the one asked for, or ``runs/METHOD-DATA-TIME``.

    Raises:
        UsageError: if the folder holds a run already, or cannot be made.
    """
    wanted = RUNS / name(method, card) if folder is None else folder
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"{folder} is not empty; go on with --resume {folder}, or choose another --run")
            return folder
        RUNS.mkdir(exist_ok=True)
        for attempt in range(1, 1000):  # several runs may start in the same second
            path = wanted if attempt == 1 else wanted.with_name(f"{wanted.name}-{attempt}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise UsageError(f"cannot make the run folder {wanted}: {error.strerror}; choose another --run") from None
    raise UsageError(f"cannot make the run folder {wanted}; choose one with --run")


def newest(method: str, card: str | None = None) -> Path:
    """Find the newest folder in ``runs`` that ``fit`` named for a method, and for a data set if one is given.

    Raises:
        UsageError: if there is none.
    """
    found: list[tuple[str, Path]] = []
    for saved in RUNS.glob(f"*/{RECIPE}"):
        of = _card(recipe.read(saved))
        stamp = saved.parent.name.removeprefix(f"{method}-{of}-")
        if _STAMP.fullmatch(stamp) and (card is None or Path(card).stem == of):
            found.append((stamp, saved.parent))
    if not found:
        on = "" if card is None else f" on '{card}'"
        raise UsageError(f"no run of '{method}'{on} in {RUNS}/ to resume; name its folder: --resume FOLDER")
    return max(found)[1]


def _card(content: dict[str, Any]) -> str:
    data = content.get("data")
    return Path(str(data.get("card", ""))).stem if isinstance(data, dict) else ""


def saved_recipe(run: Path) -> Path:
    """Return the recipe in a run folder.

    Raises:
        UsageError: if there is no such folder, or no recipe in it.
    """
    saved = run / RECIPE
    if not run.is_dir():
        known = [path.parent.as_posix() for path in RUNS.glob(f"*/{RECIPE}")]
        raise UsageError(f"no run folder {run}; {nearest(run.as_posix(), known) if known else f'{RUNS}/ has none'}")
    if not saved.is_file():
        raise UsageError(f"{run} holds no {RECIPE}: it stopped before it began; start it anew with --method")
    return saved


def save_recipe(run: Path, content: dict[str, Any]) -> None:
    """Write the recipe into a run folder, whole or not at all."""
    text = yaml.safe_dump(content, sort_keys=False)
    write_atomically(run / RECIPE, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
