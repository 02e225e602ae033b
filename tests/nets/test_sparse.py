"""The sparse convolutions against a dictionary of voxels and against dense convolution, in float64."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.nets.sparse import (
    DownConv,
    Grid,
    PointwiseConv,
    SparseTensor,
    SubmanifoldConv,
    UpConv,
    cylindrical,
    voxelise,
)
from lidar2d.nets.sparse.keys import LIMIT, pack, unpack

Voxel = tuple[int, int, int, int]


def random_voxels(seed: int = 0, frames: int = 2, extent: int = 5, share: float = 0.3) -> Tensor:
    """Coordinates (M, 4) of voxels in a cube around the origin, negative ones too, in random order."""
    generator = torch.Generator().manual_seed(seed)
    cube = torch.cartesian_prod(torch.arange(frames), *(torch.arange(-extent, extent + 1),) * 3)
    chosen = cube[torch.rand(len(cube), generator=generator) < share]
    return chosen[torch.randperm(len(chosen), generator=generator)]


def grid(coordinates: Tensor) -> Grid:
    return Grid(pack(coordinates).sort().values)


def random_input(channels: int, seed: int = 0) -> SparseTensor:
    voxels = grid(random_voxels(seed))
    generator = torch.Generator().manual_seed(seed + 100)
    features = torch.randn(len(voxels), channels, dtype=torch.float64, generator=generator)
    return SparseTensor(features.requires_grad_(), voxels)


def as_dict(x: SparseTensor) -> dict[Voxel, Tensor]:
    return {tuple(place): row for place, row in zip(x.grid.coordinates.tolist(), x.features, strict=True)}


def offsets(width: int) -> list[tuple[int, int, int]]:
    """Of a kernel, in the order of MinkowskiEngine: the first axis fastest; odd widths centred."""
    start = -(width // 2) if width % 2 else 0
    reach = range(start, start + width)
    return [(a, b, c) for c, b, a in itertools.product(reach, reach, reach)]


def naive(sources: dict[Voxel, Tensor], targets: list[Voxel], kernel: Tensor, stride: int) -> Tensor:
    """out(u) = sum_k in(u + offset_k * stride) @ kernel[k], one voxel and one offset at a time."""
    width = round(len(kernel) ** (1 / 3))
    rows = []
    for frame, a, b, c in targets:
        row = torch.zeros(kernel.shape[2], dtype=torch.float64)
        for k, (da, db, dc) in enumerate(offsets(width)):
            found = sources.get((frame, a + da * stride, b + db * stride, c + dc * stride))
            if found is not None:
                row = row + found @ kernel[k]
        rows.append(row)
    return torch.stack(rows)


def naive_up(coarse: dict[Voxel, Tensor], targets: list[Voxel], kernel: Tensor, fine_stride: int) -> Tensor:
    rows = []
    for frame, *place in targets:
        for k, offset in enumerate(offsets(2)):
            origin = [p - o * fine_stride for p, o in zip(place, offset, strict=True)]
            if all(p % (2 * fine_stride) == 0 for p in origin):
                rows.append(coarse[(frame, *origin)] @ kernel[k])
    assert len(rows) == len(targets)
    return torch.stack(rows)


def places(of: Grid) -> list[Voxel]:
    return [tuple(place) for place in of.coordinates.tolist()]


def agree(layer: torch.nn.Module, got: Tensor, expected: Tensor, x: SparseTensor) -> None:
    """Compare values, and gradients towards features and kernel, in float64."""
    torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)
    seed = torch.randn(got.shape, dtype=got.dtype, generator=torch.Generator().manual_seed(9))
    wanted = [x.features, *layer.parameters()]
    for a, b in zip(torch.autograd.grad(got, wanted, seed), torch.autograd.grad(expected, wanted, seed), strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_a_submanifold_convolution_equals_a_loop(width):
    x = random_input(3)
    layer = SubmanifoldConv(3, 4, width, bias=True).double()
    expected = naive(as_dict(x), places(x.grid), layer.kernel, 1) + layer.bias
    agree(layer, layer(x).features, expected, x)


def test_the_way_down_and_up_equals_a_loop_at_every_stride():
    x = random_input(2)
    for stride in (1, 2, 4):
        down, wide, up = DownConv(2, 3).double(), SubmanifoldConv(3, 3).double(), UpConv(3, 2, bias=True).double()
        low = down(x)
        expected_places = {(f, *(math.floor(p / (2 * stride)) * 2 * stride for p in q)) for f, *q in places(x.grid)}
        assert set(places(low.grid)) == expected_places
        assert low.grid.stride == 2 * stride
        agree(down, low.features, naive(as_dict(x), places(low.grid), down.kernel, stride), x)
        agree(wide, wide(low).features, naive(as_dict(low), places(low.grid), wide.kernel, 2 * stride), low)
        back = up(low, x.grid)
        assert back.grid is x.grid
        agree(up, back.features, naive_up(as_dict(low), places(x.grid), up.kernel, stride) + up.bias, low)
        x = SparseTensor(torch.randn(len(low.grid), 2, dtype=torch.float64).requires_grad_(), low.grid)


def dense(x: SparseTensor, low: int, size: int) -> Tensor:
    frames = int(x.grid.coordinates[:, 0].max()) + 1
    volume = x.features.new_zeros(frames, size, size, size, x.features.shape[1])
    frame, a, b, c = x.grid.coordinates.unbind(1)
    volume[frame, c - low, b - low, a - low] = x.features
    return volume.permute(0, 4, 1, 2, 3)  # frame, channel, then the axes from last to first


@pytest.mark.parametrize("width", [3, 5])
def test_a_submanifold_convolution_equals_conv3d(width):
    x = random_input(3)
    layer = SubmanifoldConv(3, 4, width).double()
    kernel = layer.kernel.view(width, width, width, 3, 4).permute(4, 3, 0, 1, 2)
    volume = F.conv3d(dense(x, -5, 11), kernel, padding=width // 2)
    frame, a, b, c = x.grid.coordinates.unbind(1)
    agree(layer, layer(x).features, volume[frame, :, c + 5, b + 5, a + 5], x)


def test_strided_convolutions_equal_conv3d_and_its_transpose():
    x = random_input(3)
    down, up = DownConv(3, 4).double(), UpConv(4, 2).double()
    low = down(x)
    volume = F.conv3d(dense(x, -6, 12), down.kernel.view(2, 2, 2, 3, 4).permute(4, 3, 0, 1, 2), stride=2)
    frame, a, b, c = low.grid.coordinates.unbind(1)
    agree(down, low.features, volume[frame, :, (c + 6) // 2, (b + 6) // 2, (a + 6) // 2], x)

    low = low.replace(low.features.detach().requires_grad_())
    back = up(low, x.grid)
    halves = SparseTensor(low.features, Grid(pack(torch.cat([frame[:, None], low.grid.coordinates[:, 1:] // 2], 1))))
    kernel = up.kernel.view(2, 2, 2, 4, 2).permute(3, 4, 0, 1, 2)
    volume = F.conv_transpose3d(dense(halves, -3, 6), kernel, stride=2)
    frame, a, b, c = x.grid.coordinates.unbind(1)
    agree(up, back.features, volume[frame, :, c + 6, b + 6, a + 6], low)


def test_gradients_pass_gradcheck():
    voxels = grid(random_voxels(extent=1, frames=1, share=0.7))
    features = torch.randn(len(voxels), 2, dtype=torch.float64, requires_grad=True)
    for layer in (SubmanifoldConv(2, 2).double(), DownConv(2, 2).double(), PointwiseConv(2, 2, bias=True).double()):
        kernel = layer.kernel.detach().clone().requires_grad_()

        def apply(features: Tensor, kernel: Tensor, layer: torch.nn.Module = layer) -> Tensor:
            out = torch.func.functional_call(layer, {"kernel": kernel}, (SparseTensor(features, voxels),))
            return out.features

        assert torch.autograd.gradcheck(apply, (features, kernel))


def test_single_precision_is_exact_to_1e_6_and_gradients_to_1e_5():
    x = random_input(16)
    layer = SubmanifoldConv(16, 8).double()
    expected = layer(x).features
    wanted = torch.autograd.grad(expected.sum(), [x.features, layer.kernel])
    x = x.replace(x.features.detach().float().requires_grad_())
    layer = layer.float()
    got = layer(x).features
    scale = expected.abs().max()
    assert (got.double() - expected).abs().max() / scale < 1e-6
    for a, b in zip(torch.autograd.grad(got.sum(), [x.features, layer.kernel]), wanted, strict=True):
        assert (a.double() - b).abs().max() / b.abs().max() < 1e-5


@pytest.mark.parametrize("width", [2, 3])
def test_offsets_are_numbered_with_the_first_axis_fastest(width):
    """One source voxel, a kernel whose k-th matrix is the number k: each target reads the offset's number."""
    start = -(width // 2) if width % 2 else 0
    for k in range(width**3):
        a, b, c = (start + k // width**axis % width for axis in range(3))
        voxels = grid(torch.tensor([[0, 0, 0, 0], [0, a, b, c]]).unique(dim=0))
        source = (voxels.coordinates == torch.tensor([0, a, b, c])).all(1).double()[:, None]
        layer = (SubmanifoldConv(1, 1, width) if width % 2 else DownConv(1, 1)).double()
        layer.kernel.data = torch.arange(1, width**3 + 1, dtype=torch.float64).view(-1, 1, 1)
        out = layer(SparseTensor(source, voxels))
        at_origin = (out.grid.coordinates == 0).all(1)
        assert out.features[at_origin].item() == k + 1


def test_voxels_of_different_frames_are_no_neighbours():
    voxels = grid(torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 1]]))
    layer = SubmanifoldConv(1, 1, 5).double()
    layer.kernel.data.fill_(1)
    out = layer(SparseTensor(torch.tensor([[1.0], [10.0], [100.0]]).double(), voxels))
    assert out.features[:, 0].tolist() == [1, 110, 110]


def test_neighbours_at_the_limit_do_not_wrap_to_the_next_axis():
    edge = LIMIT - 1
    voxels = grid(torch.tensor([[0, 0, 0, edge], [0, 0, 1, -edge], [0, 0, edge, 0], [0, 1, -edge, 0]]))
    assert voxels.neighbours(5).counts == (0,) * 125
    assert torch.equal(unpack(voxels.keys), voxels.coordinates)


def test_layers_share_the_maps_of_a_grid():
    x = random_input(2)
    assert x.grid.neighbours(3) is x.grid.neighbours(3)
    assert DownConv(2, 2).double()(x).grid is DownConv(2, 2).double()(x).grid


def test_going_up_onto_a_strange_grid_is_refused():
    x, other = random_input(2), random_input(2, seed=1)
    with pytest.raises(ValueError, match="not the one"):
        UpConv(2, 2).double()(DownConv(2, 2).double()(x), other.grid)


def test_even_submanifold_kernels_are_refused():
    with pytest.raises(ValueError, match="odd"):
        SubmanifoldConv(2, 2, 4).double()(random_input(2))


def test_kernels_begin_uniform_with_the_right_bound():
    for layer, bound in ((SubmanifoldConv(8, 16), 1 / math.sqrt(8 * 27)), (PointwiseConv(64, 96, True), 1 / 8)):
        kernel = layer.kernel.detach()
        assert 0.95 * bound < kernel.abs().max() <= bound
        assert kernel.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_no_voxel_is_no_error():
    x = SparseTensor(torch.zeros(0, 2), Grid(torch.zeros(0, dtype=torch.int64)))
    low = DownConv(2, 3)(SparseTensor(SubmanifoldConv(2, 2)(x).features, x.grid))
    assert UpConv(3, 4)(low, x.grid).features.shape == (0, 4)


def test_autocast_shortens_the_products_and_keeps_the_gradients_dtype():
    x = random_input(8)
    x = x.replace(x.features.detach().float().requires_grad_())
    layer = SubmanifoldConv(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x).features
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), layer(x).features, atol=0.05, rtol=0.02)
    out.float().sum().backward()
    assert x.features.grad.dtype == layer.kernel.grad.dtype == torch.float32


def points(count: int = 400) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    xyz = (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * 4
    return xyz, torch.randint(3, (count,), generator=generator).sort().values


def test_voxelising_equals_a_loop():
    xyz, frame = points()
    size = (0.5, 0.25, 1.0)
    voxels = voxelise(xyz, frame, size)
    members: dict[Voxel, list[int]] = {}
    for i, (f, place) in enumerate(zip(frame.tolist(), xyz.tolist(), strict=True)):
        members.setdefault((f, *(math.floor(p / s) for p, s in zip(place, size, strict=True))), []).append(i)
    assert sorted(members) == places(voxels.grid)
    values = torch.randn(len(xyz), 2, dtype=torch.float64)
    for voxel, place in enumerate(places(voxels.grid)):
        assert torch.nonzero(voxels.inverse == voxel)[:, 0].tolist() == members[place]
        assert torch.equal(voxels.of_first(values)[voxel], values[members[place][0]])
        torch.testing.assert_close(voxels.mean(values)[voxel], values[members[place]].mean(0))
    assert torch.equal(voxels.to_points(voxels.of_first(values)), values[voxels.first][voxels.inverse])


def test_negative_coordinates_are_rounded_down():
    voxels = voxelise(torch.tensor([[-0.05, 0.05, -0.15]]), torch.tensor([0]), (0.1, 0.1, 0.1))
    assert places(voxels.grid) == [(0, -1, 0, -2)]


def test_cylindrical_positions_are_metres_and_degrees():
    found = cylindrical(torch.tensor([[3.0, 4.0, 1.0], [0.0, -2.0, -1.0], [-1.0, 0.0, 0.0]]))
    expected = torch.tensor([[5, 53.130102, 1], [2, -90, -1], [1, 180, 0]])
    torch.testing.assert_close(found, expected)


def test_points_that_no_voxel_can_hold_are_refused():
    for bad in (math.nan, math.inf, 1e6):
        with pytest.raises(ValueError, match="finite"):
            voxelise(torch.tensor([[0.0, bad, 0.0]]), torch.tensor([0]), (0.1, 0.1, 0.1))
    with pytest.raises(ValueError, match="512 frames"):
        voxelise(torch.zeros(1, 3), torch.tensor([512]), (0.1, 0.1, 0.1))
