"""Sparse convolution with nothing but PyTorch: gather, multiply, add, one place of the kernel at a time.

On a GPU that Triton knows, :mod:`~lidar2d.nets.sparse.backends.fused` does the same without the gathered features in
memory; this plain path is what it is held against.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lidar2d.nets.sparse.grid import KernelMap


class Path(Protocol):
    """How the two products are computed."""

    def product(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Sum over places of gathered features (sources, C_in) times the place's matrix of (K, C_in, C_out)."""

    def to_kernel(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """Sum over the pairs of each place of source features times target gradients, (K, C_in, C_out)."""


class Plain:
    """Rows are gathered and multiplied place by place, and their products summed in a fixed order.

    So every run is the same, on a GPU too. Rows gathered all at once would be the largest tensors of a step.
    """

    def product(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Gather, multiply and sum."""
        bags = pairs.prepared(_bags)
        products = features.new_empty(len(pairs.source), kernel.shape[2])
        for place, (begin, end) in enumerate(bags.places):
            if begin < end:
                rows = features.index_select(0, pairs.source[begin:end])
                torch.mm(rows, kernel[place], out=products[begin:end])
        # sums of up to 125 terms are kept in float32 when the features are shorter
        wide = products.float() if features.dtype in (torch.float16, torch.bfloat16) else products
        out = F.embedding_bag(bags.order, wide, bags.starts, mode="sum", include_last_offset=True)
        if pairs.centre is None:
            return out.to(features.dtype)
        if out.dtype == features.dtype:
            return out.addmm_(features, kernel[pairs.centre])
        return out.add_(features @ kernel[pairs.centre]).to(features.dtype)

    def to_kernel(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """Gather both and multiply."""
        bags = pairs.prepared(_bags)
        out = features.new_zeros(len(pairs.counts), features.shape[1], gradient.shape[1])
        for place, (begin, end) in enumerate(bags.places):
            if place == pairs.centre:
                torch.mm(features.T, gradient, out=out[place])
            elif begin < end:
                left = features.index_select(0, pairs.source[begin:end])
                right = gradient.index_select(0, pairs.target[begin:end])
                torch.mm(left.T, right, out=out[place])
        return out


@dataclass(frozen=True)
class _Bags:
    """The pairs of a map by their targets."""

    order: Tensor  # (P,) int64 pairs, those of one target together
    starts: Tensor  # (targets + 1,) int64 where each target's pairs begin
    places: list[tuple[int, int]]  # first pair of each place, and one past its last


def _bags(pairs: KernelMap) -> _Bags:
    counts = torch.bincount(pairs.target, minlength=pairs.targets)
    ends = list(itertools.accumulate(pairs.counts))
    return _Bags(
        torch.argsort(pairs.target, stable=True),
        F.pad(counts.cumsum(0), (1, 0)),
        list(zip([0, *ends[:-1]], ends, strict=True)),
    )


class TorchBackend:
    """The default: needs no compiler, CPU and GPU.

    Args:
        path: how products are computed; None takes the fused kernels where they run, the plain path elsewhere.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def convolve(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Return (targets, C_out) for features (sources, C_in) and a kernel (K, C_in, C_out)."""
        out: Tensor = _Convolve.apply(features, kernel, pairs, self.path or _path_on(features))
        return out


def _path_on(features: Tensor) -> Path:
    if features.is_cuda and features.dtype != torch.float64:
        from lidar2d.nets.sparse.backends import fused

        if fused.AVAILABLE:
            return fused.Fused()
    return Plain()


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, pairs: KernelMap, path: Path) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.pairs, ctx.path = pairs, path
        return path.product(features.contiguous(), kernel, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, kernel = ctx.saved_tensors
        pairs: KernelMap = ctx.pairs
        path: Path = ctx.path
        gradient = gradient.contiguous()
        to_features = path.product(gradient, kernel.mT, pairs.turned) if ctx.needs_input_grad[0] else None
        to_kernel = path.to_kernel(features, gradient, pairs) if ctx.needs_input_grad[1] else None
        return to_features, to_kernel, None, None
