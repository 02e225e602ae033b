"""Features on voxels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from lidar2d.nets.sparse.backends import Backend, named
from lidar2d.nets.sparse.grid import Grid


def _torch() -> Backend:
    return named("torch")


@dataclass(frozen=True)
class SparseTensor:
    """Features on the voxels of a grid, and the backend that convolves them."""

    features: Tensor  # (M, C)
    grid: Grid  # M voxels
    backend: Backend = field(default_factory=_torch)

    def replace(self, features: Tensor, grid: Grid | None = None) -> SparseTensor:
        """Return other features, on the same voxels or on those of another grid."""
        return replace(self, features=features, grid=self.grid if grid is None else grid)
