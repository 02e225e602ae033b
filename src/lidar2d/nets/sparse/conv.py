"""Convolutions on voxels.

Parameters have MinkowskiEngine's names and shapes: ``kernel`` (K, C_in, C_out), or (C_in, C_out) for size 1, and
``bias`` (1, C_out). A convolution is a cross-correlation: ``out(u) = sum_k in(u + offset_k) @ kernel[k]``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lidar2d.nets.sparse.grid import Grid, KernelMap
from lidar2d.nets.sparse.kernel import Kernel, Triple
from lidar2d.nets.sparse.tensor import SparseTensor


class SparseConv(nn.Module):
    """What all convolutions on voxels share; its subclasses say from which voxels onto which."""

    def __init__(self, channels: int, out: int, geometry: Kernel, bias: bool) -> None:
        super().__init__()
        self.geometry = geometry
        self.kernel = nn.Parameter(torch.empty(geometry.volume, channels, out))
        self.bias = nn.Parameter(torch.empty(1, out)) if bias else None
        _begin(self, channels * geometry.volume)

    def _convolve(self, x: SparseTensor, pairs: KernelMap, onto: Grid) -> SparseTensor:
        features: Tensor = x.features
        kernel: Tensor = self.kernel
        device = features.device.type
        if torch.is_autocast_enabled(device):
            # oneDNN makes a program for each new size of a product of bfloat16s, and voxels are a new number every step
            kind = torch.float32 if device == "cpu" else torch.get_autocast_dtype(device)
            features, kernel = features.to(kind), kernel.to(kind)
        with torch.autocast(device, enabled=False):
            out = x.backend.convolve(features, kernel, pairs)
        return x.replace(out if self.bias is None else out + self.bias, onto)


class SubmanifoldConv(SparseConv):
    """A convolution of odd size whose output voxels are its input voxels."""

    def __init__(
        self, channels: int, out: int, size: int | Triple = 3, dilation: int | Triple = 1, bias: bool = False
    ) -> None:
        geometry = Kernel.centred(size, dilation=dilation)
        if not geometry.is_symmetric:
            raise ValueError(f"a convolution that keeps its voxels has an odd size, not {size}")
        super().__init__(channels, out, geometry, bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve; features (M, C_in) become (M, C_out)."""
        return self._convolve(x, x.grid.onto(x.grid, self.geometry), x.grid)


class StridedConv(SparseConv):
    """A convolution onto a coarser grid.

    Args:
        channels: that come in.
        out: channels that come out.
        geometry: of the kernel; its default tiles the space by cubes of two.
        spread: which coarse voxels come out: all that read an input voxel, as spconv's, or only those that hold one, as
            MinkowskiEngine's.
        bias: whether one is added.
    """

    def __init__(
        self, channels: int, out: int, geometry: Kernel | None = None, spread: bool = False, bias: bool = False
    ) -> None:
        super().__init__(channels, out, geometry or Kernel.centred(2, stride=2), bias)
        self.spread = spread

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve onto the coarser grid."""
        grid, pairs = x.grid.coarser(self.geometry, self.spread)
        return self._convolve(x, pairs, grid)


class InverseConv(SparseConv):
    """A transposed convolution, back onto the voxels that a :class:`StridedConv` of the same geometry came from."""

    def __init__(
        self, channels: int, out: int, geometry: Kernel | None = None, spread: bool = False, bias: bool = False
    ) -> None:
        super().__init__(channels, out, geometry or Kernel.centred(2, stride=2), bias)
        self.spread = spread

    def forward(self, x: SparseTensor, onto: Grid) -> SparseTensor:
        """Convolve onto a finer grid, the one whose coarser grid carries x.

        Raises:
            ValueError: if x came from another grid.
        """
        grid, pairs = onto.coarser(self.geometry, self.spread)
        if grid is not x.grid:
            raise ValueError("the grid to go back onto is not the one that these voxels came from")
        return self._convolve(x, pairs.turned, onto)


class ConvOnto(SparseConv):
    """A generalised convolution: onto any voxels, whether they hold an input or not."""

    def __init__(self, channels: int, out: int, geometry: Kernel, bias: bool = False) -> None:
        super().__init__(channels, out, geometry, bias)

    def forward(self, x: SparseTensor, onto: Grid) -> SparseTensor:
        """Convolve onto the voxels of a grid whose stride is x's times the kernel's."""
        return self._convolve(x, x.grid.onto(onto, self.geometry), onto)


class PointwiseConv(nn.Module):
    """A convolution of size 1: one matrix for every voxel."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, out))
        self.bias = nn.Parameter(torch.empty(1, out)) if bias else None
        _begin(self, channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Multiply; features (M, C_in) become (M, C_out)."""
        out: Tensor = x.features @ self.kernel
        return x.replace(out if self.bias is None else out + self.bias)


def _begin(layer: nn.Module, summed: int) -> None:
    """Draw the weights as MinkowskiEngine does, uniform within one over the root of the terms of a sum."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(summed), 1 / math.sqrt(summed))
