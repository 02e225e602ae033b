"""``lidar2d weights``: says what a file of weights holds and which network it fits, and writes files for others."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from torch import nn

from lidar2d import runs
from lidar2d.errors import UsageError
from lidar2d.fit.saved import rebuilt, restore
from lidar2d.nets.checkpoints import File, Loaded, match, match_images, open_file
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.exports import export, form
from lidar2d.nets.minkunet import MinkUNet34C
from lidar2d.nets.releases import contents
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.nets.waffleiron import WaffleIron768
from lidar2d.writing import write_atomically

POINTS: dict[str, Callable[[], PointEncoder]] = {
    "MinkUNet34C": MinkUNet34C,
    "MinkUNet34C with stem_width: 5": lambda: MinkUNet34C(stem_width=5),
    "VoxelNet": VoxelNet,
    "WaffleIron768": WaffleIron768,
}
IMAGES = (
    "resnet50",
    "resnet18",
    *(f"vit_{size}_patch{patch}_224.dino" for size in ("small", "base") for patch in (16, 8)),
    *(
        f"vit_{size}_patch14_{kind}"
        for size, kind in itertools.product(("small", "base", "large"), ("dinov2", "reg4_dinov2"))
    ),
    *(f"vit_{size}_patch16_dinov3" for size in ("small", "base", "large")),
    *(f"convnext_{size}" for size in ("tiny", "small", "base", "large")),
)


def describe(path: Path, names: bool = False) -> tuple[str, bool]:
    """Return what a file holds and which networks it fits, and whether it fits any.

    Args:
        path: of the file.
        names: a line for every name in it is added.
    """
    file = open_file(path)
    count = sum(tensor.numel() for tensor in file.tensors.values())
    lines = [f"{path}: {len(file.tensors)} tensors, {count / 1e6:.1f} M numbers: {contents(file.tensors)}"]
    found = list(_fitting_own(file) if (path.parent / runs.RECIPE).is_file() else _fitting(file))
    for name, loaded in found:
        lines += ["", f"fits {name}", loaded.table() if names else loaded.summary()]
    if not found:
        lines += ["", "it fits none of the networks that others release weights of"]
        lines += ["a file of a run fits the network that the run's recipe.yaml names"]
    return "\n".join(lines), bool(found)


def _fitting_own(file: File) -> Iterator[tuple[str, Loaded]]:
    """Try the encoders of the run that the file lies in."""
    method, _ = rebuilt(file.path.parent)
    for part, encoder in (("points", method.points), ("images", method.images)):
        with suppress(UsageError):
            yield f"the run's method.{part}, {type(encoder).__name__}", encoder.match(file)[1]


def _fitting(file: File) -> Iterator[tuple[str, Loaded]]:
    """Try each network in turn; they are made without memory, so that a large one costs nothing."""
    for name, make in POINTS.items():
        with torch.device("meta"):
            net = make()
        with suppress(UsageError):
            loaded = match(net, file, net.head, {})[1]
            other = file.differences(loaded.found, net.settings())
            needs = ", ".join(f"{setting}: {yaml.safe_dump(value).split()[0]}" for setting, value in other.items())
            yield (f"{name}{', ' if ' with ' in name else ' with '}{needs}" if needs else name), loaded
    for name in IMAGES:
        with torch.device("meta"):
            backbone: nn.Module = timm.create_model(name, num_classes=0)
        with suppress(UsageError):
            yield f"TimmEncoder with name: {name}", match_images(backbone, file, (), {})[1]


def write(run: Path, to: str, out: Path) -> str:
    """Write the trained encoder of a run for another project; return which it was.

    Raises:
        UsageError: if the run has no end yet, or no encoder of it goes into this form.
    """
    wanted = form(to)
    if (out.exists() and not out.is_file()) or not out.name or out.resolve().parent == run.resolve():
        raise UsageError(f"--out {out} is a folder, a device or the run's own; name a file elsewhere")
    if out.exists():
        raise UsageError(f"--out {out} exists; name another file, or remove it first")
    if out.suffix == ".safetensors":
        raise UsageError(f"--out {out}: a PyTorch file is written; name it .pt or .pth")
    method = restore(run).method
    for encoder in (method.points, method.images):
        if isinstance(encoder, wanted.network):
            _save(export(encoder, wanted), out)
            return type(encoder).__name__
    raise UsageError(
        f"{to} is for {wanted.network.__name__}; {run} has {type(method.points).__name__} and "
        f"{type(method.images).__name__}"
    )


def _save(content: dict[str, Any], out: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        UsageError: if it cannot be written.
    """
    try:
        write_atomically(out, functools.partial(torch.save, content))
    except (OSError, RuntimeError) as error:  # torch.save hides what the system said
        reason = getattr(error, "strerror", None) or "the disk may be full, or the folder closed"
        raise UsageError(f"cannot write {out}: {reason}") from None
