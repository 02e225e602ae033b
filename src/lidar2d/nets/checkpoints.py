"""Loads what the authors of this field released, by recognising how each file names its weights.

A file may hold several networks, in dictionaries and under prefixes (``model_points``, ``module.encoder_q.``): where
most names of the wanted network stand, there it is. All of its names must stand there, but for its head; and nothing
else may that is not known to be another head.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError
from lidar2d.nets.releases import CONFIG, NAMINGS, Found, flatten, is_count, recognise, what_beside
from lidar2d.nets.sparse import layouts
from lidar2d.nets.sparse.kernel import Triple
from lidar2d.nets.weights import read_file, read_metadata, refuse

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Loaded:
    """What became of every name in a file."""

    path: Path
    found: Found
    used: tuple[str, ...]  # names in the file
    reshaped: dict[str, tuple[Shape, Shape]]  # of them; shape in the file, and here
    beside: dict[str, str]  # names left out, and what they are
    elsewhere: tuple[str, ...]  # names under other prefixes: of other networks
    kept: tuple[str, ...]  # names of the network that keep their first values, for want of others

    def summary(self) -> str:
        """Say it in a line."""
        where = [f"in {self.found.place.rstrip('.')}"] if self.found.place else []
        where += [f"named as {self.found.naming.title}'s"] if self.found.naming.title else []
        parts = [f"{len(self.used)} weights used"]
        parts += [f"{len(self.reshaped)} of them reshaped"] if self.reshaped else []
        parts += [f"{len(self.beside)} of heads left out"] if self.beside else []
        parts += [f"{len(self.elsewhere)} of other networks"] if self.elsewhere else []
        parts += [f"{', '.join(self.kept)} not in it in this size: random"] if self.kept else []
        return f"{self.path}: {'; '.join([*where, *parts])}"

    def table(self) -> str:
        """Say it in full, a line for every name."""
        lines = [self.summary()]
        for name in self.used:
            shapes = self.reshaped.get(name)
            lines.append(f"used       {name}" + (f"  {list(shapes[0])} -> {list(shapes[1])}" if shapes else ""))
        lines += [f"left out   {name}  {what}" for name, what in self.beside.items()]
        lines += [f"elsewhere  {name}" for name in self.elsewhere]
        lines += [f"random     {name}" for name in self.kept]
        return "\n".join(lines)


@dataclass(frozen=True)
class File:
    """A file of weights."""

    path: Path
    tensors: dict[str, Tensor]  # all that it holds, their names joined by dots
    settings: dict[str, dict[str, Any]]  # what weights depend on beside their shapes, by a part of their place

    def differences(self, found: Found, settings: Mapping[str, object]) -> dict[str, Any]:
        """Return the settings that the file tells of the weights found in it and that are not those given."""
        parts = (self.settings[part] for part in found.place.split(".") if part in self.settings)
        # lists for tuples, whichever the file has
        told, here = (json.loads(json.dumps(found, default=str)) for found in (next(parts, {}), settings))
        return {name: told[name] for name, value in here.items() if name in told and told[name] != value}


def open_file(path: Path) -> File:
    """Read a file of weights.

    Raises:
        UsageError: if it is unreadable.
    """
    content = read_file(path)
    try:
        tensors = flatten(content)
    except RecursionError:
        raise UsageError(f"{path} is no file of weights: its dictionaries do not end") from None
    return File(path, tensors, _settings(path, content))


def _settings(path: Path, content: Any) -> dict[str, dict[str, Any]]:
    """Return what a file tells of its weights: a run's for each encoder, SLidR's and its successors' as ``config``."""
    if path.suffix == ".safetensors":
        with contextlib.suppress(ValueError):
            told = json.loads(read_metadata(path).get("settings", "{}"))
            return {"": told} if isinstance(told, dict) else {}
    if not isinstance(content, dict):
        return {}
    own, config = content.get("settings"), content.get("config")
    if isinstance(own, dict):
        return {name: told for name, told in own.items() if isinstance(told, dict)}
    if not isinstance(config, dict):
        return {}
    return {"": {name: config[theirs] for name, theirs in CONFIG.items() if theirs in config}}


def match(
    net: nn.Module, file: File, head: str | None, settings: Mapping[str, object]
) -> tuple[dict[str, Tensor], Loaded]:
    """Find a network's weights in a file, whatever library its sparse kernels were kept for.

    Args:
        net: the network.
        file: from a run, or released by others.
        head: beginning of the names that the file need not have, or may have in another size; None where all must fit.
        settings: what the weights depend on beside their shapes; a file that tells its own has to agree.

    Returns:
        What ``net.load_state_dict`` takes, and what became of every name.

    Raises:
        UsageError: if the file holds another network, or was trained with other settings.
    """
    tensors, own = file.tensors, net.state_dict()
    found = _recognised(own, net, file)
    sizes = layouts.kernels(net)
    layout = _layout(own, tensors, found, sizes)
    values: dict[str, Tensor] = {}
    kept, faults = [], []
    for name, value in own.items():
        source = found.names.get(name)
        weight = None if source is None else _as_here(tensors[source], value, sizes.get(name), layout)
        if weight is not None:
            values[name] = weight
        elif head is not None and name.startswith(head):
            kept.append(name)
        elif source is not None:
            faults.append(f"{source} is {tuple(tensors[source].shape)}, not {tuple(value.shape)}")
        elif not is_count(name):
            faults.append(f"missing {name}")
    there = found.there(tensors)
    left = {name: source for name, source in there.items() if source not in found.names.values()}
    cut = head if head is not None and not any(name.startswith(head) for name in own) else None
    what = {name: what_beside(name) or (_LAST if cut is not None and _is_head(name, cut) else "") for name in left}
    faults += [f"no place for {left[name]}" for name in left if not what[name]]
    refuse(faults, str(file.path))
    _refuse_odd_numbers(values, found, file)
    check_settings(file, found, settings)
    used = {name: source for name, source in found.names.items() if name in values}
    beside = {source: what[name] for name, source in left.items()}
    return values, _loaded(file, found, own, used, beside, kept)


_LAST = "the last layer, which this network is without"


def _is_head(name: str, head: str) -> bool:
    return any(name.startswith(naming.rename(head)) for naming in NAMINGS)


def match_images(
    backbone: nn.Module, file: File, pruned: Collection[str], settings: Mapping[str, object]
) -> tuple[dict[str, Tensor], Loaded]:
    """Find the weights of a timm backbone without a classifier; timm itself knows its families' older names.

    Args:
        backbone: the network.
        file: from a run, or released by others.
        pruned: names that the whole network has and this one, cut after some level, has not.
        settings: what the weights depend on beside their shapes; a file that tells its own has to agree.

    Returns:
        What ``backbone.load_state_dict`` takes, and what became of every name.

    Raises:
        UsageError: if the file holds another network, or was trained with other settings.
    """
    tensors, own = file.tensors, backbone.state_dict()
    found = _recognised(own, backbone, file)
    back = {found.naming.rename(name): name for name in (*own, *pruned)}
    there = {back.get(name, name): source for name, source in found.there(tensors).items()}
    beside = {name: what_beside(name) for name in there if name not in own and what_beside(name)}
    _refuse_unfolded({name: tensors[source] for name, source in there.items()}, file)
    values = _converted(backbone, {name: tensors[source] for name, source in there.items()}, file)
    values = {name: value for name, value in values.items() if name in own or not what_beside(name)}
    faults = [f"missing {name}" for name in own if name not in values and not is_count(name)]
    faults += [f"no place for {name}" for name in values if name not in own and name not in pruned]
    faults += [
        f"{name} is {tuple(values[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in values and values[name].shape != own[name].shape
    ]
    # timm resamples the kernels of patches of another size; that is another network
    sizes = {tensors[source].numel() for name, source in there.items() if tensors[source].ndim == 4 or "patch" in name}
    faults += [
        f"no {name} of {tuple(value.shape)} in it"
        for name, value in values.items()
        if name in own and value.ndim == 4 and value.numel() not in sizes and "pos" not in name
    ]
    refuse(faults, str(file.path))
    values = {name: value for name, value in values.items() if name in own}
    _refuse_odd_numbers(values, found, file)
    check_settings(file, found, settings)
    used = {name: source for name, source in there.items() if name not in beside and name not in pruned}
    return values, _loaded(file, found, own, used, {there[name]: what for name, what in beside.items()}, [])


def _recognised(own: Mapping[str, Tensor], net: nn.Module, file: File) -> Found:
    try:
        return recognise(own, file.tensors, type(net).__name__)
    except UsageError as error:
        raise UsageError(f"{file.path} does not fit: {error}") from None


def _layout(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], found: Found, sizes: Mapping[str, Triple]
) -> layouts.Layout:
    """Return the layout that fits most kernels of the file: one library kept them all."""
    votes: Counter[layouts.Layout] = Counter()
    for name, size in sizes.items():
        if name in found.names:
            weight = tensors[found.names[name]]
            votes.update(layouts.layouts_of(tuple(weight.shape), tuple(own[name].shape), size))
    return max(layouts.ALL, key=lambda layout: votes[layout])


def _as_here(weight: Tensor, like: Tensor, size: Triple | None, layout: layouts.Layout) -> Tensor | None:
    """Return a file's weight in the shape of the network's, or None if it does not have its numbers."""
    if weight.layout != torch.strided or weight.is_quantized:
        return weight  # refused by what it holds
    if size is not None:
        fits = layout in layouts.layouts_of(tuple(weight.shape), tuple(like.shape), size)
        return layouts.restore(weight, tuple(like.shape), layout) if fits else None
    if _squeezed(weight) == _squeezed(like):  # a linear layer may have been kept as a convolution of width 1
        return weight.reshape(like.shape)
    return None


def _squeezed(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size != 1]


def check_settings(file: File, found: Found, settings: Mapping[str, object]) -> None:
    """Refuse weights that say that they were trained with other settings.

    Raises:
        UsageError: naming the first one.
    """
    for name, told in file.differences(found, settings).items():
        raise UsageError(
            f"{file.path} was trained with {name} {told}, this network has {settings[name]}; make them alike"
        )


def _refuse_unfolded(values: Mapping[str, Tensor], file: File) -> None:
    """Stop at low-rank updates that have not been folded into their weights: without them it is another network.

    Raises:
        UsageError: naming the first one.
    """
    for name, value in values.items():
        if name.endswith(".low_rank.b") and value.any():
            raise UsageError(
                f"{file.path} is of an unfinished run: {name} is not folded in; lidar2d fit --resume finishes it"
            )


def _converted(backbone: nn.Module, values: dict[str, Tensor], file: File) -> dict[str, Tensor]:
    """Let timm bring an older or foreign state dict to the names and sizes of its family.

    Raises:
        UsageError: if it cannot.
    """
    convert = getattr(sys.modules[type(backbone).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return values
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it skips
        try:
            converted: dict[str, Tensor] = convert(values, backbone)
        except (RuntimeError, LookupError, ValueError, AttributeError, AssertionError) as error:
            reason = str(error).partition("\n")[0][:100]
            raise UsageError(f"{file.path} does not fit: timm cannot bring it to its own names: {reason}") from error
    return converted


def _refuse_odd_numbers(values: Mapping[str, Tensor], found: Found, file: File) -> None:
    """Stop at numbers that no training leaves.

    Raises:
        UsageError: naming the first tensor that has some.
    """
    for name, value in values.items():
        if is_count(name):
            continue
        source = found.names.get(name, name)
        if value.layout != torch.strided or value.is_quantized or not value.is_floating_point():
            raise UsageError(f"{file.path}: {source} holds {value.dtype}, no plain real numbers; these are no weights")
        if not bool(value.isfinite().all()):
            raise UsageError(f"{file.path}: {source} holds a number that is not finite; this training had failed")
        if name.endswith("running_var") and bool((value < 0).any()):
            raise UsageError(f"{file.path}: {source} holds a negative variance; these are no weights")


def _loaded(
    file: File,
    found: Found,
    own: Mapping[str, Tensor],
    used: Mapping[str, str],
    beside: dict[str, str],
    kept: list[str],
) -> Loaded:
    reshaped = {
        source: (tuple(file.tensors[source].shape), tuple(own[name].shape))
        for name, source in used.items()
        if name in own and file.tensors[source].shape != own[name].shape
    }
    elsewhere = tuple(name for name in file.tensors if not name.startswith(found.place))
    return Loaded(file.path, found, tuple(used.values()), reshaped, beside, elsewhere, tuple(kept))
