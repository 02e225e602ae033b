import math

import numpy as np
import pytest
import torch

from lidar2d.data.descriptors import (
    GROUND_CHANNELS,
    HIGH,
    LOOSE_CHANNELS,
    LOW,
    SOLID_CELL,
    SOLID_CHANNELS,
    describe,
    find_solids,
    lowest_around,
    solid_shape,
    voxel_shape,
)


def flat_ground(rng, points=4000, z=-1.8):
    xy = rng.uniform(-15, 15, (points, 2))
    return np.c_[xy, z + 0.01 * rng.standard_normal(points), np.full(points, 0.2)]


def box(rng, centre, size, yaw=0.0, points=400, intensity=0.5):
    """Points inside an upright box whose bottom stands at z = -1.8."""
    local = rng.uniform(-0.5, 0.5, (points, 3)) * size
    c, s = math.cos(yaw), math.sin(yaw)
    x, y = c * local[:, 0] - s * local[:, 1], s * local[:, 0] + c * local[:, 1]
    z = local[:, 2] + size[2] / 2 - 1.8
    return np.c_[x + centre[0], y + centre[1], z, np.full(points, intensity)]


@pytest.fixture
def street():
    rng = np.random.default_rng(3)
    parts = [
        flat_ground(rng),
        box(rng, (8, 3), (4.5, 1.8, 1.6), yaw=0.5),
        box(rng, (-6, -5), (0.6, 0.6, 1.8), points=120, intensity=0.9),
        box(rng, (5, -9), (8, 0.3, 7), points=900),
    ]
    owner = np.repeat([0, 1, 2, 3], [len(p) for p in parts])
    return torch.from_numpy(np.concatenate(parts)).float(), torch.from_numpy(owner)


def cells(xyz, size):
    return [(math.floor((x + 80) / size), math.floor((y + 80) / size)) for x, y in xyz[:, :2].tolist()]


def slow_solids(xyz, height):
    """Flood fill over a set of cells."""
    place = cells(xyz, SOLID_CELL)
    todo = {c for c, h in zip(place, height.tolist(), strict=True) if LOW < h < HIGH}
    groups = {}
    while todo:
        stack = [todo.pop()]
        name = len(set(groups.values()))
        while stack:
            cell = stack.pop()
            groups[cell] = name
            around = {(cell[0] + i, cell[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & todo
            todo -= around
            stack += around
    return [groups.get(c, -1) if h > LOW / 2 else -1 for c, h in zip(place, height.tolist(), strict=True)]


def same_partition(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


@pytest.mark.parametrize("seed", range(5))
def test_solids_equal_a_flood_fill(seed):
    rng = np.random.default_rng(seed)
    xyz = torch.from_numpy(rng.uniform([-9, -9, 0], [9, 9, 3], (900, 3))).float()
    found = find_solids(xyz, xyz[:, 2]).tolist()
    slow = slow_solids(xyz, xyz[:, 2])
    assert [f < 0 for f in found] == [s < 0 for s in slow]
    assert same_partition(found, slow)
    assert len(set(slow)) > 5


def test_a_long_winding_solid_is_one():
    turn = torch.linspace(0, 12 * math.pi, 6000)
    reach = 4 + turn
    spiral = torch.stack([reach * turn.cos(), reach * turn.sin(), torch.ones_like(turn)], dim=1)
    assert set(find_solids(spiral, spiral[:, 2]).tolist()) == {0}


def test_solids_at_opposite_borders_do_not_touch():
    xyz = torch.tensor([[0.0, 79.9, 1.0], [0.4, -79.9, 1.0]])
    assert len(set(find_solids(xyz, xyz[:, 2]).tolist())) == 2


def test_lowest_around_equals_loops():
    rng = np.random.default_rng(1)
    xyz = torch.from_numpy(rng.uniform(-6, 6, (150, 3))).float()
    place = cells(xyz, 1.0)
    slow = [
        min(
            z
            for (i, j), z in zip(place, xyz[:, 2].tolist(), strict=True)
            if abs(i - place[n][0]) <= 1 and abs(j - place[n][1]) <= 1
        )
        for n in range(len(xyz))
    ]
    assert lowest_around(xyz, 3).tolist() == pytest.approx(slow)


def test_voxel_shape_equals_its_slow_twin():
    rng = np.random.default_rng(2)
    xyz = torch.from_numpy(rng.uniform(-2, 2, (300, 3))).float()
    shape, normal = voxel_shape(xyz, 1.5)
    place = np.floor(xyz.numpy() / np.float32(1.5))
    for n in range(0, 300, 7):
        mine = xyz.numpy().astype(float)[(place == place[n]).all(1)]
        values, vectors = np.linalg.eigh(np.cov(mine.T, bias=True) + 1e-6 * np.eye(3))
        thin, middle, long = np.sqrt(np.clip(values, 1e-8, None))
        plane = vectors[:, 0] if len(mine) > 2 else mine.mean(0) / np.linalg.norm(mine.mean(0))
        expected = [
            (long - middle) / long,
            (middle - thin) / long,
            thin / long,
            abs(plane[2]),
            np.log(mine[:, 2].std() + 0.02),
        ]
        assert shape[n].tolist() == pytest.approx(expected, abs=2e-3)
        assert abs(normal[n].numpy() @ plane) == pytest.approx(1, abs=1e-3)


def test_solid_shape_equals_its_slow_twin(street):
    points, _ = street
    rng = np.random.default_rng(4)
    xyz, height, shade = points[:, :3], points[:, 2] + 1.8, points[:, 3]
    surface = torch.from_numpy(rng.uniform(0, 1, (len(xyz), 6))).float()
    of = find_solids(xyz, height)
    table, sizes = solid_shape(xyz, height, shade, surface, of)
    assert table.shape == (int(of.max()) + 1, SOLID_CHANNELS)
    for solid in range(len(table)):
        mine = (of == solid).numpy()
        p, h, r = (t.numpy().astype(float)[mine] for t in (xyz, height, shade))
        centre = p.mean(0)
        _, axes = np.linalg.eigh(np.cov((p - centre)[:, :2].T, bias=True))
        along, across = (p - centre)[:, :2] @ axes[:, 1], (p - centre)[:, :2] @ axes[:, 0]
        length, width = np.ptp(along), np.ptp(across)
        seen = mine.sum() * (centre**2).sum()
        bands = np.histogram(h, [-np.inf, 0.5, 1, 1.5, 2, 3, np.inf])[0] / len(h)
        shades = np.histogram(r, [-np.inf, 0.1, 0.25, 0.45, 0.7, np.inf])[0] / len(r)
        expected = [
            *np.log(np.array([length, width, h.max(), max(h.min(), 0)]) + 0.1),
            np.log(max(1, seen / (max(length, 0.2) * max(np.ptp(h), 0.2)))),
            np.log(max(1, seen)),
            *(r.mean(), r.std(), r.max(), h.mean(), h.std()),
            *bands,
            *shades,
            *surface.numpy()[mine].mean(0),
        ]
        assert sizes[solid] == mine.sum()
        assert table[solid].tolist() == pytest.approx(expected, abs=3e-3)


def test_a_street_falls_into_ground_and_its_solids(street):
    points, owner = street
    found = describe(points)
    assert found.ground[owner == 0].float().mean() > 0.97
    names = [set(found.solid_of[(owner == k) & (points[:, 2] > -1.3)].tolist()) for k in (1, 2, 3)]
    assert [len(n) for n in names] == [1, 1, 1]
    assert len(set.union(*names)) == 3
    length, width, top = (found.solids[min(names[0])][:3].exp() - 0.1).tolist()
    assert length == pytest.approx(4.5, abs=0.5)
    assert width == pytest.approx(1.8, abs=0.5)
    assert top == pytest.approx(1.6, abs=0.15)
    assert found.solids.shape[1] == SOLID_CHANNELS
    assert found.surroundings.shape == (len(points), GROUND_CHANNELS)
    assert found.texture.shape == (len(points), LOOSE_CHANNELS)


def test_reflectance_of_the_ground_does_not_fall_with_range():
    rng = np.random.default_rng(5)
    points = flat_ground(rng, 6000)
    cosine = 1.8 / np.linalg.norm(points[:, :3], axis=1)
    points[:, 3] = 0.3 * (0.1 + 0.9 * cosine)
    found = describe(torch.from_numpy(points))
    assert found.surroundings[:, 2].tolist() == pytest.approx([0.3] * 6000, abs=0.01)


@pytest.mark.parametrize("count", [0, 1])
def test_an_almost_empty_sweep_is_no_special_case(count):
    found = describe(torch.ones(count, 4))
    assert found.solids.shape == (0, SOLID_CHANNELS)
    assert found.ground.tolist() == [True] * count


def test_far_points_stay_finite():
    points = torch.tensor([[1e4, -1e4, 3.0, 1.0], [0.0, 0.0, 0.0, 0.0], [5.0, 0.0, -1.0, 0.5]])
    found = describe(points)
    for table in (found.solids, found.surroundings, found.texture):
        assert torch.isfinite(table).all()
