"""KITTI's calibration files: keys, a colon, and the numbers of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.files import BadFileError, read_text

Matrix = NDArray[np.float64]

_HALF_PIXEL = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # KITTI's pixel centres are at whole numbers


def calibration(path: Path) -> tuple[Matrix, Matrix, Matrix]:
    """Read K (3, 3), rect_from_lidar and cam_from_rect (4, 4) of the left colour camera of the object benchmark.

    Raises:
        BadFileError: if the file or one of its keys is missing or wrong.
    """
    values = read_matrices(path, {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)})
    for name in ("R0_rect", "Tr_velo_to_cam"):
        must_turn(values[name][:, :3], name, path)
    rect_from_lidar = np.eye(4)
    rect_from_lidar[:3] = values["R0_rect"] @ values["Tr_velo_to_cam"]
    intrinsics, cam_from_rect = camera(values["P2"], "P2", path)
    return intrinsics, rect_from_lidar, cam_from_rect


def camera(projection: Matrix, name: str, path: Path) -> tuple[Matrix, Matrix]:
    """Return K (3, 3) and cam_from_rect (4, 4) of a projection (3, 4) from the rectified frame of camera 0.

    Cameras lie some centimetres beside camera 0, which KITTI writes as a fourth column: P = K [I | t]. That shift
    belongs to the pose, so that K is a plain K.

    Raises:
        BadFileError: naming the file and the key, if it has no positive focal length, or is no projection.
    """
    if projection[0, 0] <= 0 or projection[1, 1] <= 0:
        raise BadFileError(path, f"{name} has no positive focal length")
    if not np.array_equal(projection[2, :3], [0, 0, 1]):
        raise BadFileError(path, f"{name} is no projection of a camera: its last row must begin 0 0 1")
    if projection[1, 0] != 0:
        raise BadFileError(path, f"{name} is no projection of a camera: its second row must begin with 0")
    cam_from_rect = np.eye(4)
    cam_from_rect[:3, 3] = np.linalg.solve(projection[:, :3], projection[:, 3])
    return _HALF_PIXEL @ projection[:, :3], cam_from_rect


def must_turn(rotation: Matrix, name: str, path: Path) -> None:
    """Refuse a matrix (3, 3) that is no rotation.

    Raises:
        BadFileError: naming the file and the key.
    """
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise BadFileError(path, f"{name} is no rotation")


def read_matrices(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Matrix]:
    """Read matrices of these shapes by their keys.

    Raises:
        BadFileError: if the file or one of its keys is missing or wrong.
    """
    lines = dict(line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    values = {}
    for key, shape in shapes.items():
        if key not in lines:
            raise BadFileError(path, f"no key '{key}'")
        try:
            numbers = np.array(lines[key].split(), dtype=np.float64)
        except ValueError:
            raise BadFileError(path, f"'{key}' has a value that is no number") from None
        if numbers.size != np.prod(shape):
            raise BadFileError(path, f"'{key}' has {numbers.size} values; {np.prod(shape)} are needed")
        if not np.isfinite(numbers).all():
            raise BadFileError(path, f"'{key}' has NaN or infinite values")
        values[key] = numbers.reshape(shape)
    return values
