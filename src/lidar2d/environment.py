"""What a number was made with: the commit of this checkout, the packages and the machine. Imports no torch at first."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from lidar2d import __version__

if TYPE_CHECKING:
    import torch

_PACKAGES = ("torch", "torchvision", "lightning", "timm", "numpy")


def commit() -> str:
    """Return the commit of the checkout that lidar2d runs from, with a + where it was changed since; "" in a wheel."""
    top = Path(__file__).resolve().parents[2]
    if not (top / ".git").exists():
        return ""
    try:
        words = [
            "git",
            "--no-optional-locks",
            "-C",
            str(top),
            "describe",
            "--always",
            "--dirty=+",
            "--abbrev=10",
            "--exclude=*",
        ]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def named(device: torch.device, count: int = 1) -> str:
    """Name what computes, such as ``1 x NVIDIA H100`` or ``cpu, 2 threads``."""
    import torch

    if device.type == "cuda":
        return f"{count} x {torch.cuda.get_device_name(device)}"
    return f"{device.type}, {torch.get_num_threads()} threads"


def environment() -> dict[str, str]:
    """Return the versions and the machine, as plain words."""
    found = {"version": __version__, "commit": commit(), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # of a package that was not installed as one
            found[package] = ""
    return found | {"platform": platform.platform(), "processors": str(os.cpu_count())}
