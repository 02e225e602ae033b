"""The ray caster against a slow, obvious twin: every ray, every solid, one at a time, in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lidar2d.data.synthetic.ground import FLAT, KERB, ROAD, TERRAIN, WALK, Ground, Patch, Street
from lidar2d.data.synthetic.layout import compose
from lidar2d.data.synthetic.raycast import camera_windows, cast, lidar_windows, surface
from lidar2d.data.synthetic.sensors import MOUNT, Pinholes, lidar_rays, look
from lidar2d.data.synthetic.solids import Builder, Paint, Shape, Solids, Texture

PAINT = Paint(Texture.PLAIN, (0.5, 0.5, 0.5))


def some_solids(seed: int, count: int = 40) -> Solids:
    rng = np.random.default_rng(seed)
    b = Builder()
    for _ in range(count):
        angle, away = rng.uniform(-np.pi, np.pi), rng.uniform(2, 30)
        b.begin("manmade", (away * math.cos(angle), away * math.sin(angle), 0.0, rng.uniform(-4, 4)))
        b.add(
            Shape(int(rng.integers(4))),
            (0, 0, rng.uniform(0, 3)),
            tuple(rng.uniform(0.2, 5, 3)),
            PAINT,
            taper=tuple(rng.uniform(0, 0.95, 3)),
            pitch=rng.choice([0, rng.uniform(-1, 1)]),
            roll=rng.choice([0, np.pi / 2]),
        )
    return b.solids()


def first_hit(solids: Solids, origin: np.ndarray, ray: np.ndarray) -> float:
    """The nearest entry of one ray into any solid, by clipping it against each of the solid's bounds."""
    nearest = math.inf
    for i in range(len(solids)):
        axes, half = solids.axes[i].astype(float), solids.half[i].astype(float)
        o = axes.T @ (origin - solids.centre[i]) / half
        d = axes.T @ ray / half
        front, back, side = solids.taper[i].astype(float) / 2
        near, far = -math.inf, math.inf
        planes: list[tuple[np.ndarray, float]] = []  # n . p <= c
        shape = Shape(solids.shape[i])
        if shape != Shape.ELLIPSOID:
            planes += [(np.array([0, 0, 1.0]), 1.0), (np.array([0, 0, -1.0]), 1.0)]
        if shape == Shape.BOX:
            front = back = side = 0.0
        if shape in (Shape.BOX, Shape.WEDGE):
            planes += [(np.array([1, 0, front]), 1 - front), (np.array([-1, 0, back]), 1 - back)]
            planes += [(np.array([0, 1, side]), 1 - side), (np.array([0, -1, side]), 1 - side)]
        for normal, bound in planes:
            speed, gap = normal @ d, bound - normal @ o
            if speed < 0:
                near = max(near, gap / speed)
            else:
                far = min(far, gap / speed)
        if shape in (Shape.ELLIPSOID, Shape.CYLINDER):
            used = slice(0, 3) if shape == Shape.ELLIPSOID else slice(0, 2)
            a, b, c = d[used] @ d[used], o[used] @ d[used], o[used] @ o[used] - 1
            root = b * b - a * c
            if root < 0:
                continue
            near, far = max(near, (-b - math.sqrt(root)) / a), min(far, (-b + math.sqrt(root)) / a)
        if 0.05 < near < far:
            nearest = min(nearest, near)
    return nearest


def agree(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, but for rays that graze an edge, where single precision may decide otherwise."""
    with np.errstate(invalid="ignore"):
        close = (found == expected) | (np.abs(found - expected) < 1e-3 * expected)
    assert close.mean() > 0.998, (found[~close], expected[~close])


@pytest.mark.parametrize("seed", [0, 1])
def test_cameras_see_what_the_twin_sees(seed: int) -> None:
    solids = some_solids(seed)
    cameras = Pinholes(
        focal=np.array([20.0, 8.0], np.float32),
        shape=(14, 24),
        rotation=np.stack([look(np.array([1.0, 0.2, 0])), look(np.array([-1.0, 0.5, -0.3]))]).astype(np.float32),
        origin=np.array([[0, 0, 1.5], [0.4, -0.2, 1.7]], np.float32),
    )
    rays = cameras.rays()
    found = cast(solids, camera_windows(solids, cameras), rays, cameras.origin)
    view = np.repeat([0, 1], 14 * 24)
    expected = [
        first_hit(solids, cameras.origin[v].astype(float), r.astype(float)) for v, r in zip(view, rays.T, strict=True)
    ]
    assert 0.1 < np.isfinite(expected).mean() < 1
    agree(found.reach, np.array(expected))


@pytest.mark.parametrize("seed", [3, 4])
def test_the_lidar_sees_what_the_twin_sees(seed: int) -> None:
    solids = some_solids(seed)
    rays, origin = lidar_rays(), np.array([[0, 0, MOUNT]], np.float32)
    found = cast(solids, lidar_windows(solids, origin[0]), rays, origin)
    chosen = np.random.default_rng(seed).choice(rays.shape[1], 700, replace=False)
    expected = [first_hit(solids, origin[0].astype(float), rays[:, i].astype(float)) for i in chosen]
    assert 0.05 < np.isfinite(expected).mean() < 1
    agree(found.reach[chosen], np.array(expected))


def test_surfaces_are_met_from_outside_and_their_normals_point_outwards() -> None:
    solids = some_solids(5)
    rays, origin = lidar_rays(), np.array([[0, 0, MOUNT]], np.float32)
    hits = cast(solids, lidar_windows(solids, origin[0]), rays, origin)
    on = np.flatnonzero(hits.solid >= 0)
    xyz = origin.T + rays[:, on] * hits.reach[on]
    at = surface(solids, hits.solid[on], xyz)
    assert np.allclose(np.linalg.norm(at.normal, axis=0), 1, atol=1e-4)
    assert ((at.normal * rays[:, on]).sum(0) < 0.02).mean() > 0.998
    assert (np.abs(at.local) <= solids.half[hits.solid[on]].T + 1e-3).all()


def test_streets_have_their_zones_and_kerbs() -> None:
    street = Street(
        yaw=0.0, shift=0.0, bend=0.0, half_width=4.0, lanes=2, median=0.0, verge=1.0, walk=2.0, crossings=()
    )
    island = Patch(10.0, 0.0, 0.0, 1.0, 1.0, FLAT, rounded=True, over_road=True)
    ground = Ground((street,), (island,), outside=TERRAIN)
    y = np.array([0, 3.9, 4.5, 6.0, 7.5, 0.0], np.float32)
    x = np.array([0, 0, 0, 0, 0, 10.0], np.float32)
    assert ground.zones(x, y).tolist() == [ROAD, ROAD, TERRAIN, WALK, TERRAIN, FLAT]

    # straight to the left and down, towards the kerb's face at y = 4 between heights 0 and 0.13
    height = 0.07
    rays = np.array([[0.0], [4.0], [height - 1.5]], np.float32)
    reach, zone, kerb = ground.cast(rays, np.array([[0.0], [0.0], [1.5]], np.float32))
    assert kerb[0]
    assert zone[0] == TERRAIN
    assert reach[0] == pytest.approx(1.0, abs=0.01)
    rays = np.array([[0.0], [6.0], [KERB - 1.5]], np.float32)
    reach, zone, kerb = ground.cast(rays, np.array([[0.0], [0.0], [1.5]], np.float32))
    assert not kerb[0]
    assert zone[0] == WALK
    assert reach[0] == pytest.approx(1.0, abs=1e-5)


def test_nothing_stands_where_the_car_stands() -> None:
    for seed in range(8):
        town = compose(np.random.default_rng(seed))
        near = np.linalg.norm(town.solids.corners()[..., :2], axis=-1)
        low = town.solids.corners()[..., 2].min(-1) < 2.5  # a crown may hang over the car
        assert near[low].min() > 1.2
