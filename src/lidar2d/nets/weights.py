"""Reads trained weights from files without running code from them, and refuses those that do not fit."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from lidar2d.errors import UsageError, nearest
from lidar2d.nets.releases import flatten
from lidar2d.paths import expanded

SHIPPED = Path(__file__).resolve().parents[1] / "weights"


def shipped(name: str) -> Path:
    """Return the shipped weights of that name, or the name itself as a path if it looks like one.

    Raises:
        UsageError: with the nearest name, if there is no such file.
    """
    if name.endswith((".safetensors", ".pt", ".pth")) or "/" in name:
        return expanded(name)
    path = SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        known = [file.stem for file in SHIPPED.glob("*.safetensors")]
        hint = nearest(name, known) if known else "none are shipped"
        raise UsageError(f"no weights '{name}'; {hint}, or give the path of a .safetensors file")
    return path


def read_file(path: Path) -> Any:
    """Read what a .safetensors or a PyTorch file holds: tensors, numbers, words, and lists and dictionaries of them.

    Objects of any other class, such as the arguments of a program or the numbers of NumPy, are left out: an
    :class:`Unknown` stands in their place, and neither their class nor any other code that the file names is run.

    Raises:
        UsageError: naming the file, if it is missing or unreadable, or holds such objects and no tensor beside them.
    """
    if not path.is_file():
        raise UsageError(f"no file {path} to read weights from; give the path of a .safetensors or .pt file")
    unknown: list[str] = []  # classes and functions
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load(path, unknown)
    except pickle.UnpicklingError as error:  # its own text is a page about pickle
        if not unknown:
            raise UsageError(f"{path} is no file of weights, or is damaged") from error
        content = None
    except UsageError:
        raise
    except Exception as error:  # a damaged file makes its readers fail in any way
        reason = str(error).partition("\n")[0][:100] or "it ends too early"
        raise UsageError(f"{path} is no readable file of weights: {reason}") from error
    if unknown and not flatten(content):
        raise UsageError(
            f"{path} holds a {unknown[0]}, which only running its code would restore; that is never done\n"
            "where you trust it, load it once yourself and save its state_dict alone"
        )
    return content


def read_metadata(path: Path) -> dict[str, str]:
    """Return the words that a .safetensors file carries beside its tensors."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


class Unknown:
    """Stands for an object in a file whose class is not known, and holds nothing of it."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _load(path: Path, unknown: list[str]) -> Any:
    """Read a PyTorch file, adding to ``unknown`` the names for which an :class:`Unknown` stands.

    Raises:
        UsageError: if some of its bytes are not those that were written.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # torch itself does not look
                raise UsageError(f"{path} is damaged: its checksums do not fit; fetch it again")
    while True:
        try:
            with torch.serialization.safe_globals([(Unknown, name) for name in unknown]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            named = re.search(r"GLOBAL ([\w.]+) was not an allowed global", str(error))
            # Python's own names come without their module
            name = "" if named is None else named[1] if "." in named[1] else f"builtins.{named[1]}"
            if not name or name in unknown:
                raise
            unknown.append(name)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the names and tensors of a state dict.

    Raises:
        UsageError: naming the file, if it cannot be read or holds something else than tensors.
    """
    content = read_file(path)
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UsageError(f"{path} is not a dictionary of tensors; save model.state_dict()")
    return content


def fill(module: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """Copy weights into a module, all of them or none.

    Raises:
        UsageError: with the first few names that are missing, unknown or of another shape.
    """
    own = module.state_dict()
    faults = [f"missing {key}" for key in own if key not in weights]
    faults += [f"unknown {key}" for key in weights if key not in own]
    faults += [
        f"{key} is {tuple(weights[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    refuse(faults, origin)
    module.load_state_dict(weights)


def refuse(faults: list[str], origin: str) -> None:
    """Stop if weights do not fit.

    Raises:
        UsageError: with the first few faults.
    """
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UsageError(f"{origin} does not fit this network: {'; '.join(faults[:3])}{more}")
