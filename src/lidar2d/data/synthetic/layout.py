"""Composes a town from a seed: streets, what lines them, and the long tail that nuScenes' classes have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic import objects
from lidar2d.data.synthetic.ground import FLAT, KERB, ROAD, TERRAIN, WALK, Ground, Patch, Street
from lidar2d.data.synthetic.objects import Rng, any_colour, varied
from lidar2d.data.synthetic.solids import Builder, Paint, Pose, Solids, Texture, Vector

_LEFT = np.pi / 2


@dataclass(frozen=True)
class GroundPaint:
    """Reflectances of a town's ground."""

    road: Vector
    walk: Vector
    flat: Vector
    terrain: Vector
    terrain_accent: Vector
    mark: Vector
    slab: float  # metres: side of the paving slabs
    setts: float  # metres: side of the stones on islands and squares
    infrared: tuple[float, float, float, float]  # road, flat, walk, terrain


@dataclass(frozen=True)
class Layout:
    """A town before any light falls on it."""

    ground: Ground
    paint: GroundPaint
    solids: Solids
    boxes: NDArray[np.float64]  # (M, 9) x y z l w h yaw vx vy, town frame
    box_labels: NDArray[np.int64]  # (M,)
    lamps: NDArray[np.float32]  # (L, 3)
    kind: str


class ZonePlan:
    """The ground's zones on a grid of 0.4 m, for quick questions about single places."""

    def __init__(self, ground: Ground) -> None:
        self.cell, self.size = 0.4, 400
        centres = ((np.arange(self.size) + 0.5 - self.size / 2) * self.cell).astype(np.float32)
        x, y = np.meshgrid(centres, centres, indexing="ij")
        self.grid = ground.zones(x.ravel(), y.ravel()).reshape(x.shape)

    def zone(self, x: float, y: float) -> int:
        """Return the class at a place."""
        i, j = (min(max(int(v / self.cell + self.size / 2), 0), self.size - 1) for v in (x, y))
        return int(self.grid[i, j])

    def height(self, x: float, y: float) -> float:
        """Return the ground's height at a place, in metres."""
        return 0.0 if self.zone(x, y) == ROAD else KERB


class Taken:
    """Ground on which something stands: a list of discs."""

    def __init__(self) -> None:
        self.discs = np.zeros((4096, 3))
        self.count = 0

    def add(self, x: float, y: float, radius: float) -> None:
        """Take a disc."""
        if self.count == len(self.discs):
            self.discs = np.concatenate([self.discs, np.zeros_like(self.discs)])
        self.discs[self.count] = x, y, radius
        self.count += 1

    def claim(self, places: list[tuple[float, float]], radius: float) -> bool:
        """Take discs of one radius, if all of them are free."""
        known = self.discs[: self.count]
        reach = np.square(known[:, 2] + radius)
        for x, y in places:
            if (np.square(known[:, 0] - x) + np.square(known[:, 1] - y) < reach).any():
                return False
        for x, y in places:
            self.add(x, y, radius)
        return True


@dataclass
class _Site:
    """A town under construction."""

    b: Builder
    rng: Rng
    ground: Ground
    plan: ZonePlan
    taken: Taken
    leaf: Vector
    bare: float
    conifers: float
    kind: str

    def free(self, x: float, y: float, yaw: float, length: float, width: float) -> bool:
        """Claim a rectangle, if nothing stands on it."""
        radius = width / 2
        count = max(1, math.ceil(length / max(width, 0.5)))
        steps = [(i - (count - 1) / 2) * (length / count) for i in range(count)]
        places = [(x + s * math.cos(yaw), y + s * math.sin(yaw)) for s in steps]
        return self.taken.claim(places, radius)

    def pose(self, street: Street, along: float, lateral: float, turn: float = 0.0) -> Pose:
        """Return a pose on the ground beside a place of a street."""
        x, y, yaw = street.at(along, lateral)
        return (x, y, self.plan.height(x, y), yaw + turn)

    def on(self, x: float, y: float, *zones: int) -> bool:
        """Tell whether a place is in one of the zones."""
        return self.plan.zone(x, y) in zones


def compose(rng: Rng) -> Layout:
    """Compose a town around the car, which stands at the origin and looks along x."""
    kind = str(rng.choice(["straight", "junction", "square", "homes", "works"], p=[0.2, 0.3, 0.15, 0.2, 0.15]))
    ground = _ground(rng, kind)
    hue = rng.random()
    leaf = (
        varied(rng, (0.07, 0.16, 0.04), 0.35)
        if hue < 0.5
        else varied(rng, (0.3, 0.17, 0.05), 0.4)
        if hue < 0.75
        else varied(rng, (0.18, 0.15, 0.1), 0.5)
    )
    site = _Site(
        Builder(), rng, ground, ZonePlan(ground), Taken(), leaf,
        float(rng.uniform(0.15, 0.6)), float(rng.random() < 0.25) * 0.6, kind,
    )  # fmt: skip
    for x in (-3.0, -0.8, 2.0):
        site.taken.add(x, 0.0, 2.1)  # the car that carries the sensors
    _long_tail(site)
    for street in ground.streets:
        _traffic(site, street)
        _kerbside(site, street)
        _frontage(site, street)
    b = site.b
    solids = b.solids()
    return Layout(
        ground=ground,
        paint=_ground_paint(rng),
        solids=solids,
        boxes=b.boxes(solids),
        box_labels=np.array(b.box_labels, dtype=np.int64),
        lamps=np.array(b.lamps, dtype=np.float32).reshape(-1, 3),
        kind=kind,
    )


def _ground_paint(rng: Rng) -> GroundPaint:
    def grey(low: float, high: float) -> Vector:
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return varied(rng, (value, value, value), 0.25)

    soils: tuple[Vector, ...] = (
        (0.08, 0.17, 0.04),
        (0.25, 0.2, 0.08),
        (0.16, 0.1, 0.06),
        (0.38, 0.31, 0.2),
        (0.2, 0.2, 0.19),
    )
    terrain = varied(rng, soils[rng.choice(5, p=[0.4, 0.18, 0.16, 0.14, 0.12])], 0.3)
    tiles: tuple[Vector, ...] = ((0.3, 0.14, 0.1), (0.3, 0.29, 0.27), (0.12, 0.12, 0.13), (0.35, 0.28, 0.18))
    return GroundPaint(
        road=grey(0.06, 0.34),
        walk=varied(rng, tiles[rng.integers(4)], 0.3) if rng.random() < 0.4 else grey(0.1, 0.45),
        flat=varied(rng, tiles[rng.integers(4)], 0.35) if rng.random() < 0.7 else grey(0.08, 0.4),
        terrain=terrain,
        terrain_accent=varied(rng, terrain, 0.5),
        mark=(0.75, 0.6, 0.1) if rng.random() < 0.15 else (0.75, 0.75, 0.75),
        slab=float(rng.uniform(0.5, 1.2)),
        setts=float(rng.uniform(0.3, 0.6)),
        infrared=(rng.uniform(0.1, 0.24), rng.uniform(0.2, 0.4), rng.uniform(0.22, 0.42), rng.uniform(0.3, 0.6)),
    )


def _ground(rng: Rng, kind: str) -> Ground:
    wide = kind in ("square", "works") or rng.random() < 0.4
    lanes = int(rng.choice([4, 5, 6] if wide and rng.random() < 0.6 else [2, 2, 3]))
    lane = rng.uniform(3.0, 3.7)
    median = float(rng.uniform(0.8, 2.2)) if lanes >= 4 and rng.random() < 0.65 else 0.0
    parking = 2.3 if rng.random() < 0.6 else 0.6
    half = lanes * lane / 2 + parking + median
    crossing = rng.uniform(8, 28) * (1 if rng.random() < 0.75 else -1)
    yaw = float(np.clip(rng.normal(0, 0.1), -0.3, 0.3))
    turning = kind == "junction" and rng.random() < 0.3
    if turning:
        yaw += rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
        crossing = rng.uniform(4, 10)
    second = rng.uniform(3.4, 8.0)
    crossings = (crossing - second - 3.0, crossing + second + 3.0) if kind in ("junction", "square") else (crossing,)
    if kind not in ("junction", "square") and rng.random() < 0.5:
        crossings = ()
    own_lane = -(median + (rng.integers(lanes // 2) + 0.5) * lane)
    main = Street(
        yaw=yaw,
        shift=float(-own_lane),
        bend=0.0 if kind == "junction" else float(rng.normal(0, 0.003)),
        half_width=half,
        lanes=lanes if rng.random() < 0.85 else 0,
        median=median,
        verge=float(rng.uniform(1.0, 3.0)) if rng.random() < (0.65 if kind == "homes" else 0.4) else 0.0,
        walk=float(rng.uniform(1.6, 4.5)),
        crossings=tuple(float(c) for c in crossings),
    )  # the street runs to the left of the car: the car drives on its right half
    streets = [main]
    if kind in ("junction", "square"):
        x, y, _ = main.at(crossing, 0.0)
        cross = yaw + _LEFT + rng.normal(0, 0.12)
        shift = -np.sin(cross) * x + np.cos(cross) * y
        origin = np.cos(cross) * x + np.sin(cross) * y
        streets.append(
            Street(
                yaw=float(cross),
                shift=float(shift),
                bend=0.0,
                half_width=float(second),
                lanes=2 if second < 6 else 4,
                median=0.0,
                verge=main.verge,
                walk=float(rng.uniform(1.6, 4.0)),
                crossings=(float(origin - half - 3.0), float(origin + half + 3.0)),
            )
        )
    patches = _patches(rng, kind, main)
    outside = {"square": FLAT, "homes": TERRAIN, "works": TERRAIN}.get(kind, int(rng.choice([WALK, TERRAIN, FLAT])))
    return Ground(tuple(streets), patches, outside)


def _patches(rng: Rng, kind: str, main: Street) -> tuple[Patch, ...]:
    patches = []
    for _ in range(rng.integers(1, 5)):
        along, side = rng.uniform(-30, 35), rng.choice([-1, 1])
        x, y, yaw = main.at(along, side * (main.edge + rng.uniform(0, 8)))
        zone = int(rng.choice([FLAT, TERRAIN, ROAD, FLAT]))
        patches.append(
            Patch(x, y, yaw, rng.uniform(4, 12), rng.uniform(2.5, 8), zone, bool(rng.random() < 0.4), over_road=False)
        )
    if kind in ("junction", "square") or rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            side, along = rng.choice([-1, 1]), float(rng.choice([-1, 1]) * rng.uniform(6, 24))
            x, y, yaw = main.at(along, side * (main.half_width - rng.uniform(0.5, 1.5)))
            patches.append(
                Patch(
                    x, y, yaw, rng.uniform(2, 7), rng.uniform(0.8, 1.8), FLAT, bool(rng.random() < 0.6), over_road=True
                )
            )
    return tuple(patches)


def _spot(site: _Site, near: float = 6.0, far: float = 26.0) -> tuple[Street, float]:
    """Pick a street and a place along it not far from the car."""
    street = site.ground.streets[site.rng.integers(len(site.ground.streets))]
    x0 = np.cos(street.yaw) * 0.0
    side = site.rng.choice([-1, 1])
    return street, float(x0 + side * site.rng.uniform(near, far))


def _long_tail(site: _Site) -> None:
    """Place the rare classes first, near enough to be seen, so that every town has several of them."""
    rng = site.rng
    big: tuple[tuple[Callable[..., None], float, float], ...] = (
        (objects.bus, 12.0, 0.42),
        (objects.trailer, 12.0, 0.42),
        (objects.construction_vehicle, 7.5, 0.45),
        (objects.truck, 9.5, 0.6),
    )
    for make, length, chance in big:
        for _ in range(int(rng.random() < chance) + int(rng.random() < 0.15)):
            for _ in range(12):
                street, along = _spot(site, 7, 28)
                side = rng.choice([-1, 1])
                kerbside = rng.random() < 0.7
                off = street.half_width - 1.5 if kerbside else street.half_width * 0.45
                if make is objects.construction_vehicle and rng.random() < 0.5:
                    off = street.edge + 3.0
                pose = site.pose(street, along, side * off, 0.0 if side < 0 else np.pi)
                turn = rng.uniform(-0.1, 0.1)
                if site.free(pose[0], pose[1], pose[3], length, 3.0):
                    speed = (
                        0.0
                        if kerbside or make in (objects.trailer, objects.construction_vehicle)
                        else rng.uniform(0, 9)
                    )
                    make(site.b, rng, (pose[0], pose[1], pose[2], pose[3] + turn), speed)
                    break
    if rng.random() < 0.6:
        _works(site)
    for make, chance in ((objects.bicycle, 0.6), (objects.motorcycle, 0.55)):
        if rng.random() < chance:
            _rack(site, make)
    for _ in range(rng.integers(0, 3)):
        make = objects.bicycle if rng.random() < 0.5 else objects.motorcycle
        street, along = _spot(site, 5, 20)
        side = rng.choice([-1, 1])
        pose = site.pose(street, along, side * (street.half_width - 2.6), 0.0 if side < 0 else np.pi)
        if site.free(pose[0], pose[1], pose[3], 2.0, 1.0):
            make(site.b, rng, pose, rng.uniform(2, 8))


def _rack(site: _Site, make: Callable[..., None]) -> None:
    rng = site.rng
    street, along = _spot(site, 3, 13)
    side = rng.choice([-1, 1])
    lateral = side * (street.half_width + rng.uniform(0.8, 1.8))
    turn = rng.uniform(0.8, 1.6)
    for i in range(rng.integers(2, 7)):
        pose = site.pose(street, along + 0.85 * i, lateral, turn + rng.normal(0, 0.1))
        if site.free(pose[0], pose[1], pose[3], 1.0, 0.5):
            make(site.b, rng, pose)


def _works(site: _Site) -> None:
    """Close a piece of the road with barriers and cones."""
    rng = site.rng
    street, along = _spot(site, 4, 16)
    side = rng.choice([-1, 1])
    off = side * (street.half_width - rng.uniform(1.0, 3.2))
    kind = int(rng.random() < 0.5)
    striped = rng.random() < 0.6
    colour = any_colour(rng, 0.25, 0.8, 1.0) if striped else any_colour(rng, 0.2, 0.6, 0.3)
    accent = (0.75, 0.75, 0.75) if striped else colour
    paint = Paint(Texture.STRIPES, colour, accent, 0.55, (0.5, 1, 0, 0))
    for i in range(rng.integers(3, 9)):
        pose = site.pose(street, along + 2.1 * i, off)
        if site.free(pose[0], pose[1], pose[3], 1.9, 0.6):
            objects.barrier(site.b, rng, pose, paint, kind)
    cone = Paint(Texture.STRIPES, any_colour(rng, 0.3, 0.8, 1.2), (0.8, 0.8, 0.8), 0.6, (0.3, 0, 1, 0))
    count = rng.integers(4, 10)
    for i in range(count):
        drift = off - side * (1.2 + rng.uniform(0, 0.4))
        pose = site.pose(street, along - 2 + 1.9 * i, drift)
        if site.free(pose[0], pose[1], pose[3], 0.5, 0.5):
            objects.traffic_cone(site.b, rng, pose, cone)


def _traffic(site: _Site, street: Street) -> None:
    rng = site.rng
    parked = rng.uniform(0.15, 0.85)
    for side in (-1, 1):
        along = -42.0 + rng.uniform(0, 6)
        while along < 55:
            along += rng.uniform(5.4, 8.0)
            if rng.random() > parked:
                continue
            pose = site.pose(street, along, side * (street.half_width - 1.2), 0.0 if side < 0 else np.pi)
            if rng.random() < 0.15:
                pose = (*pose[:3], pose[3] + np.pi)
            if site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], pose[3], 4.8, 2.0):
                objects.car(site.b, rng, pose)
    lane = (street.half_width - street.median) / max(1, round((street.half_width - street.median) / 3.4))
    for side in (-1, 1):
        place = street.median + lane / 2
        while place < street.half_width - 1.2:
            along = -40.0 + rng.uniform(0, 25)
            while along < 60:
                pose = site.pose(street, along, side * place, 0.0 if side < 0 else np.pi)
                make = objects.car if rng.random() < 0.9 else objects.truck
                length = 4.8 if make is objects.car else 10.5
                if site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], pose[3], length, 2.4):
                    make(site.b, rng, pose, rng.uniform(0, 12))
                along += rng.uniform(9, 45)
            place += lane


def _kerbside(site: _Site, street: Street) -> None:
    rng = site.rng
    spacing = rng.uniform(6, 16)
    trees, lamps = rng.random() < 0.65, rng.uniform(18, 30)
    for side in (-1, 1):
        inner, outer = street.half_width + 0.6, street.edge - 0.4
        for along in np.arange(-40 + rng.uniform(0, spacing), 55, spacing):
            pose = site.pose(street, float(along), side * inner)
            if trees and site.on(pose[0], pose[1], WALK, TERRAIN) and site.free(pose[0], pose[1], 0, 0.6, 0.6):
                objects.tree(site.b, rng, pose, site.leaf, site.bare, rng.random() < site.conifers)
        for along in np.arange(-40 + rng.uniform(0, lamps), 55, lamps):
            pose = site.pose(street, float(along), side * inner, -side * _LEFT)
            if site.on(pose[0], pose[1], WALK, TERRAIN, FLAT) and site.free(pose[0], pose[1], 0, 0.5, 0.5):
                objects.street_lamp(site.b, rng, pose)
        for _ in range(rng.integers(1, 5)):
            pose = site.pose(street, rng.uniform(-20, 25), side * inner, rng.choice([0.0, np.pi]))
            if not site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], 0, 0.5, 0.5):
                objects.sign(site.b, rng, pose)
        for _ in range(rng.integers(0, 4)):
            pose = site.pose(street, rng.uniform(-20, 25), side * outer, -side * _LEFT)
            if not site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], 0, 1.5, 1.5):
                objects.street_box(site.b, rng, pose)
        for _ in range(rng.poisson(rng.choice([2.0, 5.0, 9.0]))):
            lateral = side * rng.uniform(inner, max(outer, inner + 0.5))
            turn = rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else rng.choice([0.0, np.pi]) + rng.normal(0, 0.15)
            pose = site.pose(street, rng.uniform(-22, 28), lateral, turn)
            if not site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], 0, 0.8, 0.8):
                objects.pedestrian(site.b, rng, pose, 0.0 if rng.random() < 0.35 else rng.uniform(0.8, 1.6))
    for crossing in street.crossings:
        for _ in range(rng.poisson(1.2)):
            lateral = rng.uniform(-street.half_width, street.half_width)
            pose = site.pose(street, crossing + rng.normal(0, 0.6), lateral, rng.choice([-1, 1]) * _LEFT)
            if site.free(pose[0], pose[1], 0, 0.8, 0.8):
                objects.pedestrian(site.b, rng, pose, rng.uniform(0.8, 1.6))


def _frontage(site: _Site, street: Street) -> None:
    """Line both sides of a street with houses, gardens, fences and greenery."""
    rng = site.rng
    setback = {"homes": rng.uniform(3, 9), "square": rng.uniform(5, 14), "works": rng.uniform(4, 15)}.get(
        site.kind, rng.uniform(0.3, 3.0)
    )
    density = {"homes": 0.8, "works": 0.6, "square": 0.75}.get(site.kind, 0.9)
    shops = rng.random() < 0.5 and site.kind in ("straight", "junction", "square")
    for side in (-1, 1):
        along = -60.0
        while along < 70:
            length = rng.uniform(8, 15) if site.kind == "homes" else rng.uniform(10, 26)
            depth = rng.uniform(8, 14)
            high = rng.uniform(4, 9) if site.kind in ("homes", "works") else rng.uniform(6, 22)
            lateral = side * (street.edge + setback + rng.uniform(0, 1.2) + depth / 2)
            middle = along + length / 2
            pose = site.pose(street, middle, lateral, 0.0 if side > 0 else np.pi)
            if rng.random() < density and _off_streets(site.ground, pose, length, depth):
                for u in np.arange(-length / 2, length / 2, 3.0):
                    for v in np.arange(-depth / 2, depth / 2 + 1, 3.0):
                        c, s = np.cos(pose[3]), np.sin(pose[3])
                        site.taken.add(pose[0] + c * u - s * v, pose[1] + s * u + c * v, 2.0)
                objects.building(site.b, rng, pose, (length, depth, high), shops)
            else:
                _green(site, street, side, along, length)
            if setback > 2.5 and rng.random() < 0.5:
                line = site.pose(street, middle, side * (street.edge + 0.4))
                if _off_streets(site.ground, line, length, 0.4):
                    hedge = rng.random() < 0.5
                    clear = site.free(line[0], line[1], line[3], length * 0.8, 0.5)
                    if clear and hedge:
                        objects.hedge(site.b, rng, line, site.leaf, length * 0.8)
                    elif clear:
                        objects.fence(site.b, rng, line, length * 0.8)
            if setback > 2.5:
                _green(site, street, side, along, length, setback)
            along += length + (rng.uniform(1, 6) if site.kind == "homes" else rng.choice([0.1, 0.1, rng.uniform(2, 9)]))


def _green(site: _Site, street: Street, side: int, along: float, length: float, deep: float = 12.0) -> None:
    rng = site.rng
    for _ in range(rng.poisson(0.16 * length if deep > 10 else 0.1 * length)):
        pose = site.pose(street, along + rng.uniform(0, length), side * (street.edge + rng.uniform(0.8, deep)))
        if site.on(pose[0], pose[1], ROAD) or not site.free(pose[0], pose[1], 0, 1.2, 1.2):
            continue
        if rng.random() < 0.5:
            objects.bush(site.b, rng, pose, site.leaf)
        else:
            objects.tree(site.b, rng, pose, site.leaf, site.bare, rng.random() < site.conifers)


def _off_streets(ground: Ground, pose: Pose, length: float, depth: float) -> bool:
    """Tell whether a rectangle keeps off every street and its sidewalks, and off the car."""
    u, v = np.meshgrid(np.linspace(-length / 2, length / 2, 5), np.linspace(-depth / 2, depth / 2, 4))
    c, s = np.cos(pose[3]), np.sin(pose[3])
    x, y = (pose[0] + c * u - s * v).astype(np.float32), (pose[1] + s * u + c * v).astype(np.float32)
    if np.hypot(x, y).min() < 6:
        return False
    for street in ground.streets:
        _, lateral = street.along_lateral(x, y)
        if (np.abs(lateral) < street.edge).any():
            return False
    return True
