"""MinkUNet of spconv's own layers, for comparison: weights, voxels and features are those of lidar2d's."""

from __future__ import annotations

from typing import Any

import spconv.pytorch as spconv
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.frame import Batch
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.sparse import InverseConv, StridedConv, SubmanifoldConv, cylindrical, voxelise
from lidar2d.nets.sparse.layouts import lay_out

_COARSEST = 16  # voxels; coordinates are shifted by multiples of it, because spconv's begin at zero


class SpconvUNet(nn.Module):
    """Takes a batch and gives features of points, as the network that it is made from.

    Args:
        net: that network; its batch norms and 1x1 convolutions are shared.
        native: spconv's only algorithm on a CPU, where it is right with one thread.
    """

    def __init__(self, net: MinkUNet, native: bool = False) -> None:
        super().__init__()
        self.net = net
        self.convs = nn.ModuleDict()
        for name, layer in net.named_modules():
            if isinstance(layer, (SubmanifoldConv, StridedConv, InverseConv)):
                self.convs[name.replace(".", "/")] = _as_spconv(layer, _neighbours(name), native)

    def forward(self, batch: Batch) -> Tensor:
        """Return features (P, C)."""
        net = self.net
        xyz = cylindrical(batch.points[:, :3]) if net.cylindrical else batch.points[:, :3]
        size = (net.voxel_size, 1.0 if net.cylindrical else net.voxel_size, net.voxel_size)
        voxels = voxelise(xyz, batch.point_frame, size)
        places = voxels.grid.coordinates.clone()
        places[:, 1:] -= places[:, 1:].amin(0).div(_COARSEST, rounding_mode="floor") * _COARSEST
        shape = ((places[:, [3, 2, 1]].amax(0) // _COARSEST + 1) * _COARSEST).tolist()
        features = voxels.of_first(batch.points[:, 3:4]) * net.intensity_scale
        x = spconv.SparseConvTensor(features, places[:, [0, 3, 2, 1]].int().contiguous(), shape, len(batch))
        return voxels.to_points(self._unet(x))

    def _unet(self, x: Any) -> Tensor:
        net = self.net
        levels = [x := self._activated("conv0p1s1", net.bn0, x)]
        for index, name in enumerate(("conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2"), 1):
            x = self._blocks(f"block{index}", self._activated(name, getattr(net, f"bn{index}"), x))
            levels.append(x)
        for index, name in enumerate(("convtr4p16s2", "convtr5p8s2", "convtr6p4s2", "convtr7p2s2"), 4):
            x, skip = self._activated(name, getattr(net, f"bntr{index}"), x), levels[7 - index]
            x = self._blocks(f"block{index + 1}", x.replace_feature(torch.cat([x.features, skip.features], 1)))
        return x.features @ net.final.kernel + net.final.bias

    def _activated(self, name: str, norm: nn.Module, x: Any) -> Any:
        x = self.convs[name.replace(".", "/")](x)
        return x.replace_feature(F.relu(norm(x.features)))

    def _blocks(self, name: str, x: Any) -> Any:
        for index, block in enumerate(getattr(self.net, name)):
            inner = self._activated(f"{name}.{index}.conv1", block.norm1, x)
            inner = self.convs[f"{name}/{index}/conv2"](inner)
            short = x.features
            if block.downsample is not None:
                short = block.downsample[1](short @ block.downsample[0].kernel)
            x = x.replace_feature(F.relu(short + block.norm2(inner.features)))
        return x


def _neighbours(name: str) -> str:
    """Return the key under which spconv keeps the neighbours of a layer: one for all layers of a level."""
    level = {"conv1": 1, "conv2": 2, "conv3": 3, "conv4": 4, "convtr4": 4, "convtr5": 3, "convtr6": 2, "convtr7": 1}
    for start, step in level.items():
        if name.startswith(f"{start}p"):
            return f"between {step - 1} and {step}"
    block = int(name.removeprefix("block").partition(".")[0]) if name.startswith("block") else 8
    return f"on {min(block, 8 - block)}"


def _as_spconv(layer: SubmanifoldConv | StridedConv | InverseConv, key: str, native: bool) -> nn.Module:
    size = layer.geometry.size
    channels, out = layer.kernel.shape[1:]
    options = {"bias": False, "indice_key": key, "algo": spconv.ConvAlgo.Native if native else None}
    made: nn.Module
    if isinstance(layer, SubmanifoldConv):
        made = spconv.SubMConv3d(channels, out, size[::-1], **options)
    elif isinstance(layer, StridedConv):
        made = spconv.SparseConv3d(channels, out, size[::-1], stride=size[::-1], **options)
    else:
        made = spconv.SparseInverseConv3d(channels, out, size[::-1], **options)
    made.weight.data = lay_out(layer.kernel.detach(), size, "spconv")
    return made
