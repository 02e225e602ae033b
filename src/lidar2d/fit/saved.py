"""Networks of a run, or of a recipe before it was run, built anew with their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lidar2d import recipe, runs, words
from lidar2d.arguments import build, fit_parser, forget_weights, parse, resolved
from lidar2d.data.module import LidarData
from lidar2d.errors import UsageError
from lidar2d.fit.folder import TRAINED_ON, RunFolder
from lidar2d.fit.options import TrainerOptions
from lidar2d.methods.base import Method
from lidar2d.nets.weights import fill, read_weights


@dataclass(frozen=True)
class Saved:
    """A method with its weights, and what is known of how it came to them.

    Args:
        name: of the run's folder, or the recipe's with what it lacks: METHOD-untrained.
        method: in evaluation mode.
        content: every setting.
        trained_on: facts about the frames; none where it was never trained.
    """

    name: str
    method: Method
    content: dict[str, Any]
    trained_on: dict[str, Any]

    @property
    def frames(self) -> int:
        """How many frames it was trained on; 0 where it was not, or nothing is known of it."""
        found = self.trained_on.get("frames", 0) if isinstance(self.trained_on, dict) else 0
        return found if isinstance(found, int) and found > 0 else 0

    @property
    def recipe_digest(self) -> str:
        """First twelve digits of the SHA-256 of what the run computes; where it runs does not count."""
        kept = {key: self.content[key] for key in ("method", "data", "seed")}
        kept["data"] = {key: value for key, value in kept["data"].items() if f"--data.{key}" not in words.MOVABLE}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def resolve(flags: Sequence[str]) -> dict[str, Any]:
    """Return every setting of ``fit`` with these flags."""
    parser = fit_parser(Method, LidarData, TrainerOptions)
    return resolved(parser, parse(parser, flags))


def restore(path: Path) -> Saved:
    """Build the method of a finished run.

    Args:
        path: of the run's folder, or of a file of the whole method's weights in it.

    Raises:
        UsageError: if it is no run, has not finished, or its weights are another network's.
    """
    run = runs.folder_of(path)
    method, content = rebuilt(run)
    folder = RunFolder(run)
    weights = folder.checkpoint if path == run else path
    if not weights.is_file():
        raise UsageError(f"{run} has no {weights.name}: it has not finished; lidar2d fit --resume {run}")
    fill(method, read_weights(weights), str(weights))
    facts = folder.load_json(TRAINED_ON) if (run / TRAINED_ON).is_file() else {}
    return Saved(run.resolve().name, method, content, facts)


def untrained(name: str, flags: Sequence[str]) -> Saved:
    """Build a recipe's method as it begins: the teacher of it, and networks that have not been taught.

    Raises:
        UsageError: if there is no such recipe, or a flag is wrong.
    """
    path = recipe.find("methods", name)
    parser = fit_parser(Method, LidarData, TrainerOptions)
    settings = parse(parser, ["--config", str(path), *flags])
    torch.manual_seed(settings.seed)
    method: Method = build(parser, settings).method
    return Saved(f"{path.stem}-untrained", method.eval(), resolved(parser, settings), {})


def rebuilt(run: Path) -> tuple[Method, dict[str, Any]]:
    """Build a run's method with random weights, those that it began from may be gone; and return every setting.

    Raises:
        UsageError: if there is no such run.
    """
    parser = fit_parser(Method, LidarData, TrainerOptions)
    settings = parse(parser, ["--config", str(runs.saved_recipe(run))])
    content = resolved(parser, settings)
    forget_weights(settings)
    method: Method = build(parser, settings).method
    return method.eval(), content
