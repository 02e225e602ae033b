"""Convolutions on voxels: gather, multiply, add, one offset of the kernel at a time.

Parameters have MinkowskiEngine's names and shapes: ``kernel`` (K, C_in, C_out), or (C_in, C_out) for width 1, and
``bias`` (1, C_out).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lidar2d.nets.sparse.grid import Grid, KernelMap, SparseTensor


class _Convolve(torch.autograd.Function):
    """Sum over offsets of gathered features times the offset's matrix, added onto the targets.

    As no target occurs twice within an offset, the result does not depend on the order of additions: it is the same
    in every run, on a GPU too.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.pairs = pairs
        return _scatter(features, kernel, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, kernel = ctx.saved_tensors
        pairs: KernelMap = ctx.pairs
        gradient = gradient.contiguous()
        to_features = to_kernel = None
        if ctx.needs_input_grad[0]:
            to_features = _scatter(gradient, kernel.mT, pairs.transposed(len(features)))
        if ctx.needs_input_grad[1]:
            to_kernel = torch.zeros_like(kernel)
            for offset, (source, target) in enumerate(_offsets(pairs)):
                if offset == pairs.centre:
                    to_kernel[offset] = features.T @ gradient
                elif len(source):
                    to_kernel[offset] = features.index_select(0, source).T @ gradient.index_select(0, target)
        return to_features, to_kernel, None


def _offsets(pairs: KernelMap) -> list[tuple[Tensor, Tensor]]:
    counts = list(pairs.counts)
    return list(zip(torch.split(pairs.source, counts), torch.split(pairs.target, counts), strict=True))


def _scatter(features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
    # sums of up to 125 terms are kept in float32 when the features are shorter
    wide = torch.float32 if features.dtype in (torch.float16, torch.bfloat16) else features.dtype
    if pairs.centre is None:
        out = torch.zeros(pairs.targets, kernel.shape[2], dtype=wide, device=features.device)
    else:
        out = (features @ kernel[pairs.centre]).to(wide)
    for offset, (source, target) in enumerate(_offsets(pairs)):
        if len(source):
            out.index_add_(0, target, (features.index_select(0, source) @ kernel[offset]).to(wide))
    return out.to(features.dtype)


def convolve(features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
    """Return (targets, C_out) for features (sources, C_in) and a kernel (K, C_in, C_out); obeys autocast."""
    device = features.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        features, kernel = features.to(kind), kernel.to(kind)
    with torch.autocast(device, enabled=False):
        out: Tensor = _Convolve.apply(features, kernel, pairs)
    return out


class _Conv(nn.Module):
    def __init__(self, channels: int, out: int, volume: int, bias: bool) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(volume, channels, out))
        self.bias = nn.Parameter(torch.empty(1, out)) if bias else None
        bound = 1 / math.sqrt(channels * volume)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def _convolve(self, features: Tensor, pairs: KernelMap) -> Tensor:
        out = convolve(features, self.kernel, pairs)
        return out if self.bias is None else out + self.bias


class SubmanifoldConv(_Conv):
    """A convolution of odd width whose output voxels are its input voxels."""

    def __init__(self, channels: int, out: int, width: int = 3, bias: bool = False) -> None:
        super().__init__(channels, out, width**3, bias)
        self.width = width

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve; features (M, C_in) become (M, C_out)."""
        return x.replace(self._convolve(x.features, x.grid.neighbours(self.width)))


class DownConv(_Conv):
    """A convolution of width 2 and stride 2, onto the grid of twice the stride."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__(channels, out, 8, bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve onto the coarser grid."""
        grid, pairs = x.grid.coarser
        return SparseTensor(self._convolve(x.features, pairs), grid)


class UpConv(_Conv):
    """A transposed convolution of width 2 and stride 2, back onto the voxels that a :class:`DownConv` came from."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__(channels, out, 8, bias)

    def forward(self, x: SparseTensor, onto: Grid) -> SparseTensor:
        """Convolve onto a finer grid, the one whose coarser grid carries x."""
        grid, pairs = onto.coarser
        if grid is not x.grid:
            raise ValueError("the grid to go back onto is not the one that these voxels came from")
        return SparseTensor(self._convolve(x.features, pairs.transposed(len(onto))), onto)


class PointwiseConv(nn.Module):
    """A convolution of width 1: one matrix for every voxel."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(channels, out))
        self.bias = nn.Parameter(torch.empty(1, out)) if bias else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(channels), 1 / math.sqrt(channels))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Multiply; features (M, C_in) become (M, C_out)."""
        out = x.features @ self.kernel
        return x.replace(out if self.bias is None else out + self.bias)
