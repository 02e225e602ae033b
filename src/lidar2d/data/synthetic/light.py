"""Light that does not depend on the weather's colours: which places the sun and the sky reach, and what lamps give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.raycast import camera_windows, cast
from lidar2d.data.synthetic.sensors import Floats, Pinholes, look
from lidar2d.data.synthetic.solids import Solids

_FAR = 700.0  # metres: the sun's rays are as good as parallel from here
_BIAS = 0.25  # metres: half a cell of the map on a steep surface


def shadow_camera(towards: NDArray[np.float64], metres: float, shape: tuple[int, int]) -> Pinholes:
    """Return a camera at the sun that sees the given width of town around the car."""
    return Pinholes(
        focal=np.array([shape[1] / metres * _FAR], np.float32),
        shape=shape,
        rotation=look(-towards)[None].astype(np.float32),
        origin=(towards * _FAR)[None].astype(np.float32),
    )


def reached(
    solids: Solids, towards: NDArray[np.float64], places: Floats, metres: float, shape: tuple[int, int]
) -> Floats:
    """Return which places (3, N) are lit from a direction, 0 or 1; beyond the map everything is lit."""
    sun = shadow_camera(towards, metres, shape)
    first = cast(solids, camera_windows(solids, sun), sun.rays(), sun.origin).reach
    x, y, z = sun.rotation[0] @ places - (sun.rotation[0] @ sun.origin[0])[:, None]
    scale = sun.focal[0] / z
    x *= scale
    y *= scale
    column = (x + np.float32(shape[1] / 2)).astype(np.int32)
    row = (y + np.float32(shape[0] / 2)).astype(np.int32)
    inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0]) & (x > -shape[1] / 2)
    cell = np.where(inside, row * shape[1] + column, 0)
    lit: Floats = ((first[cell] > z - np.float32(_BIAS)) | ~inside).astype(np.float32)
    return lit


def headlights(xyz: Floats, normal: Floats) -> Floats:
    """Return the light (N,) of the car's own headlights: two overlapping cones, cut off above the horizon."""
    x, y, z = xyz[0] - np.float32(2.3), xyz[1], xyz[2] - np.float32(0.7)
    square = x * x + y * y + z * z + np.float32(1.0)
    distance = np.sqrt(square)
    ahead = np.maximum(x, 0) / distance
    side, up = y / distance, z / distance
    pattern = ahead * np.exp(-np.square(side) * 4.5 - np.square(np.maximum(up - 0.02, 0)) * 160)
    facing = -(x * normal[0] + y * normal[1] + z * normal[2]) / distance
    light: Floats = pattern * np.maximum(facing, 0.0) * (260 / square)
    return light


def lamplight(xyz: Floats, normal: Floats, lamps: Floats) -> Floats:
    """Return the light (N,) of street lamps, which shine downwards."""
    total = np.zeros(xyz.shape[1], np.float32)
    nearest = lamps[np.argsort(np.hypot(lamps[:, 0], lamps[:, 1]))[:5]]
    for lamp in nearest:
        x, y, z = (lamp[i] - xyz[i] for i in range(3))
        square = x * x + y * y + z * z + np.float32(0.5)
        facing = np.maximum(x * normal[0] + y * normal[1] + z * normal[2], 0)
        total += facing * np.maximum(z, 0) / (square * square)
    return total * 55
