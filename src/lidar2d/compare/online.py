"""Reads runs from wandb's server."""

from __future__ import annotations

from typing import Any

from lidar2d.compare.offline import scalars
from lidar2d.compare.run import Run
from lidar2d.errors import UsageError
from lidar2d.wandb_login import has_login, load, wrong

PREFIX = "wandb:"
_FORM = "wandb:ENTITY/PROJECT, wandb:ENTITY/PROJECT/SWEEP or wandb:ENTITY/PROJECT/RUN"


def read_online(place: str, api: Any = None) -> list[Run | None]:
    """Read the runs of a project or a sweep, or one run; None stands for those that are not of lidar2d.

    Args:
        place: ``wandb:ENTITY/PROJECT``, or that and the id of a sweep or a run.
        api: of wandb; its own, with the user's login, unless another is given.

    Raises:
        UsageError: without a login, or if there is no such place.
    """
    path = place.removeprefix(PREFIX)
    parts = path.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(f"{place}: give {_FORM}")
    if api is None and not has_login():
        raise UsageError(f"{place}: wandb has no login; `wandb login`, or compare folders")
    try:
        found = load().Api() if api is None else api
        if len(parts) == 2:
            return [_run(each, path) for each in found.runs(path)]
        return [_run(each, path) for each in _sweep_or_run(found, path)]
    except Exception as error:  # each trouble with a server has its own class
        raise UsageError(f"{place}: {wrong(error)}\ngive {_FORM}") from None


def _sweep_or_run(api: Any, path: str) -> list[Any]:
    try:
        return list(api.sweep(path).runs)
    except Exception:  # what says that there is no such sweep has changed with wandb's versions
        return [api.run(path)]


def _run(found: Any, path: str) -> Run | None:
    config = found.config
    if not isinstance(config.get("recipe"), dict):
        return None
    summary = {name: found.summary[name] for name in found.summary.keys()}  # noqa: SIM118 wandb's own mapping
    project = "/".join(path.split("/")[:2])
    where = f"{PREFIX}{project}/{found.id}"
    return Run(found.name, where, config["recipe"], scalars(summary), found.state == "finished")
