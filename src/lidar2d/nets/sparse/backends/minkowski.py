"""Sparse convolution by MinkowskiEngine, where somebody has built it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.nets.sparse.grid import Grid, KernelMap
from lidar2d.nets.sparse.kernel import Kernel


@dataclass(frozen=True)
class _Coordinates:
    """The voxels of both sides of a map, as MinkowskiEngine keeps them."""

    manager: Any
    of: Any  # keys
    onto: Any


class MinkowskiBackend:
    """Hands the voxels to MinkowskiEngine, which pairs them itself, by the same definition.

    Raises:
        UsageError: if it is not installed.
    """

    def __init__(self) -> None:
        try:
            import MinkowskiEngine
            from MinkowskiEngineBackend._C import ConvolutionMode
        except ImportError:
            raise UsageError(
                "MinkowskiEngine is not installed, and has no package that installs: build it from its source\n"
                "(docs/backends.md says how), or leave --method.points.backend at torch"
            ) from None
        self._library = MinkowskiEngine
        self._mode = ConvolutionMode.DEFAULT

    def convolve(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Return (targets, C_out) for features (sources, C_in) and a kernel (K, C_in, C_out).

        Raises:
            UsageError: for a kernel that MinkowskiEngine does not have.
        """
        geometry = pairs.kernel
        if geometry != Kernel.centred(geometry.size, geometry.stride, geometry.dilation):
            raise UsageError(f"MinkowskiEngine has no {geometry}; use --method.points.backend torch")
        engine = self._library
        known = pairs.prepared(self._coordinates)
        generator = engine.KernelGenerator(geometry.size, geometry.stride, geometry.dilation, dimension=3)
        convolution = engine.MinkowskiConvolutionFunction
        source, target = known.of, known.onto
        if pairs.is_turned:
            convolution = engine.MinkowskiConvolutionTransposeFunction
            source, target = target, source
        # it multiplies single and double precision only
        kind = torch.promote_types(features.dtype, torch.float32)
        wide = features.to(kind), kernel.to(kind)
        out: Tensor = convolution.apply(*wide, generator, self._mode, source, target, known.manager)
        return out.to(features.dtype)

    def _coordinates(self, pairs: KernelMap) -> _Coordinates:
        manager = self._library.CoordinateManager(
            D=3,
            coordinate_map_type=self._library.CoordinateMapType.CUDA
            if pairs.source.is_cuda
            else self._library.CoordinateMapType.CPU,
        )
        of = _insert(manager, pairs.of, "of")
        return _Coordinates(manager, of, of if pairs.onto is pairs.of else _insert(manager, pairs.onto, "onto"))


def _insert(manager: Any, grid: Grid, name: str) -> Any:
    key, (kept, _) = manager.insert_and_map(grid.coordinates.int(), list(grid.stride), name)
    if not torch.equal(kept.cpu(), torch.arange(len(grid), dtype=kept.dtype)):
        raise RuntimeError("MinkowskiEngine has put the voxels into another order")
    return key
