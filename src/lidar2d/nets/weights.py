"""Reads trained weights from files without running code from them, and refuses those that do not fit."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lidar2d.errors import UsageError, nearest

SHIPPED = Path(__file__).resolve().parents[1] / "weights"


def shipped(name: str) -> Path:
    """Return the shipped weights of that name, or the name itself as a path if it looks like one.

    Raises:
        UsageError: with the nearest name, if there is no such file.
    """
    if name.endswith((".safetensors", ".pt", ".pth")) or "/" in name:
        return Path(name).expanduser()
    path = SHIPPED / f"{name}.safetensors"
    if not path.is_file():
        known = [file.stem for file in SHIPPED.glob("*.safetensors")]
        hint = nearest(name, known) if known else "none are shipped"
        raise UsageError(f"no weights '{name}'; {hint}, or give the path of a .safetensors file")
    return path


def read_file(path: Path) -> Any:
    """Read what a .safetensors or a PyTorch file holds: tensors, numbers, words, and lists and dictionaries of them.

    Raises:
        UsageError: naming the file, if it is missing or unreadable, or holds objects that only running code restores.
    """
    if not path.is_file():
        raise UsageError(f"no file {path} to read weights from; give the path of a .safetensors or .pt file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # its own text is a page about pickle
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UsageError(
                f"{path} holds a {named[1]}, which only running its code would restore; that is never done\n"
                "where you trust it, load it once yourself and save its state_dict alone"
            ) from error
        raise UsageError(f"{path} is no file of weights, or is damaged") from error
    except (SafetensorError, RuntimeError, OSError, EOFError) as error:
        reason = str(error).partition("\n")[0][:100] or "it ends too early"
        raise UsageError(f"{path} is no readable file of weights: {reason}") from error


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
