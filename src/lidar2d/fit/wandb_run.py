"""A run in wandb: all stages in one wandb run, which goes on under its id when the run folder is resumed.

Offline where there is no login, and never a prompt. ``lidar2d compare`` reads what is written here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from lidar2d import recipe, runs
from lidar2d.environment import environment, named
from lidar2d.errors import UsageError
from lidar2d.fit.folder import RunFolder
from lidar2d.fit.options import TrainerOptions
from lidar2d.results.numbers import numbers
from lidar2d.wandb_login import has_login, load, wrong

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "lidar2d"  # unless $WANDB_PROJECT names another
_KEPT = "wandb.json"  # in a run folder: which wandb run goes on
_IDENTITY = ("id", "project", "entity")  # what stands in it


class WandbRun:
    """The wandb run of a run folder; in processes but the first it does nothing.

    A step of wandb's is an optimiser step of the whole run, so that what a killed run repeats falls on itself.
    """

    def __init__(self, run: Run | None) -> None:
        self._run = run

    def stage(self, name: str, before: int) -> StageLogger:
        """Return what logs a stage's losses as ``STAGE/LOSS``, after so many steps of the stages before it."""
        if self._run is not None:
            self._run.define_metric(f"{name}/*", step_metric=f"{name}/step")
        return StageLogger(self._run, name, before)

    def judged(self, folder: RunFolder, steps: int) -> None:
        """Log the numbers of the report, as it says them, and its picture."""
        if self._run is None:
            return
        from wandb import Image

        found = numbers(folder.load_json(folder.report.name))
        self._run.log({**found, "picture": Image(str(folder.picture))}, step=steps)


class StageLogger(Logger):
    """Writes what Lightning logs in a stage into the run's one wandb run.

    Args:
        run: of wandb; none in processes but the first.
        stage: whose name stands before the metrics'.
        before: steps of the stages before this one.
    """

    def __init__(self, run: Run | None, stage: str, before: int) -> None:
        super().__init__()
        self._run = run
        self._stage = stage
        self._before = before

    @property
    def name(self) -> str:
        """Return the stage."""
        return self._stage

    @property
    def version(self) -> str:
        """Return the id of the wandb run."""
        return "" if self._run is None else self._run.id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the losses of a step, counted from 0 in each stage."""
        if self._run is None:
            return
        own = {f"{self._stage}/{name}": value for name, value in metrics.items()}
        at = step or 0
        self._run.log({**own, f"{self._stage}/step": at}, step=self._before + at)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log nothing: the recipe is there from the beginning."""


def check_wandb() -> None:
    """Refuse to log to wandb where that cannot be, before anything is written.

    Raises:
        UsageError: if it is not installed, its settings are wrong, or it is told to be online without a login.
    """
    login = has_login()
    if os.environ.get("WANDB_MODE") in ("online", "run", "shared") and not login:
        raise UsageError("WANDB_MODE asks for wandb online, and it has no login; `wandb login`, or unset WANDB_MODE")


@contextmanager
def opened(folder: RunFolder, options: TrainerOptions) -> Iterator[WandbRun]:
    """Give the wandb run of a run folder, a new one or the one that it began with; it ends with what is done within.

    Raises:
        UsageError: if wandb refuses.
    """
    if not runs.is_first_process():
        yield WandbRun(None)
        return
    run = _begin(folder, options)
    try:
        yield WandbRun(run)
    except BaseException:
        run.finish(exit_code=1)
        _tell(run)
        raise
    run.finish(exit_code=0)
    _tell(run)


def _tell(run: Run) -> None:
    """Say in a line where the run is: its address, or what sends it there."""
    if run.disabled:
        return
    said = sent_by(Path(run.dir).parent, run.id) if run.offline else run.url
    Console(stderr=True).print(f"wandb       {said}", highlight=False, soft_wrap=True, markup=False)


def sent_by(part: Path, id_: str) -> str:
    """Return the command that sends an offline run, all parts of a resumed one.

    Args:
        part: the folder of the last part, ``wandb/offline-run-TIME-ID``.
        id_: of the wandb run.
    """
    return shlex.join(["wandb", "sync", *map(str, sorted(part.parent.glob(f"offline-run-*-{id_}")))])


def _begin(folder: RunFolder, options: TrainerOptions) -> Run:
    wandb = load()
    mode = None if has_login() or os.environ.get("WANDB_MODE") else "offline"
    kept = identity(folder)
    config = {"recipe": recipe.read(folder.recipe), "environment": environment() | {"devices": _devices(options)}}
    where: dict[str, Any] = {}
    if "WANDB_SWEEP_ID" not in os.environ:  # an agent has named the project and the run
        where = {"project": os.environ.get("WANDB_PROJECT", PROJECT), **kept}
    try:
        run: Run = wandb.init(
            **where,
            name=folder.path.resolve().name,
            dir=str(folder.path),
            config=config,
            mode=mode,
            resume="allow" if kept else None,
            settings=wandb.Settings(silent=True, console="off"),  # what `fit` prints is its own
        )
    except (wandb.errors.Error, ValueError, TimeoutError) as error:
        go_on = f"WANDB_MODE=offline lidar2d fit --resume {folder.path}"
        raise UsageError(f"wandb refuses: {wrong(error)}\nto go on with its files in the run folder: {go_on}") from None
    if not run.disabled:
        found = dict(zip(_IDENTITY, (run.id, run.project, run.entity), strict=True))
        folder.save_json(_KEPT, {key: value for key, value in found.items() if value})
    return run


def identity(folder: RunFolder) -> dict[str, str]:
    """Return which wandb run a run folder began with; nothing of a new one.

    Raises:
        UsageError: if the file that says it says something else.
    """
    path = folder.path / _KEPT
    kept = folder.load_json(_KEPT) if path.is_file() else {}
    named = isinstance(kept, dict) and all(key in _IDENTITY and isinstance(value, str) for key, value in kept.items())
    if not named or (kept and "id" not in kept):
        raise UsageError(f"{path}: names no run of wandb's; remove it, and a new one begins there")
    return dict(kept)


def _devices(options: TrainerOptions) -> str:
    cuda = options.accelerator != "cpu" and torch.cuda.is_available()
    return named(torch.device("cuda" if cuda else "cpu"), options.devices * options.num_nodes)
