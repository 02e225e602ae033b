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
    import triton
    import triton.language as tl

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


def tiles(pairs: KernelMap) -> Tiles:
    """Sort the output voxels by the set of places that they read."""
    table = pairs.neighbours
    reads = table >= 0
    # as many bits as fit decide; the others only leave tiles less alike
    powers = 1 << torch.arange(min(len(table), 62), device=table.device)
    alike = (reads[: len(powers)] * powers[:, None]).sum(0)
    order = torch.argsort(alike, stable=True)
    return Tiles(order.int(), table[:, order].contiguous())


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
        programs = triton.cdiv(count, ROWS), triton.cdiv(out_channels, width)
        _product[programs](
            features, kernel, made.order, made.source, out,
            count, len(made.source), channels, out_channels,
            kernel.stride(0), kernel.stride(1), kernel.stride(2),
            ROWS=ROWS, DEPTH=depth, WIDTH=width, PRECISION=_precision(features),
        )  # fmt: skip
        return out

    def to_kernel(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """Sum over the pairs of each place of source features times target gradients, (K, C_in, C_out)."""
        channels, out_channels = features.shape[1], gradient.shape[1]
        places, most = len(pairs.counts), max(pairs.counts, default=0)
        parts = max(1, triton.cdiv(most, PAIRS))
        partial = torch.zeros(parts, places, channels, out_channels, dtype=torch.float32, device=features.device)
        if most:
            starts = torch.tensor([0, *pairs.counts], device=features.device).cumsum(0)
            depth, width = _block(channels, 64), _block(out_channels, 64)
            programs = places, triton.cdiv(channels, depth) * triton.cdiv(out_channels, width), parts
            _to_kernel[programs](
                features, gradient, pairs.source, pairs.target, starts, partial,
                places, channels, out_channels,
                ROWS=32, DEPTH=depth, WIDTH=width, PAIRS=PAIRS, PRECISION=_precision(features),
            )  # fmt: skip
        out = partial.sum(0).to(features.dtype)
        if pairs.centre is not None:
            out[pairs.centre] = features.T @ gradient
        return out


def _block(channels: int, most: int) -> int:
    """Return the power of two that holds the channels, within what a matrix unit takes."""
    return min(max(16, triton.next_power_of_2(channels)), most)


def _precision(features: Tensor) -> str:
    """Multiply float32 as torch's own products are asked to."""
    return "tf32" if features.is_cuda and torch.backends.cuda.matmul.allow_tf32 else "ieee"


if AVAILABLE:

    @triton.jit
    def _product(
        features, kernel, order, source, out, count, places, channels, out_channels, by_place, by_row, by_column,
        ROWS: tl.constexpr, DEPTH: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
        total = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
        for place in range(places):
            read = tl.load(source + place * count.to(tl.int64) + row, mask=row < count, other=-1)
            if tl.max(read, axis=0) >= 0:
                for start in range(0, channels, DEPTH):
                    inner = start + tl.arange(0, DEPTH)
                    left = tl.load(
                        features + read[:, None].to(tl.int64) * channels + inner[None, :],
                        mask=(read[:, None] >= 0) & (inner[None, :] < channels),
                        other=0.0,
                    )
                    right = tl.load(
                        kernel + place * by_place + inner[:, None] * by_row + column[None, :] * by_column,
                        mask=(inner[:, None] < channels) & (column[None, :] < out_channels),
                        other=0.0,
                    )
                    total = tl.dot(left, right, total, input_precision=PRECISION)
        target = tl.load(order + row, mask=row < count, other=0)
        tl.store(
            out + target[:, None].to(tl.int64) * out_channels + column[None, :],
            total.to(out.dtype.element_ty),
            mask=(row[:, None] < count) & (column[None, :] < out_channels),
        )

    @triton.jit
    def _to_kernel(
        features, gradient, source, target, starts, partial, places, channels, out_channels,
        ROWS: tl.constexpr, DEPTH: tl.constexpr, WIDTH: tl.constexpr, PAIRS: tl.constexpr, PRECISION: tl.constexpr,
    ):  # fmt: skip
        place = tl.program_id(0)
        columns = tl.cdiv(out_channels, WIDTH)
        inner = tl.program_id(1) // columns * DEPTH + tl.arange(0, DEPTH)
        column = tl.program_id(1) % columns * WIDTH + tl.arange(0, WIDTH)
        begin = tl.load(starts + place) + tl.program_id(2) * PAIRS
        end = tl.minimum(tl.load(starts + place + 1), begin + PAIRS)
        total = tl.zeros((DEPTH, WIDTH), dtype=tl.float32)
        for start in range(begin, end, ROWS):
            pair = start + tl.arange(0, ROWS)
            read = tl.load(source + pair, mask=pair < end, other=0)
            write = tl.load(target + pair, mask=pair < end, other=0)
            left = tl.load(
                features + read[None, :] * channels + inner[:, None],
                mask=(pair[None, :] < end) & (inner[:, None] < channels),
                other=0.0,
            )
            right = tl.load(
                gradient + write[:, None] * out_channels + column[None, :],
                mask=(pair[:, None] < end) & (column[None, :] < out_channels),
                other=0.0,
            )
            total = tl.dot(left, right, total, input_precision=PRECISION)
        part = (tl.program_id(2) * places + place).to(tl.int64) * channels
        tl.store(
            partial + (part + inner[:, None]) * out_channels + column[None, :],
            total,
            mask=(inner[:, None] < channels) & (column[None, :] < out_channels),
        )
