"""Lays a town's streets, squares and islands, and chooses what they are made of."""

from __future__ import annotations

import numpy as np

from lidar2d.data.synthetic.ground import FLAT, ROAD, TERRAIN, WALK, Ground, GroundPaint, Patch, Street
from lidar2d.data.synthetic.objects import Rng, varied
from lidar2d.data.synthetic.solids import Pose, Vector

_LEFT = np.pi / 2


def paint_streets(rng: Rng) -> GroundPaint:
    """Choose reflectances of the ground."""

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


def lay_streets(rng: Rng, kind: str) -> Ground:
    """Lay the ground of a kind of town; the car stands in one of the main street's lanes."""
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
    crossings: tuple[float, ...] = (crossing,) if rng.random() < 0.5 else ()
    if kind in ("junction", "square"):
        crossings = (crossing - second - 3.0, crossing + second + 3.0)
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


def off_streets(ground: Ground, pose: Pose, length: float, depth: float) -> bool:
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
