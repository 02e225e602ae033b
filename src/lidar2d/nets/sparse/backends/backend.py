"""The one interface of sparse convolution."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import Tensor

from lidar2d.nets.sparse.grid import KernelMap

Name = Literal["torch", "spconv", "minkowski"]


class Backend(Protocol):
    """A library that convolves on the voxels that a :class:`KernelMap` pairs; differentiable in features and kernel."""

    def convolve(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Return (targets, C_out) for features (sources, C_in) and a kernel (K, C_in, C_out) of one dtype."""


def named(name: Name) -> Backend:
    """Return the backend of that name; its library is imported here.

    Raises:
        UsageError: if the library is not installed.
    """
    if name == "spconv":
        from lidar2d.nets.sparse.backends.spconv import SpconvBackend

        return SpconvBackend()
    if name == "minkowski":
        from lidar2d.nets.sparse.backends.minkowski import MinkowskiBackend

        return MinkowskiBackend()
    from lidar2d.nets.sparse.backends.torch import TorchBackend

    return TorchBackend()
