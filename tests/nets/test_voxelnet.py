"""VoxelNet: its map against spconv's layers, its read-out against loops, and points that it cannot see."""

import importlib.util
import math

import pytest
import torch
from torch import Tensor

from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.sparse import Grid, SparseTensor, read_bev, to_bev, voxelise
from lidar2d.nets.sparse.keys import pack
from lidar2d.nets.sparse.layouts import lay_out
from lidar2d.nets.voxelnet import LOW, SHAPE, VOXEL, VoxelNet


def frame(points: Tensor, token: str) -> Frame:
    return Frame(points, torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4), token=token)


def sweep(count: int = 400, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor([-8.0, -8, -3, 0]), torch.tensor([8.0, 8, 1, 1])
    return low + torch.rand(count, 4, generator=generator) * (high - low)


def two() -> Batch:
    return collate([frame(sweep(), "a"), frame(sweep(100, 1), "b")])


def test_a_dense_map_has_every_voxel_in_its_cell():
    coordinates = torch.tensor([[0, 2, 4, 0], [0, 2, 4, 2], [1, 6, 0, 4]])
    grid = Grid(pack(coordinates), (2, 2, 2), (4, 3, 3))
    features = torch.arange(6.0).view(3, 2)
    bev = to_bev(SparseTensor(features, grid), 2)
    assert bev.shape == (2, 2 * 3, 3, 4)
    wanted = torch.zeros_like(bev)
    for (b, x, y, z), row in zip(coordinates.tolist(), features.tolist(), strict=True):
        for channel, value in enumerate(row):
            wanted[b, channel * 3 + z // 2, y // 2, x // 2] = value
    assert torch.equal(bev, wanted)


def test_a_map_without_a_border_is_refused():
    grid = Grid(pack(torch.zeros(1, 4, dtype=torch.int64)))
    with pytest.raises(ValueError, match="border"):
        to_bev(SparseTensor(torch.ones(1, 1), grid), 1)


def test_reading_a_map_equals_a_loop():
    generator = torch.Generator().manual_seed(0)
    bev = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    which = torch.randint(2, (50,), generator=generator)
    places = torch.rand(50, 2, generator=generator, dtype=torch.float64) * torch.tensor([6.0, 5.0]) - 0.5
    got = read_bev(bev, which, places)
    for b, (x, y), row in zip(which.tolist(), places.tolist(), got, strict=True):
        x, y = min(max(x, 0), 4), min(max(y, 0), 3)
        wanted = torch.zeros(3, dtype=torch.float64)
        for i in (math.floor(x), math.floor(x) + 1):
            for j in (math.floor(y), math.floor(y) + 1):
                weight = max(0.0, 1 - abs(x - i)) * max(0.0, 1 - abs(y - j))
                wanted += weight * bev[b, :, min(j, 3), min(i, 4)]
        torch.testing.assert_close(row, wanted)


def test_the_map_has_128_cells_a_side_and_the_heights_end_as_one():
    bev = VoxelNet(16).bev(two())
    assert bev.shape == (2, 16, 128, 128)
    lengths = bev.norm(dim=1)
    assert torch.allclose(lengths[lengths > 0], torch.ones(()), atol=1e-5)


def test_a_point_reads_what_stands_around_it_and_no_other_frame():
    net = VoxelNet(8).eval()
    alone = net(collate([frame(sweep(), "a")]))
    torch.testing.assert_close(net(two())[: len(alone)], alone)
    rows = torch.tensor([3, 450, 7])
    torch.testing.assert_close(net(two(), rows), net(two())[rows])


def test_points_that_are_not_seen_read_zero_and_change_nothing():
    net, points = VoxelNet(8).eval(), sweep()
    strange = torch.tensor([[60.0, 0, 0, 0], [0, 0, 4, 0], [0, 0, -5.01, 0], [50, 50, 0, 0], [51.2, 0, 0, 0]])
    assert net.sees(torch.cat([points, strange])).tolist() == [True] * len(points) + [False] * len(strange)
    got = net(collate([frame(torch.cat([points, strange]), "a")]))
    torch.testing.assert_close(got[: len(points)], net(collate([frame(points, "a")])))
    assert not got[len(points) :].any()


def test_no_point_at_all_is_no_error():
    assert VoxelNet(8)(collate([frame(torch.zeros(0, 4), "a")])).shape == (0, 8)


def test_only_a_voxels_first_points_enter_its_mean():
    positions = torch.tensor([[0.5, 0.5, 0.5]] * 4 + [[1.5, 0.5, 0.5]])
    voxels = voxelise(positions, torch.zeros(5, dtype=torch.int64), (1.0, 1.0, 1.0))
    values = torch.tensor([[1.0], [2.0], [30.0], [40.0], [5.0]])
    assert voxels.mean(values, 2)[:, 0].tolist() == [1.5, 5.0]
    assert voxels.mean(values)[:, 0].tolist() == [18.25, 5.0]


def test_names_are_those_of_released_weights():
    names = set(VoxelNet().state_dict())
    assert {"conv_input.0.kernel", "conv1.0.0.kernel", "conv4.2.1.running_var", "conv_out.0.kernel"} <= names


@pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="spconv is not installed here")
def test_the_map_is_that_of_spconvs_layers():
    import spconv.pytorch as spconv

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, spconv's CPU build is wrong
    try:
        net = VoxelNet().eval()
        batch = two()
        voxels = voxelise(batch.points[:, :3] - torch.tensor(LOW), batch.point_frame, VOXEL, SHAPE)
        values = torch.cat([batch.points[:, :3], batch.points[:, 3:4] * 255], dim=1)
        indices = voxels.grid.coordinates[:, [0, 3, 2, 1]].int().contiguous()
        x = spconv.SparseConvTensor(voxels.mean(values, 10), indices, list(SHAPE[::-1]), 2)
        blocks = [net.conv_input, *net.conv1, *net.conv2, *net.conv3, *net.conv4, net.conv_out]
        for block in blocks:
            conv, norm = block
            size = conv.geometry.size[::-1]
            out = conv.kernel.shape[2]
            settings = {"bias": False, "algo": spconv.ConvAlgo.Native}
            if hasattr(conv, "spread"):
                settings |= {"stride": conv.geometry.stride[::-1], "padding": conv.geometry.padding[::-1]}
                theirs = spconv.SparseConv3d(conv.kernel.shape[1], out, size, **settings)
            else:
                theirs = spconv.SubMConv3d(conv.kernel.shape[1], out, size, **settings)
            theirs.weight.data = lay_out(conv.kernel.detach(), conv.geometry.size, "spconv")
            with torch.no_grad():
                x = theirs(x)
                x = x.replace_feature(torch.relu(norm(x.features)))
        with torch.no_grad():
            final = spconv.SparseConv3d(128, 64, 1, bias=False, algo=spconv.ConvAlgo.Native)
            final.weight.data = lay_out(net.final.kernel.detach(), (1, 1, 1), "spconv")
            x = final(x)
            x = x.replace_feature(torch.nn.functional.normalize(x.features, dim=1))
            wanted = x.dense().flatten(1, 2)
            torch.testing.assert_close(net.bev(batch), wanted, atol=1e-4, rtol=1e-4)
    finally:
        torch.set_num_threads(threads)
