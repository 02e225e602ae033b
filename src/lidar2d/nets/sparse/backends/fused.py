"""Sparse convolution fused in Triton: gather, matrix product and sum in registers, nothing gathered in device memory.

Each output voxel is written by one program, and each kernel gradient by one chain of sums, so every run is the same.
Voxels that read the same places stand side by side, so that a tile of them skips the places that none of them reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lidar2d.nets.sparse.grid import KernelMap

try:
    from lidar2d.nets.sparse.backends import kernels

    AVAILABLE = True
except ImportError:  # Triton has no build for this system: the plain path serves
    AVAILABLE = False

ROWS = 64  # output voxels of a tile; pairs of a step of the kernel's gradient
PAIRS = 4096  # pairs that one program of the kernel's gradient sums, then partial sums are added


@dataclass(frozen=True)
class Tiles:
    """What the kernels read of a map: voxels in tiles that read alike."""

    order: Tensor  # (N,) int32 output voxel of each row
    source: Tensor  # (K, N) int32 source voxel of each row at each place; -1 where there is none
    reads: Tensor  # (tiles, K) int8 whether any row of a tile has a source at a place


def tiles(pairs: KernelMap) -> Tiles:
    """Sort the output voxels by the set of places that they read."""
    table = pairs.neighbours
    reads = table >= 0
    # as many bits as fit decide; the others only leave tiles less alike
    powers = 1 << torch.arange(min(len(table), 62), device=table.device)
    alike = (reads[: len(powers)] * powers[:, None]).sum(0)
    order = torch.argsort(alike, stable=True)
    reads = reads[:, order]
    padded = torch.nn.functional.pad(reads, (0, -reads.shape[1] % ROWS)).view(len(table), -1, ROWS)
    return Tiles(order.int(), table[:, order].contiguous(), padded.any(2).T.contiguous().to(torch.int8))


class Fused:
    """The products of a sparse convolution, computed by Triton."""

    def product(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Sum over places of gathered features (sources, C_in) times the place's matrix of (K, C_in, C_out)."""
        made = pairs.prepared(tiles)
        count, channels, out_channels = pairs.targets, kernel.shape[1], kernel.shape[2]
        out = torch.empty(count, out_channels, dtype=features.dtype, device=features.device)
        if count == 0:
            return out
        if len(features) == 0:
            return out.zero_()
        depth, width = _block(channels, 32), _block(out_channels, 128)
        programs = _ceil(count, ROWS), _ceil(out_channels, width)
        kernels.product[programs](
            features, kernel, made.order, made.source, made.reads, out,
            count, len(made.source), channels, out_channels,
            kernel.stride(0), kernel.stride(1), kernel.stride(2),
            ROWS=ROWS, DEPTH=depth, WIDTH=width, PRECISION=_precision(features),
        )  # fmt: skip
        return out

    def to_kernel(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """Sum over the pairs of each place of source features times target gradients, (K, C_in, C_out)."""
        channels, out_channels = features.shape[1], gradient.shape[1]
        places, most = len(pairs.counts), max(pairs.counts, default=0)
        parts = max(1, _ceil(most, PAIRS))
        partial = torch.zeros(parts, places, channels, out_channels, dtype=torch.float32, device=features.device)
        if most:
            starts = torch.tensor([0, *pairs.counts], device=features.device).cumsum(0)
            depth, width = _block(channels, 64), _block(out_channels, 64)
            columns = _ceil(out_channels, width)
            programs = places, _ceil(channels, depth) * columns, parts
            kernels.to_kernel[programs](
                features, gradient, pairs.source, pairs.target, starts, partial,
                places, channels, out_channels, columns,
                ROWS=32, DEPTH=depth, WIDTH=width, PAIRS=PAIRS, PRECISION=_precision(features),
            )  # fmt: skip
        out = partial.sum(0).to(features.dtype)
        if pairs.centre is not None:
            out[pairs.centre] = features.T @ gradient
        return out


def _block(channels: int, most: int) -> int:
    """Return the power of two that holds the channels, within what a matrix unit takes."""
    return min(max(16, 1 << (channels - 1).bit_length()), most)


def _ceil(count: int, by: int) -> int:
    return -(-count // by)


def _precision(features: Tensor) -> str:
    """Multiply float32 as torch's own products are asked to."""
    return "tf32" if features.is_cuda and torch.backends.cuda.matmul.allow_tf32 else "ieee"
