"""Gives trained encoders the names and layouts under which other projects read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lidar2d.errors import UsageError, nearest
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.lora import plain_state
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.releases import CONFIG, mmdet3d_name, spconv_name
from lidar2d.nets.sparse import layouts
from lidar2d.nets.voxelnet import VoxelNet


@dataclass(frozen=True)
class Form:
    """What another project expects in a file."""

    network: type[nn.Module]
    wrapper: str  # the key of the state dict; empty where the file is nothing else
    prefix: str
    rename: Callable[[str], str]
    layout: layouts.Layout
    whole: bool  # with the head, which a detector has no place for


FORMS = {
    # OpenPCDet, `--pretrained_model`
    "openpcdet": Form(VoxelNet, "model_state", "backbone_3d.", spconv_name, "spconv", whole=False),
    # MMDetection3D, `load_from`: it turns the kernels of a file without versions from spconv 1's layout to its own
    "mmdet3d": Form(VoxelNet, "state_dict", "middle_encoder.", mmdet3d_name, "spconv-1", whole=False),
    # the same for its detectors of several sensors; CenterPoint is configured there with an encoder of other blocks
    "mmdet3d-mvx": Form(VoxelNet, "state_dict", "pts_middle_encoder.", mmdet3d_name, "spconv-1", whole=False),
    # the downstream code of SLidR and its successors
    "slidr": Form(MinkUNet, "model_points", "", lambda name: name, "minkowski", whole=True),
    "slidr-voxelnet": Form(VoxelNet, "model_points", "", spconv_name, "spconv", whole=True),
    # a network of spconv's own layers
    "spconv": Form(MinkUNet, "", "", spconv_name, "spconv", whole=True),
    "timm": Form(TimmEncoder, "", "", lambda name: name.removeprefix("backbone."), "minkowski", whole=True),
}


def form(name: str) -> Form:
    """Return the form of a name.

    Raises:
        UsageError: with the nearest name, if there is no such form.
    """
    if name not in FORMS:
        raise UsageError(f"no form '{name}'; {nearest(name, FORMS)}")
    return FORMS[name]


def export(net: nn.Module, to: Form) -> dict[str, Any]:
    """Return what another project's file holds, for ``torch.save``.

    Raises:
        UsageError: if the form is another network's.
    """
    if not isinstance(net, to.network):
        raise UsageError(f"this form is for {to.network.__name__}, not for {type(net).__name__}")
    head = getattr(net, "head", "")
    sizes = layouts.kernels(net)
    state: dict[str, Tensor] = {}
    for name, value in plain_state(net).items():
        if to.whole or not name.startswith(head):
            value = value.detach().cpu()
            if name in sizes:
                value = layouts.lay_out(value, sizes[name], to.layout)
            elif to.layout != "minkowski" and name.removesuffix("bias") + "kernel" in sizes:
                value = value.flatten()  # MinkowskiEngine alone keeps a bias as (1, C_out)
            state[to.prefix + to.rename(name)] = value.contiguous()
    if not to.wrapper:
        return state
    settings = net.settings() if isinstance(net, MinkUNet) and to.whole else {}
    config = {theirs: settings[name] for name, theirs in CONFIG.items() if name in settings}
    return {to.wrapper: state, **({"config": config} if config else {})}
