"""Composes a town from a seed: streets, what lines them, and the long tail that nuScenes' classes have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic import objects, vehicles
from lidar2d.data.synthetic.ground import FLAT, ROAD, TERRAIN, WALK, Ground, GroundPaint, Street
from lidar2d.data.synthetic.objects import Rng, any_colour, varied
from lidar2d.data.synthetic.site import Site, Taken, ZonePlan
from lidar2d.data.synthetic.solids import Builder, Paint, Solids, Texture
from lidar2d.data.synthetic.streets import lay_streets, off_streets, paint_streets

_LEFT = np.pi / 2


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


def compose(rng: Rng) -> Layout:
    """Compose a town around the car, which stands at the origin and looks along x."""
    kind = str(rng.choice(["straight", "junction", "square", "homes", "works"], p=[0.2, 0.3, 0.15, 0.2, 0.15]))
    ground = lay_streets(rng, kind)
    hue = rng.random()
    leaf = (
        varied(rng, (0.07, 0.16, 0.04), 0.35)
        if hue < 0.5
        else varied(rng, (0.3, 0.17, 0.05), 0.4)
        if hue < 0.75
        else varied(rng, (0.18, 0.15, 0.1), 0.5)
    )
    site = Site(
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
    _skyline(site)
    b = site.b
    solids = b.solids()
    return Layout(
        ground=ground,
        paint=paint_streets(rng),
        solids=solids,
        boxes=b.boxes(solids),
        box_labels=np.array(b.box_labels, dtype=np.int64),
        lamps=np.array(b.lamps, dtype=np.float32).reshape(-1, 3),
        kind=kind,
    )


def _spot(site: Site, near: float = 6.0, far: float = 26.0) -> tuple[Street, float]:
    """Pick a street and a place along it not far from the car."""
    street = site.ground.streets[site.rng.integers(len(site.ground.streets))]
    side = site.rng.choice([-1, 1])
    return street, float(side * site.rng.uniform(near, far))


def _long_tail(site: Site) -> None:
    """Place the rare classes first, near enough to be seen, so that every town has several of them."""
    rng = site.rng
    big: tuple[tuple[Callable[..., None], float, float], ...] = (
        (vehicles.bus, 12.0, 0.42),
        (vehicles.trailer, 12.0, 0.55),
        (vehicles.construction_vehicle, 7.5, 0.55),
        (vehicles.truck, 9.5, 0.6),
    )
    for make, length, chance in big:
        for _ in range(int(rng.random() < chance) + int(rng.random() < 0.15)):
            for _ in range(12):
                street, along = _spot(site, 7, 28)
                side = rng.choice([-1, 1])
                kerbside = rng.random() < 0.7
                off = street.half_width - 1.5 if kerbside else street.half_width * 0.45
                if make is vehicles.construction_vehicle and rng.random() < 0.5:
                    off = street.edge + 3.0
                pose = site.pose(street, along, side * off, 0.0 if side < 0 else np.pi)
                turn = rng.uniform(-0.1, 0.1)
                if site.free(pose[0], pose[1], pose[3], length, 3.0):
                    speed = (
                        0.0
                        if kerbside or make in (vehicles.trailer, vehicles.construction_vehicle)
                        else rng.uniform(0, 9)
                    )
                    make(site.b, rng, (pose[0], pose[1], pose[2], pose[3] + turn), speed)
                    break
    for chance in (0.7, 0.3):
        if rng.random() < chance:
            _works(site)
    for make, chance in ((vehicles.bicycle, 0.8), (vehicles.motorcycle, 0.75)):
        if rng.random() < chance:
            _rack(site, make)
    for _ in range(rng.integers(0, 3)):
        make = vehicles.bicycle if rng.random() < 0.5 else vehicles.motorcycle
        street, along = _spot(site, 5, 20)
        side = rng.choice([-1, 1])
        pose = site.pose(street, along, side * (street.half_width - 2.6), 0.0 if side < 0 else np.pi)
        if site.free(pose[0], pose[1], pose[3], 2.0, 1.0):
            make(site.b, rng, pose, rng.uniform(2, 8))


def _rack(site: Site, make: Callable[..., None]) -> None:
    rng = site.rng
    street, along = _spot(site, 3, 13)
    side = rng.choice([-1, 1])
    lateral = side * (street.half_width + rng.uniform(0.8, 1.8))
    turn = rng.uniform(0.8, 1.6)
    for i in range(rng.integers(2, 7)):
        pose = site.pose(street, along + 0.85 * i, lateral, turn + rng.normal(0, 0.1))
        if site.free(pose[0], pose[1], pose[3], 1.0, 0.5):
            make(site.b, rng, pose)


def _works(site: Site) -> None:
    """Close a piece of the road with barriers and cones."""
    rng = site.rng
    street, along = _spot(site, 3, 13)
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
            objects.barrier(site.b, pose, paint, kind)
    cone = Paint(Texture.STRIPES, any_colour(rng, 0.3, 0.8, 1.2), (0.8, 0.8, 0.8), 0.6, (0.3, 0, 1, 0))
    count = rng.integers(4, 10)
    for i in range(count):
        drift = off - side * (1.2 + rng.uniform(0, 0.4))
        pose = site.pose(street, along - 2 + 1.9 * i, drift)
        if site.free(pose[0], pose[1], pose[3], 0.5, 0.5):
            objects.traffic_cone(site.b, rng, pose, cone)


def _traffic(site: Site, street: Street) -> None:
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
                vehicles.car(site.b, rng, pose)
    lane = (street.half_width - street.median) / max(1, round((street.half_width - street.median) / 3.4))
    for side in (-1, 1):
        place = street.median + lane / 2
        while place < street.half_width - 1.2:
            along = -40.0 + rng.uniform(0, 25)
            while along < 60:
                pose = site.pose(street, along, side * place, 0.0 if side < 0 else np.pi)
                make = vehicles.car if rng.random() < 0.9 else vehicles.truck
                length = 4.8 if make is vehicles.car else 10.5
                if site.on(pose[0], pose[1], ROAD) and site.free(pose[0], pose[1], pose[3], length, 2.4):
                    make(site.b, rng, pose, rng.uniform(0, 12))
                along += rng.uniform(9, 45)
            place += lane


def _kerbside(site: Site, street: Street) -> None:
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


def _frontage(site: Site, street: Street) -> None:
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
            if rng.random() < density and off_streets(site.ground, pose, length, depth):
                for u in np.arange(-length / 2, length / 2, 3.0):
                    for v in np.arange(-depth / 2, depth / 2 + 1, 3.0):
                        c, s = np.cos(pose[3]), np.sin(pose[3])
                        site.taken.add(pose[0] + c * u - s * v, pose[1] + s * u + c * v, 2.0)
                objects.building(site.b, rng, pose, (length, depth, high), shops)
            else:
                _green(site, street, side, along, length)
            if setback > 2.5 and rng.random() < 0.5:
                line = site.pose(street, middle, side * (street.edge + 0.4))
                if off_streets(site.ground, line, length, 0.4):
                    hedge = rng.random() < 0.5
                    clear = site.free(line[0], line[1], line[3], length * 0.8, 0.5)
                    if clear and hedge:
                        objects.hedge(site.b, rng, line, site.leaf, length * 0.8)
                    elif clear:
                        objects.fence(site.b, rng, line, length * 0.8)
            if setback > 2.5:
                _green(site, street, side, along, length, setback)
            along += length + (rng.uniform(1, 6) if site.kind == "homes" else rng.choice([0.1, 0.1, rng.uniform(2, 9)]))


def _skyline(site: Site) -> None:
    """Close the horizon with far houses and trees, beyond the LiDAR's reach."""
    rng = site.rng
    for direction in np.linspace(-np.pi, np.pi, 26, endpoint=False) + rng.uniform(0, 0.2):
        away = rng.uniform(90, 160)
        x, y, turn = away * np.cos(direction), away * np.sin(direction), float(direction - _LEFT)
        length = rng.uniform(14, 40)
        if off_streets(site.ground, (x, y, 0.0, turn), length, 12.0):
            pose = (float(x), float(y), 0.0, turn)
            if rng.random() < 0.6:
                objects.building(site.b, rng, pose, (length, 12.0, rng.uniform(6, 24)), shop=False)
            else:
                objects.hedge(site.b, rng, pose, site.leaf, length)
                objects.tree(site.b, rng, pose, site.leaf, 0.0, conifer=False)


def _green(site: Site, street: Street, side: int, along: float, length: float, deep: float = 12.0) -> None:
    rng = site.rng
    for _ in range(rng.poisson(0.16 * length if deep > 10 else 0.1 * length)):
        pose = site.pose(street, along + rng.uniform(0, length), side * (street.edge + rng.uniform(0.8, deep)))
        if site.on(pose[0], pose[1], ROAD) or not site.free(pose[0], pose[1], 0, 1.2, 1.2):
            continue
        if rng.random() < 0.5:
            objects.bush(site.b, rng, pose, site.leaf)
        else:
            objects.tree(site.b, rng, pose, site.leaf, site.bare, rng.random() < site.conifers)
