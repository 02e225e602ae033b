"""The town's matter: a table of simple convex solids, and how compounds are put into it."""

from __future__ import annotations

import math
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
        corners: Floats = self.centre[:, None] + np.matmul(local, self.axes.transpose(0, 2, 1))
        return corners

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
        self.rows: list[tuple[int, Vector, Vector, Vector, Vector, float, int, int, Paint]] = []
        self.box_labels: list[int] = []
        self.box_yaws: list[float] = []
        self.box_speeds: list[float] = []
        self.lamps: list[Vector] = []
        self.label = 0
        self.owner = -1
        self.pose: Pose = (0.0, 0.0, 0.0, 0.0)

    def begin(self, name: str, pose: Pose) -> None:
        """Start a compound of a class at a pose; solids that follow are given relative to it."""
        self.label, self.pose, self.owner = LABEL[name], pose, -1

    def box(self, speed: float = 0.0) -> None:
        """Let the compound have a bounding box, and a speed along its own x."""
        self.owner = len(self.box_labels)
        self.box_labels.append(self.label)
        self.box_yaws.append(self.pose[3])
        self.box_speeds.append(speed)

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
        c, s = math.cos(heading), math.sin(heading)
        centre = (x + c * at[0] - s * at[1], y + s * at[0] + c * at[1], z + at[2])
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.rows.append(
            (int(shape), centre, (heading + yaw, pitch, roll), half, taper, porous, self.label, self.owner, paint)
        )

    def solids(self) -> Solids:
        """Return what was collected, as a table."""
        shape, centre, turns, half, taper, porous, label, owner, paint = zip(*self.rows, strict=True)

        def floats(values: object) -> Floats:
            return np.array(values, dtype=np.float32)

        return Solids(
            shape=np.array(shape),
            centre=floats(centre),
            axes=_axes(*np.array(turns).T).astype(np.float32),
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

    def boxes(self, solids: Solids) -> NDArray[np.float64]:
        """Return tight boxes (M, 9) x y z l w h yaw vx vy around the compounds that have one, in the town frame."""
        yaw, speed = np.array(self.box_yaws), np.array(self.box_speeds)
        low, high = (np.full((len(yaw), 3), bound) for bound in (np.inf, -np.inf))
        rows = np.flatnonzero(solids.owner >= 0)
        owner = solids.owner[rows]
        zero = np.zeros_like(yaw)
        own = _axes(yaw, zero, zero)[owner]
        spread = np.matmul(own.transpose(0, 2, 1), solids.axes[rows]) * solids.half[rows, None]
        round_ = (solids.shape[rows] == Shape.ELLIPSOID)[:, None]
        reach = np.where(round_, np.sqrt(np.square(spread).sum(-1)), np.abs(spread).sum(-1))
        middle = np.einsum("pji,pj->pi", own, solids.centre[rows])
        np.minimum.at(low, owner, middle - reach)
        np.maximum.at(high, owner, middle + reach)
        centre = np.einsum("mij,mj->mi", _axes(yaw, zero, zero), (low + high) / 2)
        velocity = speed[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
        turn = np.mod(yaw + np.pi, 2 * np.pi) - np.pi
        return np.concatenate([centre, high - low, turn[:, None], velocity], axis=1)


def _axes(yaw: NDArray[np.float64], pitch: NDArray[np.float64], roll: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations (P, 3, 3): about x by roll, then about y by pitch, then about z by yaw."""
    return _turns(2, yaw) @ _turns(1, pitch) @ _turns(0, roll)


def _turns(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, axis, axis] = 1
    matrix[:, i, i] = matrix[:, j, j] = np.cos(angle)
    matrix[:, j, i] = np.sin(angle)
    matrix[:, i, j] = -matrix[:, j, i]
    return matrix
