"""Sparse convolution with nothing but PyTorch: gather, multiply, add, one place of the kernel at a time.

On a GPU that Triton knows, :mod:`~lidar2d.nets.sparse.backends.fused` does the same without the gathered features in
memory; this plain path is what it is held against.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
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
    """As no target occurs twice within a place, sums do not depend on the order of additions: every run is the same."""

    def product(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Gather, multiply and add."""
        # sums of up to 125 terms are kept in float32 when the features are shorter
        wide = torch.float32 if features.dtype in (torch.float16, torch.bfloat16) else features.dtype
        if pairs.centre is None:
            out = torch.zeros(pairs.targets, kernel.shape[2], dtype=wide, device=features.device)
        else:
            out = (features @ kernel[pairs.centre]).to(wide)
        for place, (source, target) in enumerate(pairs.by_place()):
            if len(source):
                out.index_add_(0, target, (features.index_select(0, source) @ kernel[place]).to(wide))
        return out.to(features.dtype)

    def to_kernel(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """Gather both and multiply."""
        out = features.new_zeros(len(pairs.counts), features.shape[1], gradient.shape[1])
        for place, (source, target) in enumerate(pairs.by_place()):
            if place == pairs.centre:
                torch.mm(features.T, gradient, out=out[place])
            elif len(source):
                torch.mm(features.index_select(0, source).T, gradient.index_select(0, target), out=out[place])
        return out


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
