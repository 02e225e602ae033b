"""What happens to points, Frame -> Frame: where x <- G x, poses follow by T <- T G^-1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.pairing import enough, seen_by
from lidar2d.errors import SettingError, within
from lidar2d.frame import Frame
from lidar2d.geometry import transform, transform_boxes


def move_points(frame: Frame, matrix: Tensor) -> Frame:
    """Carry cloud, boxes and poses through a 4x4 matrix made of rotations about z, flips, one scale and a shift."""
    matrix = matrix.to(torch.float64)
    points = frame.points.clone()
    points[:, :3] = transform(matrix, frame.points[:, :3].to(torch.float64))
    return replace(
        frame,
        points=points,
        cam_from_lidar=frame.cam_from_lidar @ torch.linalg.inv(matrix).to(frame.cam_from_lidar.dtype),
        boxes=None if frame.boxes is None else transform_boxes(matrix, frame.boxes),
    )


def rotation(rng: Generator, degrees: float = 180.0) -> Tensor:
    """Draw a turn about z by an angle to either side."""
    angle = np.radians(rng.uniform(-degrees, degrees))
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = np.cos(angle)
    matrix[1, 0] = np.sin(angle)
    matrix[0, 1] = -matrix[1, 0]
    return matrix


def mirroring(rng: Generator, kind: Literal["each", "one"] = "each") -> Tensor:
    """Draw a mirroring of x and y, each with probability 1/2, or of x, y or none, each by a third."""
    if kind == "each":
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=2)
    else:
        signs = np.array([(-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)][rng.integers(3)])
    return torch.diag(torch.tensor([*signs, 1.0, 1.0], dtype=torch.float64))


def scaling(rng: Generator, low: float, high: float) -> Tensor:
    """Draw a factor of the cloud; depths stay those of the camera."""
    factor = rng.uniform(low, high)
    return torch.diag(torch.tensor([factor, factor, factor, 1.0], dtype=torch.float64))


def shift(rng: Generator, metres: float) -> Tensor:
    """Draw a shift by a normal number of metres along each axis."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, 3] = torch.from_numpy(rng.normal(0, metres, size=3))
    return matrix


def keep_points(frame: Frame, rows: Tensor) -> Frame:
    """Keep some points, by a mask or by their rows, with their labels."""
    labels = None if frame.labels is None else frame.labels[rows]
    return replace(frame, points=frame.points[rows], labels=labels)


def within_box(frame: Frame, box: Sequence[float]) -> Frame:
    """Keep the points within (x0, y0, z0, x1, y1, z1), in metres."""
    low, high = frame.points.new_tensor(box).view(2, 3)
    return keep_points(frame, ((frame.points[:, :3] > low) & (frame.points[:, :3] < high)).all(1))


def check_box(name: str, box: Sequence[float] | None) -> None:
    """Refuse a setting that is no box.

    Raises:
        SettingError: naming it.
    """
    within(-1000, 1000, **{name: box})
    if box is not None and not all(low < high for low, high in zip(box[:3], box[3:], strict=True)):
        raise SettingError(name, box, "it needs [x0, y0, z0, x1, y1, z1], each lower than its upper")


def thin(frame: Frame, rng: Generator, size: float) -> Frame:
    """Keep one random point of each cube of the grid."""
    order = rng.permutation(len(frame.points))
    cubes = np.floor(frame.points[order, :3].numpy() / size).astype(np.int64)
    _, first = np.unique(cubes, axis=0, return_index=True)
    return keep_points(frame, torch.from_numpy(np.sort(order[first])))


def nearest(frame: Frame, rng: Generator, count: int) -> Frame:
    """Keep the points nearest to a random one, itself among them; all where there are fewer."""
    if len(frame.points) <= count:
        return frame
    xyz = frame.points[:, :3]
    away = (xyz - xyz[rng.integers(len(xyz))]).square().sum(1)
    return keep_points(frame, away.topk(count, largest=False).indices.sort().values)


def drop_cuboid(frame: Frame, rng: Generator, largest: float = 0.2) -> Frame:
    """Cut the points of a random cuboid, unless a camera would lose too many of its pairs.

    Its sides are one fraction of the cloud's, drawn from 0 to ``largest``, around a random point. The published code
    gives up whenever a view keeps fewer than 1024 pairs, and views of sparse clouds never have that many; here a view
    that keeps three quarters of its pairs passes too, which is the published rule for crops.
    """
    if not len(frame.points):
        return frame
    xyz = frame.points[:, :3]
    side = (xyz.amax(0) - xyz.amin(0)) * rng.uniform(0, largest)
    keep = ((xyz - xyz[rng.integers(len(xyz))]).abs() >= side / 2).any(1)
    _, seen = seen_by(frame)
    if not all(enough(int(kept), int(total)) for kept, total in zip((seen & keep).sum(1), seen.sum(1), strict=True)):
        return frame
    return keep_points(frame, keep)
