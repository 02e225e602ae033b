"""Geometry against loops that are too simple to be wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lidar2d.frame import Batch, Boxes, Frame, Pairs, collate
from lidar2d.geometry import (
    ZBuffer,
    box_corners,
    depth_map,
    invert_pose,
    pairs,
    points_in_boxes,
    project,
    transform,
    transform_boxes,
    unproject,
    visible,
)

H, W = 24, 40
CAM_FROM_LIDAR = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]])


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def make_frame(rng: np.random.Generator, points: int, views: int) -> Frame:
    poses = np.tile(CAM_FROM_LIDAR, (views, 1, 1))
    for view in range(views):
        poses[view, :3, :3] = rotation(rng) if view else CAM_FROM_LIDAR[:3, :3]
    k = np.array([[30.0, 0, W / 2], [0, 31, H / 2], [0, 0, 1]])
    return Frame(
        points=torch.from_numpy(rng.uniform(-12, 12, (points, 4))),
        images=torch.zeros(views, 3, H, W),
        intrinsics=torch.from_numpy(np.tile(k, (views, 1, 1))),
        cam_from_lidar=torch.from_numpy(poses),
        token=f"{points}-{views}",
    )


def make_batch(seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    shapes = [(200, 2), (0, 1), (150, 0), (300, 3), (1, 1)]
    return collate([make_frame(rng, points, views) for points, views in shapes])


def naive_pairs(batch: Batch, min_depth: float) -> list[tuple[int, int, float, float, float]]:
    """(point, view, u, v, depth) of every point seen in every view of its own frame, one at a time."""
    found = []
    for view in range(len(batch.images)):
        k, pose = batch.intrinsics[view].numpy(), batch.cam_from_lidar[view].numpy()
        for point in range(len(batch.points)):
            if batch.point_frame[point] != batch.view_frame[view]:
                continue
            x, y, z, _ = pose @ [*batch.points[point, :3].tolist(), 1]
            if z <= min_depth:
                continue
            u, v = k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]
            if 0 <= u < W and 0 <= v < H:
                found.append((point, view, u, v, z))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("min_depth", [1.0, 4.0])
def test_pairs_are_those_of_a_loop(seed: int, min_depth: float):
    batch = make_batch(seed)
    found, expected = pairs(batch, min_depth), naive_pairs(batch, min_depth)
    assert len(expected) > 50
    assert list(zip(found.point.tolist(), found.view.tolist(), strict=True)) == [row[:2] for row in expected]
    numbers = torch.tensor([row[2:] for row in expected], dtype=torch.float64)
    torch.testing.assert_close(torch.cat([found.pixel, found.depth[:, None]], dim=1), numbers, atol=1e-9, rtol=0)


def test_pairs_of_single_precision_points_are_near_those_of_double():
    batch = make_batch(0)
    single = Batch(**(vars(batch) | {"points": batch.points.float()}))
    a, b = pairs(batch), pairs(single)
    assert torch.equal(a.point, b.point)
    torch.testing.assert_close(a.pixel, b.pixel, atol=1e-3, rtol=0)


def test_first_pixel_covers_zero_to_one():
    """A point on the optical axis lands on the principal point; pixel centres are at .5."""
    k = torch.tensor([[[10.0, 0, 0.5], [0, 10, 0.5], [0, 0, 1]]], dtype=torch.float64)
    pose = torch.from_numpy(CAM_FROM_LIDAR)[None].clone()
    pose[0, :3, 3] = 0
    ahead = torch.tensor([[5.0, 0, 0], [5, -0.45 * 0.5, 0], [5, 0.51 * 0.5, 0]], dtype=torch.float64)
    pixel, depth = project(ahead, k, pose)
    assert depth[0].tolist() == [5, 5, 5]
    assert pixel[0, 0].tolist() == [0.5, 0.5]  # the centre of row 0, column 0
    assert 0.5 < pixel[0, 1, 0] < 1  # to the right, which is -y, still in column 0
    assert pixel[0, 2, 0] < 0  # to the left of the image


# ---- occlusion and depth maps


def random_pairs(seed: int, count: int = 400, views: int = 3) -> Pairs:
    rng = np.random.default_rng(seed)
    return Pairs(
        torch.arange(count),
        torch.from_numpy(np.sort(rng.integers(0, views, count))),
        torch.from_numpy(rng.uniform([0, 0], [W, H], (count, 2))),
        torch.from_numpy(rng.uniform(1, 50, count)),
    )


@pytest.mark.parametrize("cell", [1.0, 4.0, 7.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_zbuffer_keeps_what_a_loop_keeps(cell: float, seed: int):
    found = random_pairs(seed)
    zbuffer = ZBuffer(cell, margin=0.05)
    places = [(int(view), u // cell, v // cell) for view, (u, v) in zip(found.view, found.pixel.tolist(), strict=True)]
    depths = found.depth.tolist()
    expected = []
    for here, depth in zip(places, depths, strict=True):
        rivals = [other for place, other in zip(places, depths, strict=True) if place == here]
        expected.append(depth <= min(rivals) * 1.05 + 0.5)
    assert visible(found, zbuffer, H, W).tolist() == expected
    assert not all(expected) or cell == 1.0


def test_pairs_with_a_zbuffer_are_the_visible_ones():
    batch = make_batch(1)
    every = pairs(batch)
    kept = pairs(batch, zbuffer=ZBuffer())
    assert 0 < len(kept) < len(every)
    assert torch.equal(kept.point, every[visible(every, ZBuffer(), H, W)].point)


def test_zbuffer_of_no_pairs_is_empty():
    none = random_pairs(0)[torch.zeros(400, dtype=torch.bool)]
    assert visible(none, ZBuffer(), H, W).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_depth_map_shows_the_nearest_point(seed: int):
    found = random_pairs(seed)
    expected = np.zeros((3, H, W))
    for view, (u, v), depth in zip(found.view, found.pixel, found.depth, strict=True):
        old = expected[view, int(v), int(u)]
        expected[view, int(v), int(u)] = float(depth) if old == 0 else min(old, float(depth))
    np.testing.assert_array_equal(depth_map(found, 3, H, W), expected)


# ---- poses


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_unprojecting_undoes_projecting(seed: int):
    rng = np.random.default_rng(seed)
    frame = make_frame(rng, 50, 3)
    pixel, depth = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    for view in range(3):
        front = depth[view] > 0.1
        back = unproject(pixel[view, front], depth[view, front], frame.intrinsics[view], frame.cam_from_lidar[view])
        torch.testing.assert_close(back, frame.points[front, :3], atol=1e-8, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_inverting_a_pose_is_a_linear_solve(seed: int):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (5, 1, 1))
    for pose in poses:
        pose[:3, :3], pose[:3, 3] = rotation(rng), rng.normal(0, 100, 3)
    ours = invert_pose(torch.from_numpy(poses)).numpy()
    np.testing.assert_allclose(ours, np.linalg.inv(poses), atol=1e-10)


def test_transform_takes_many_matrices_at_once():
    rng = np.random.default_rng(0)
    matrices, points = rng.normal(size=(3, 4, 4)), rng.normal(size=(3, 7, 3))
    moved = transform(torch.from_numpy(matrices), torch.from_numpy(points))
    for m in range(3):
        for n in range(7):
            np.testing.assert_allclose(moved[m, n], (matrices[m] @ [*points[m, n], 1])[:3], atol=1e-12)


# ---- boxes


def naive_corners(box: list[float]) -> list[list[float]]:
    x, y, z, length, width, height, yaw = box
    corners = []
    for up in (-1, 1):
        for ahead, left in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
            a, b = ahead * length / 2, left * width / 2
            corners.append(
                [
                    x + a * math.cos(yaw) - b * math.sin(yaw),
                    y + a * math.sin(yaw) + b * math.cos(yaw),
                    z + up * height / 2,
                ]
            )
    return corners


def random_boxes(rng: np.random.Generator, count: int) -> Tensor:
    rows = [rng.uniform(-5, 5, (count, 3)), rng.uniform(0.5, 6, (count, 3)), rng.uniform(-7, 7, (count, 1))]
    return torch.from_numpy(np.concatenate(rows, axis=1))


def test_corners_are_those_of_a_loop():
    boxes = random_boxes(np.random.default_rng(0), 20)
    np.testing.assert_allclose(box_corners(boxes), [naive_corners(box) for box in boxes.tolist()], atol=1e-12)


def test_bottom_corners_turn_counter_clockwise_from_above():
    for corners in box_corners(random_boxes(np.random.default_rng(1), 10)):
        a, b, c = corners[:3, :2]
        (p, q), (r, s) = b - a, c - b
        assert p * s - q * r > 0


def test_points_in_boxes_are_those_of_a_loop():
    rng = np.random.default_rng(2)
    boxes, points = random_boxes(rng, 12), torch.from_numpy(rng.uniform(-7, 7, (300, 3)))
    inside = points_in_boxes(points, boxes)
    assert inside.sum() > 20
    for m, (x, y, z, length, width, height, yaw) in enumerate(boxes.tolist()):
        for n, (px, py, pz) in enumerate(points.tolist()):
            ahead = (px - x) * math.cos(yaw) + (py - y) * math.sin(yaw)
            left = (py - y) * math.cos(yaw) - (px - x) * math.sin(yaw)
            expected = abs(ahead) <= length / 2 and abs(left) <= width / 2 and abs(pz - z) <= height / 2
            assert bool(inside[m, n]) == expected


def test_surface_belongs_to_the_box():
    box = torch.tensor([[0.0, 0, 0, 4, 2, 2, 0]], dtype=torch.float64)
    points = torch.tensor([[2.0, 1, 1], [2.0001, 0, 0], [0, 0, -1]], dtype=torch.float64)
    assert points_in_boxes(points, box).tolist() == [[True, False, True]]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), mirror=st.booleans(), scale=st.floats(0.5, 2))
def test_boxes_are_carried_like_their_corners(seed: int, mirror: bool, scale: float):
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng, 6)
    angle = rng.uniform(-4, 4)
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix[:3, :3] = matrix[:3, :3] @ np.diag([1, -1 if mirror else 1, 1]) * scale
    matrix[:3, 3] = rng.normal(0, 10, 3)
    g = torch.from_numpy(matrix)
    moved = transform_boxes(g, Boxes(boxes, torch.arange(6)))
    assert moved.velocity is None
    ours, by_hand = box_corners(moved.geometry), transform(g, box_corners(boxes))
    # a mirror changes left and right: the same corners in another order
    order = [3, 2, 1, 0, 7, 6, 5, 4] if mirror else list(range(8))
    torch.testing.assert_close(ours[:, order], by_hand, atol=1e-9, rtol=0)
