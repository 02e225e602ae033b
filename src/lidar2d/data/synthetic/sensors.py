"""The rig: six cameras and a spinning LiDAR, placed as on nuScenes' car.

The town frame has the axes of the LiDAR frame (x forward, y left, z up) with z = 0 on the road below the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
HEIGHT, WIDTH = 112, 208  # pixels
MOUNT = 1.84  # metres: the LiDAR above the road
BEAMS, STEPS = 32, 720  # rings, and firings a turn
ELEVATION = (-30.67, 10.67)  # degrees
MAX_RANGE = 80.0  # metres

_YAW = (0.0, -55.0, -110.0, 180.0, 110.0, 55.0)  # degrees
_FIELD = (70.0, 70.0, 70.0, 110.0, 70.0, 70.0)  # degrees, horizontal
_OFFSET = (  # metres from the LiDAR
    (0.76, 0.0, -0.33),
    (0.61, -0.49, -0.34),
    (0.07, -0.48, -0.28),
    (-0.91, 0.0, -0.27),
    (0.09, 0.48, -0.25),
    (0.58, 0.50, -0.33),
)


@dataclass(frozen=True)
class Pinholes:
    """Cameras in the town frame; a ray's length is counted along the optical axis."""

    focal: Floats  # (V,) pixels
    shape: tuple[int, int]  # height, width in pixels
    rotation: Floats  # (V, 3, 3): camera axes from town axes
    origin: Floats  # (V, 3) metres

    def rays(self) -> Floats:
        """Return directions (3, V * H * W), of unit length along the optical axis."""
        height, width = self.shape
        v, u = np.meshgrid(np.arange(height) + 0.5 - height / 2, np.arange(width) + 0.5 - width / 2, indexing="ij")
        grid = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
        scale = np.stack([1 / self.focal, 1 / self.focal, np.ones_like(self.focal)], axis=-1)
        rays = np.einsum("vji,vj,jn->ivn", self.rotation.astype(np.float64), scale, grid)
        return np.ascontiguousarray(rays.reshape(3, -1), dtype=np.float32)


def look(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation (3, 3) into a camera that looks along a direction and holds its horizon level."""
    forward = direction / np.linalg.norm(direction)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def intrinsics() -> NDArray[np.float64]:
    """Return the cameras' intrinsics (6, 3, 3) in pixels, pixel centres at .5."""
    focal = WIDTH / 2 / np.tan(np.radians(_FIELD) / 2)
    matrix = np.zeros((len(CAMERAS), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = focal
    matrix[:, 0, 2], matrix[:, 1, 2], matrix[:, 2, 2] = WIDTH / 2, HEIGHT / 2, 1
    return matrix


def cam_from_lidar() -> NDArray[np.float64]:
    """Return the cameras' poses (6, 4, 4)."""
    poses = np.tile(np.eye(4), (len(CAMERAS), 1, 1))
    for pose, yaw, offset in zip(poses, np.radians(_YAW), _OFFSET, strict=True):
        pose[:3, :3] = look(np.array([np.cos(yaw), np.sin(yaw), 0.0]))
        pose[:3, 3] = -pose[:3, :3] @ offset
    return poses


@lru_cache(maxsize=1)
def cameras() -> Pinholes:
    """Return the rig's six cameras."""
    return Pinholes(
        focal=intrinsics()[:, 0, 0].astype(np.float32),
        shape=(HEIGHT, WIDTH),
        rotation=cam_from_lidar()[:, :3, :3].astype(np.float32),
        origin=(np.array(_OFFSET) + np.array([0, 0, MOUNT])).astype(np.float32),
    )


@lru_cache(maxsize=1)
def camera_rays() -> Floats:
    """Return the rays (3, 6 * H * W) of the rig's cameras."""
    return cameras().rays()


@lru_cache(maxsize=1)
def lidar_rays() -> Floats:
    """Return unit directions (3, BEAMS * STEPS), ring after ring from the lowest; azimuth runs from -pi."""
    elevation = np.radians(np.linspace(*ELEVATION, BEAMS))[:, None]
    azimuth = (np.arange(STEPS) + 0.5) * (2 * np.pi / STEPS) - np.pi
    rays = np.stack(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation) * np.ones_like(azimuth),
        ]
    )
    return np.ascontiguousarray(rays.reshape(3, -1), dtype=np.float32)
