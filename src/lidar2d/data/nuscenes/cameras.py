"""Cameras of the tables as rows of an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lidar2d.frame import ImageFile

CAMERA_DTYPE = np.dtype([("intrinsics", np.float64, (3, 3)), ("size", np.int32, 2)])  # size: height, width

_LARGEST = 1 << 15  # pixels


def camera_row(intrinsic: Any, size: tuple[int, int]) -> NDArray[np.void]:
    """Return the row of a camera, with pixel centres at .5: the tables have them at whole numbers.

    Args:
        intrinsic: the table's ``camera_intrinsic``.
        size: (height, width).

    Raises:
        ValueError: if this is no camera.
    """
    try:
        intrinsics = np.array(intrinsic, dtype=np.float64)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise ValueError("a camera's intrinsics are no finite 3x3 matrix")
    if not np.array_equal(intrinsics[2], [0, 0, 1]):
        raise ValueError("the last row of a camera's intrinsics must be 0 0 1")
    if min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise ValueError("a camera's focal length is not positive")
    if min(size) <= 0 or max(size) > _LARGEST:
        raise ValueError(f"an image of {size[1]}x{size[0]} pixels")
    intrinsics[:2, 2] += 0.5
    camera = np.zeros((), CAMERA_DTYPE)
    camera["intrinsics"], camera["size"] = intrinsics, size
    return camera


def image_file(path: Path, camera: np.void) -> ImageFile:
    """Return an image that a camera took."""
    height, width = camera["size"].tolist()
    return ImageFile(path, (height, width), torch.from_numpy(camera["intrinsics"].copy()))
