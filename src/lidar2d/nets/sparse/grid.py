"""Which voxels exist, which are neighbours, and features on them.

Kernel offsets are numbered as MinkowskiEngine numbers them, so that released weights fit: the first axis varies
fastest; odd kernels are centred, even ones begin at the voxel itself. Convolution is a cross-correlation:
``out(u) = sum_k in(u + offset_k * stride) @ kernel[k]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lidar2d.nets.sparse.keys import pack, step, unpack


@dataclass(frozen=True)
class KernelMap:
    """For each offset of a kernel, which source voxel is added to which target voxel.

    Within one offset no target and no source occurs twice.
    """

    source: Tensor  # (P,) int64, offset after offset
    target: Tensor  # (P,) int64
    counts: tuple[int, ...]  # pairs of each of the K offsets; their sum is P
    targets: int  # number of target voxels
    centre: int | None = None  # an offset that pairs every voxel with itself and is left out of the lists

    def transposed(self, targets: int) -> KernelMap:
        """Return the map that goes back, onto the given number of voxels."""
        return KernelMap(self.target, self.source, self.counts, targets, self.centre)


class Grid:
    """A set of voxels, sorted by key, whose neighbourhoods are found once and shared by all layers."""

    def __init__(self, keys: Tensor, stride: int = 1) -> None:
        self.keys = keys  # (M,) int64, ascending, each once
        self.stride = stride  # coordinates are multiples of it
        self._maps: dict[int, KernelMap] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def coordinates(self) -> Tensor:
        """Frame and three axes (M, 4) int64, in units of the finest voxels."""
        return unpack(self.keys)

    def neighbours(self, kernel: int) -> KernelMap:
        """Return the map of a centred cubic kernel of odd width from this grid onto itself."""
        if kernel not in self._maps:
            self._maps[kernel] = _neighbours(self.keys, self.stride, kernel)
        return self._maps[kernel]

    @cached_property
    def coarser(self) -> tuple[Grid, KernelMap]:
        """The grid of twice the stride, and the map of a kernel of width 2 from this grid onto it."""
        places = self.coordinates
        double = 2 * self.stride
        corner = torch.cat([places[:, :1], places[:, 1:].div(double, rounding_mode="floor") * double], dim=1)
        keys, target = torch.unique(pack(corner), return_inverse=True)
        offset = (places - corner)[:, 1:] // self.stride @ places.new_tensor([[1], [2], [4]])
        order = torch.argsort(offset[:, 0], stable=True)
        counts = torch.bincount(offset[:, 0], minlength=8).tolist()
        return Grid(keys, double), KernelMap(order, target[order], tuple(counts), len(keys))


@dataclass(frozen=True)
class SparseTensor:
    """Features on the voxels of a grid."""

    features: Tensor  # (M, C)
    grid: Grid  # M voxels

    def replace(self, features: Tensor) -> SparseTensor:
        """Return other features on the same voxels."""
        return SparseTensor(features, self.grid)


def _neighbours(keys: Tensor, stride: int, kernel: int) -> KernelMap:
    """Find all pairs (voxel, voxel at an offset) by one binary search for each column of the kernel's last axis.

    Keys are sorted with the last axis lowest, so after the column's first voxel the others follow it. Only the offsets
    after the centre are looked up; the opposite offset holds the same pairs, turned round.
    """
    if kernel % 2 == 0:
        raise ValueError(f"a kernel from a grid onto itself has odd width, not {kernel}")
    half = kernel // 2
    reach = range(-half, half + 1)
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for a in range(half + 1):
        for b in reach:
            if (a, b) < (0, 0):
                continue
            lowest = 1 if (a, b) == (0, 0) else -half
            wanted = keys + step(a * stride, b * stride, lowest * stride)
            place = torch.searchsorted(keys, wanted)
            for c in range(lowest, half + 1):
                hit = keys[place.clamp(max=len(keys) - 1)] == wanted
                here = hit.nonzero()[:, 0]
                there = place[here]
                index = (a + half) + kernel * (b + half) + kernel**2 * (c + half)
                found[index] = (there, here)
                found[kernel**3 - 1 - index] = (here, there)
                place = place + hit
                wanted = wanted + stride
    centre = kernel**3 // 2
    none = keys.new_zeros(0)
    pairs = [found.get(index, (none, none)) for index in range(kernel**3)]
    return KernelMap(
        torch.cat([source for source, _ in pairs]),
        torch.cat([target for _, target in pairs]),
        tuple(len(source) for source, _ in pairs),
        len(keys),
        centre,
    )
