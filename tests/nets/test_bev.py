"""The ground plane: the lift against the outer product, cells under every augmentation, points brought down."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lidar2d.data.clouds import mirroring, move_points, rotation, scaling
from lidar2d.data.windows import crop_resize, flip_image
from lidar2d.errors import SettingError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.geometry import project
from lidar2d.nets.bev import CameraHeads, DepthBins, Ground, GroundPoints, camera_vector, frustum_cells, lift

BINS = DepthBins(1.0, 12.0, 1.0)


def test_hvdistills_bins_by_hand():
    bins = DepthBins()
    assert bins.count == 118
    depth = torch.tensor([0.0, 0.99, 1.0, 1.49, 1.5, 59.49, 59.99, 60.0, 80.0])
    assert bins.of(depth).tolist() == [-1, -1, 0, 0, 1, 116, 117, -1, -1]
    assert bins.starts(depth)[[0, 1, 117]].tolist() == [1.0, 1.5, 59.5]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (DepthBins, {"width": 0.0}),
        (DepthBins, {"nearest": 100.0}),
        (DepthBins, {"farthest": math.inf}),
        (DepthBins, {"width": 0.01}),
        (Ground, {"cell": 0.01, "extent": 1000.0}),
        (Ground, {"cell": 0.0}),
        (Ground, {"extent": -1.0}),
        (Ground, {"high": -6.0}),
    ],
)
def test_bins_and_cells_without_meaning_are_refused(kind: type, wrong: dict[str, float]):
    with pytest.raises(SettingError):
        kind(**wrong)


def scene(seed: int = 0, views: int = 2, points: int = 200) -> Frame:
    generator = torch.Generator().manual_seed(seed)
    intrinsics = torch.tensor([[40.0, 0, 32], [0, 40, 16], [0, 0, 1]]).double().expand(views, 3, 3).clone()
    poses = []
    for index in range(views):  # one looks along x, the next along y
        yaw = index * math.pi / 2
        lidar = torch.tensor([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        camera = torch.tensor([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = (camera @ lidar).double()
        pose[:3, 3] = torch.tensor([0.1, 0.2, -0.3])
        poses.append(pose)
    low, high = torch.tensor([-12.0, -12, -2, 0]), torch.tensor([12.0, 12, 2, 1])
    xyz = low + torch.rand(points, 4, generator=generator) * (high - low)
    images = torch.rand(views, 3, 32, 64, generator=generator)
    return Frame(xyz, images, intrinsics, torch.stack(poses), token=str(seed))


def outer_product(context: Tensor, odds: Tensor, cells: Tensor, wanted: Tensor) -> Tensor:
    """The plain form: every depth bin of every pixel times its context, added to its cell."""
    volume = odds[:, :, None] * context[:, None]  # (V, D, C, h, w)
    rows = volume.permute(0, 1, 3, 4, 2).reshape(-1, context.shape[1])
    found = [rows[cells.flatten() == cell].sum(0) for cell in wanted.tolist()]
    return torch.stack(found) if found else context.new_zeros(0, context.shape[1])


def drawn(batch: Batch, ground: Ground) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    views = len(batch.images)
    context = torch.randn(views, 5, 4, 8, generator=generator, dtype=torch.float64)
    odds = torch.randn(views, BINS.count, 4, 8, generator=generator, dtype=torch.float64).softmax(1)
    return context, odds, frustum_cells(batch, ground, BINS, (4, 8))


def test_the_lift_equals_the_outer_product_with_its_gradients():
    ground = Ground(extent=12.8, cell=1.6)
    context, odds, cells = drawn(collate([scene(0), scene(1)]), ground)
    wanted = torch.unique(cells)[1::2].contiguous()  # some of the cells, and the last of both frames among them
    assert len(wanted) > 10
    for value in (context, odds):
        value.requires_grad_()
    found, expected = lift(context, odds, cells, wanted), outer_product(context, odds, cells, wanted)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    weights = torch.randn(found.shape, dtype=torch.float64)
    for got, want in zip(
        torch.autograd.grad((found * weights).sum(), [context, odds]),
        torch.autograd.grad((expected * weights).sum(), [context, odds]),
        strict=True,
    ):
        torch.testing.assert_close(got, want, atol=1e-12, rtol=0)


def test_cells_that_no_pixel_sees_are_zero_and_no_cell_at_all_is_empty():
    ground = Ground(extent=12.8, cell=1.6)
    context, odds, cells = drawn(collate([scene()]), ground)
    unseen = torch.tensor([c for c in range(ground.across**2) if not bool((cells == c).any())][:3])
    assert torch.equal(lift(context, odds, cells, unseen), torch.zeros(3, 5, dtype=torch.float64))
    assert lift(context, odds, cells, unseen[:0]).shape == (0, 5)


def test_cells_by_hand():
    ground = Ground()
    assert ground.across == 256
    points = torch.tensor([[-51.2, -51.2, 0], [51.1, 51.1, 0], [51.2, 0, 0], [0, 0, 3.0], [0, 0, -5.0], [0.0, 0.41, 0]])
    assert ground.cells(points, torch.tensor([0, 0, 0, 0, 0, 1])).tolist() == [
        0, 256 * 256 - 1, -1, -1, 128 * 256 + 128, 256 * 256 + 128 * 256 + 129,
    ]  # fmt: skip


def augmented(frame: Frame) -> Frame:
    rng = np.random.default_rng(3)
    frame = move_points(frame, rotation(rng) @ scaling(rng, 0.9, 1.1) @ mirroring(rng))
    frame = crop_resize(frame, rng, (32, 64), (0.5, 0.9), (1.2, 1.8))
    return flip_image(frame, rng, 1.0)


@pytest.mark.parametrize("change", [lambda frame: frame, augmented])
def test_a_pixel_and_its_depth_fall_into_the_cell_of_the_point_they_show(change):
    """Rotation, flip and scale of points, crop and flip of images: the frustum goes with them."""
    frame = change(scene())
    batch = collate([frame])
    ground = Ground(extent=25.6, cell=0.8, low=-100, high=100)
    cells = frustum_cells(batch, ground, BINS, (32, 64))  # a cell of the map for every pixel
    for depth in range(BINS.count):
        # the point in the middle of a pixel, where the bin begins: found by projecting many candidates
        view, row, column = 1, 20, 7
        xyz = _unprojected(batch, view, column + 0.5, row + 0.5, BINS.nearest + depth * BINS.width)
        pixel, z = project(xyz[None], batch.intrinsics[view : view + 1], batch.cam_from_lidar[view : view + 1])
        torch.testing.assert_close(pixel[0, 0], torch.tensor([column + 0.5, row + 0.5]).to(pixel), atol=1e-9, rtol=0)
        assert z[0, 0].item() == pytest.approx(BINS.nearest + depth * BINS.width)
        assert cells[view, depth, row, column] == ground.cells(xyz, torch.tensor(0))


def _unprojected(batch: Batch, view: int, u: float, v: float, depth: float) -> Tensor:
    ray = torch.linalg.solve(batch.intrinsics[view], torch.tensor([u, v, 1.0], dtype=torch.float64)) * depth
    return torch.linalg.solve(batch.cam_from_lidar[view], torch.cat([ray, ray.new_ones(1)]))[:3]


def test_heads_give_odds_that_sum_to_one_and_know_the_camera():
    torch.manual_seed(0)
    batch = collate([scene()])
    heads = CameraHeads(6, 5, BINS.count, 16)
    maps = torch.randn(1, 6, 4, 8).expand(2, -1, -1, -1)
    context, odds = heads(maps, batch)
    assert context.shape == (2, 5, 4, 8)
    torch.testing.assert_close(odds.sum(1), torch.ones(2, 4, 8))
    assert not torch.allclose(context[0], context[1])  # the same image, seen by two cameras


def test_the_camera_is_told_by_what_does_not_depend_on_the_images_size():
    frame = scene()
    twice = Frame(
        frame.points,
        torch.rand(2, 3, 64, 128),
        torch.tensor([2.0, 2, 1]).double()[:, None] * frame.intrinsics,
        frame.cam_from_lidar,
        token="twice",
    )
    torch.testing.assert_close(camera_vector(collate([frame])), camera_vector(collate([twice])))


def test_every_point_counts_at_whatever_height_it_lies_alone():
    torch.manual_seed(0)
    ground = Ground(extent=12.8, cell=0.8)
    heights = torch.linspace(ground.low, ground.high, 256)  # in columns of their own
    heights[-1] = torch.nextafter(torch.tensor(ground.high), torch.tensor(0.0))
    across = torch.arange(16) * 1.6 - 12.4
    x, y = torch.meshgrid(across, across, indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), heights, torch.zeros(256)], dim=1)
    batch = collate([Frame(points, torch.rand(0, 3, 8, 8), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4))])
    net = GroundPoints(6, ground).eval()  # in training, statistics over all points would spread gradients
    features = torch.randn(256, 6, requires_grad=True)
    rows, cells = net(features, batch)
    assert torch.equal(cells, ground.cells(points[:, :3], batch.point_frame))
    rows.square().sum().backward()
    assert bool((features.grad.abs().sum(1) > 0).all())


def test_points_are_brought_down_to_cells_once_each():
    torch.manual_seed(0)
    ground = Ground(extent=12.8, cell=0.8)
    batch = collate([scene(0), scene(1)])
    net = GroundPoints(6, ground)
    features = torch.randn(len(batch.points), 6, requires_grad=True)
    rows, cells = net(features, batch)
    expected = torch.unique(ground.cells(batch.points[:, :3], batch.point_frame))
    assert torch.equal(cells, expected[expected >= 0])  # those that hold a point, though heights differ
    assert rows.shape == (len(cells), 6)
    rows.square().sum().backward()
    inside = ground.cells(batch.points[:, :3], batch.point_frame) >= 0
    assert bool((features.grad[inside].abs().sum(1) > 0).all())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
