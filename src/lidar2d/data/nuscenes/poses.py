"""Poses as nuScenes writes them: seven numbers, x y z in metres and a quaternion w x y z."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POSE = (np.float64, 7)

# nuScenes' LiDAR looks along its y axis: x right, y forward. Ours: x forward, y left.
OURS_FROM_NUSCENES = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def pose(record: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the pose of a record of the tables.

    Raises:
        ValueError: if it is not finite, or its quaternion is zero.
    """
    numbers = (*map(float, record["translation"]), *map(float, record["rotation"]))
    if len(numbers) != 7:
        raise ValueError(f"{len(numbers)} numbers for translation and rotation; 7 are needed")
    if not np.isfinite(numbers).all() or not any(numbers[3:]):
        raise ValueError("pose is not finite")
    return numbers


def compose(outer: Array, inner: Array) -> Array:
    """Return poses (..., 7): what ``inner`` carries somewhere, ``outer`` carries on."""
    outer_turn, inner_turn = unit(outer[..., 3:]), unit(inner[..., 3:])
    place = np.einsum("...ij,...j->...i", rotation(outer_turn), inner[..., :3]) + outer[..., :3]
    w, x, y, z = np.moveaxis(outer_turn, -1, 0)
    a, b, c, d = np.moveaxis(inner_turn, -1, 0)
    turn = [
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    ]
    return np.concatenate([place, np.stack(turn, axis=-1)], axis=-1)


def matrices(poses: Array) -> Array:
    """Return poses (..., 7) as matrices (..., 4, 4)."""
    found = np.zeros((*poses.shape[:-1], 4, 4))
    found[..., :3, :3] = rotation(unit(poses[..., 3:]))
    found[..., :3, 3] = poses[..., :3]
    found[..., 3, 3] = 1
    return found


def inverses(motions: Array) -> Array:
    """Invert rigid motions (..., 4, 4)."""
    found = np.zeros_like(motions)
    back = np.swapaxes(motions[..., :3, :3], -1, -2)
    found[..., :3, :3] = back
    found[..., :3, 3] = -np.einsum("...ij,...j->...i", back, motions[..., :3, 3])
    found[..., 3, 3] = 1
    return found


def unit(quaternions: Array) -> Array:
    """Scale quaternions (..., 4) to length one; those of length zero become NaN."""
    with np.errstate(invalid="ignore"):
        length: Array = np.linalg.norm(quaternions, axis=-1, keepdims=True)
        return quaternions / length


def rotation(quaternions: Array) -> Array:
    """Return rotation matrices (..., 3, 3) of unit quaternions (..., 4) written w x y z."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    entries = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(entries), (0, 1), (-2, -1))
