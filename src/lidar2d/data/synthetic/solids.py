"""The town's matter: a table of simple convex solids, and how compounds are put into it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.sensors import Floats

CLASSES = (
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
LABEL = {name: index for index, name in enumerate(CLASSES)}

Vector = tuple[float, float, float]
Pose = tuple[float, float, float, float]  # x, y, z of the foot in the town frame, yaw


class Shape(IntEnum):
    """What a solid is in its own unit coordinates, [-1, 1] cubed."""

    BOX = 0
    WEDGE = 1  # a box whose sides lean inwards towards the top
    ELLIPSOID = 2
    CYLINDER = 3  # along its own z


class Texture(IntEnum):
    """How a solid's surface is painted; see :mod:`lidar2d.data.synthetic.materials`."""

    PLAIN = 0
    FACADE = 1
    LEAVES = 2
    BODY = 3
    CABIN = 4
    WHEEL = 5
    STRIPES = 6
    CLOTH = 7
    SLATS = 8
    RIBS = 9
    SIGN = 10
    LAMP = 11
    COACH = 12
    TILES = 13


@dataclass(frozen=True)
class Solids:
    """Solids, one a row, in the town frame."""

    shape: NDArray[np.int64]  # (P,) Shape
    centre: Floats  # (P, 3) metres
    axes: Floats  # (P, 3, 3): columns are the solid's own axes
    half: Floats  # (P, 3) half sizes in metres
    taper: Floats  # (P, 3) share of the half length lost at the top: front, back, both sides
    porous: Floats  # (P,) share of holes, 0 = dense
    label: NDArray[np.int64]  # (P,)
    owner: NDArray[np.int64]  # (P,) row of the boxes, -1 = none
    texture: NDArray[np.int64]  # (P,) Texture
    colour: Floats  # (P, 3) linear reflectance
    accent: Floats  # (P, 3)
    infrared: Floats  # (P,) reflectance at the LiDAR's wavelength
    detail: Floats  # (P, 4) numbers that the texture reads

    def __len__(self) -> int:
        return len(self.shape)

    def corners(self) -> Floats:
        """Return the corners (P, 8, 3) of each solid's own box."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
        local = signs[None] * self.half[:, None]
        return self.centre[:, None] + np.matmul(local, self.axes.transpose(0, 2, 1))

    def unit_from_town(self) -> Floats:
        """Return matrices (P, 3, 3) from the town's axes to unit coordinates."""
        return self.axes.transpose(0, 2, 1) / self.half[:, :, None]


@dataclass(frozen=True)
class Paint:
    """What a surface looks like to the camera and to the LiDAR."""

    texture: Texture
    colour: Vector
    accent: Vector = (0.05, 0.05, 0.05)
    infrared: float = 0.3
    detail: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class Builder:
    """Collects solids, boxes, lamps and occupied ground while a town is composed."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Vector, NDArray[np.float64], Vector, Vector, float, int, int, Paint]] = []
        self.boxes: list[tuple[float, ...]] = []  # x y z l w h yaw vx vy
        self.box_labels: list[int] = []
        self.lamps: list[Vector] = []
        self.label = 0
        self.owner = -1
        self.pose: Pose = (0.0, 0.0, 0.0, 0.0)

    def begin(self, name: str, pose: Pose) -> None:
        """Start a compound of a class at a pose; solids that follow are given relative to it."""
        self.label, self.pose, self.owner = LABEL[name], pose, -1

    def box(self, length: float, width: float, height: float, speed: float = 0.0) -> None:
        """Give the compound a box on its foot."""
        x, y, z, yaw = self.pose
        self.owner = len(self.boxes)
        self.boxes.append((x, y, z + height / 2, length, width, height, yaw, speed * np.cos(yaw), speed * np.sin(yaw)))
        self.box_labels.append(self.label)

    def add(
        self,
        shape: Shape,
        at: Vector,
        size: Vector,
        paint: Paint,
        *,
        taper: Vector = (0.0, 0.0, 0.0),
        pitch: float = 0.0,
        roll: float = 0.0,
        yaw: float = 0.0,
        porous: float = 0.0,
    ) -> None:
        """Add a solid: centre and full size in metres, then its turn about y (pitch), x (roll) and z (yaw)."""
        x, y, z, heading = self.pose
        c, s = np.cos(heading), np.sin(heading)
        centre = (x + c * at[0] - s * at[1], y + s * at[0] + c * at[1], z + at[2])
        axes = _turn(2, heading + yaw) @ _turn(1, pitch) @ _turn(0, roll)
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.rows.append((int(shape), centre, axes, half, taper, porous, self.label, self.owner, paint))

    def solids(self) -> Solids:
        """Return what was collected, as a table."""
        shape, centre, axes, half, taper, porous, label, owner, paint = zip(*self.rows, strict=True)

        def floats(values: object) -> Floats:
            return np.array(values, dtype=np.float32)

        return Solids(
            shape=np.array(shape),
            centre=floats(centre),
            axes=floats(axes),
            half=floats(half),
            taper=floats(taper),
            porous=floats(porous),
            label=np.array(label),
            owner=np.array(owner),
            texture=np.array([int(p.texture) for p in paint]),
            colour=floats([p.colour for p in paint]),
            accent=floats([p.accent for p in paint]),
            infrared=floats([p.infrared for p in paint]),
            detail=floats([p.detail for p in paint]),
        )


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix
