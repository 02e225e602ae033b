"""From points to voxels and back: which voxel holds which point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.nets.sparse.grid import Grid
from lidar2d.nets.sparse.kernel import Triple
from lidar2d.nets.sparse.keys import FRAMES, LIMIT, pack


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of a batch of points."""

    grid: Grid  # M voxels at stride 1
    inverse: Tensor  # (N,) voxel of each point
    first: Tensor  # (M,) first point of each voxel

    def of_first(self, values: Tensor) -> Tensor:
        """Return the value (M, C) of each voxel's first point, from values (N, C) of the points."""
        return values[self.first]

    def mean(self, values: Tensor, most: int | None = None) -> Tensor:
        """Return the mean (M, C) over each voxel's points, or over its first ``most`` points, of values (N, C)."""
        inverse, count = self.inverse, torch.bincount(self.inverse, minlength=len(self.first))
        if most is not None:
            order = torch.argsort(inverse, stable=True)
            rank = torch.arange(len(order), device=order.device) - (count.cumsum(0) - count)[inverse[order]]
            kept = order[rank < most]
            inverse, values, count = inverse[kept], values[kept], count.clamp(max=most)
        sums = values.new_zeros(len(self.first), values.shape[1]).index_add(0, inverse, values)
        return sums / count[:, None]

    def to_points(self, features: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return for every point, or for those at ``rows``, the feature of its voxel: (M, C) gives (N, C)."""
        return features.index_select(0, self.inverse if rows is None else self.inverse[rows])


def cylindrical(xyz: Tensor) -> Tensor:
    """Return rho in metres, phi in degrees from -180 to 180, z in metres for points (N, 3).

    Phi jumps behind the sensor, and is not closed there, as published: at x < 0 it is 180 for y = 0 and -180 for
    y = -0.0, as ``atan2`` has it.
    """
    # rounded as in the published code, or points on a border would fall into another voxel than there
    x, y, z = xyz.unbind(1)
    return torch.stack([torch.sqrt(x**2 + y**2), torch.atan2(y, x) * 180 / math.pi, z], dim=1)


def voxelise(positions: Tensor, frame: Tensor, size: tuple[float, float, float], shape: Triple | None = None) -> Voxels:
    """Find the voxels that hold points; voxel (i, j, k) covers [i, i + 1) x [j, j + 1) x [k, k + 1) times the size.

    Args:
        positions: (N, 3), Cartesian or :func:`cylindrical`.
        frame: (N,) frame of each point.
        size: of a voxel along each axis, in the units of the positions.
        shape: number of voxels along each axis, from the origin on; None where there is no border.

    Raises:
        UsageError: if a position is not finite or lies ``LIMIT`` voxels or more from the origin, or if there are too
            many frames.
        ValueError: if a position lies beyond the border.
    """
    place = (positions / positions.new_tensor(size)).floor()
    within = place.abs() < LIMIT  # also false for NaN
    if not bool(within.all()):
        row = int((~within).any(1).nonzero()[0])
        raise _out_of_reach(positions[row].tolist(), int(frame[row]), size)
    if shape is not None and not bool(((place >= 0) & (place < place.new_tensor(shape))).all()):
        raise ValueError(f"positions must be within {shape} voxels of {size} from the origin on")
    if len(frame) and int(frame.max()) >= FRAMES:
        raise UsageError(
            f"a batch on voxels holds at most {FRAMES} frames, not {int(frame.max()) + 1}; lower --data.batch_size"
        )
    keys, inverse = torch.unique(pack(torch.cat([frame[:, None], place.long()], dim=1)), return_inverse=True)
    order = torch.arange(len(positions), device=positions.device)
    first = torch.full_like(keys, len(positions)).scatter_reduce(0, inverse, order, "amin")
    return Voxels(Grid(keys, shape=shape), inverse, first)


def _out_of_reach(position: list[float], frame: int, size: tuple[float, float, float]) -> UsageError:
    at = f"a point at ({', '.join(f'{number:g}' for number in position)}), in frame {frame} of the batch (from 0),"
    if not all(map(math.isfinite, position)):
        return UsageError(f"{at} is not finite\n`lidar2d check` looks for bad input")
    return UsageError(
        f"{at} is too far off for voxels of {size}\ntheir grid ends {LIMIT} voxels from its origin: "
        "leave such points out, or make voxels larger (--method.points.voxel_size)"
    )
