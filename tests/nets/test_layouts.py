"""Kernels of other libraries: there and back is the identity, and a kernel means the same where it went."""

import pytest
import torch
import torch.nn.functional as F

from lidar2d.nets.sparse import Kernel, PointwiseConv, SparseTensor, StridedConv, SubmanifoldConv, voxelise
from lidar2d.nets.sparse.layouts import ALL, kernels, lay_out, layouts_of, restore

SIZES = [(3, 3, 3), (2, 2, 2), (2, 2, 8), (1, 1, 3), (5, 3, 1), (1, 1, 1)]


@pytest.mark.parametrize("layout", ALL)
@pytest.mark.parametrize("size", SIZES)
def test_there_and_back_is_the_identity(layout, size):
    count = size[0] * size[1] * size[2]
    kernel = torch.randn(count, 4, 6) if count > 1 else torch.randn(4, 6)
    there = lay_out(kernel, size, layout)
    assert layout in layouts_of(tuple(there.shape), tuple(kernel.shape), size)
    assert torch.equal(restore(there, tuple(kernel.shape), layout), kernel)


def test_shapes_tell_layouts_apart():
    assert layouts_of((27, 4, 6), (27, 4, 6), (3, 3, 3)) == {"minkowski"}
    assert layouts_of((6, 3, 3, 3, 4), (27, 4, 6), (3, 3, 3)) == {"spconv"}
    assert layouts_of((3, 3, 3, 4, 6), (27, 4, 6), (3, 3, 3)) == {"spconv-1"}
    assert layouts_of((3, 3, 3, 6, 4), (27, 4, 6), (3, 3, 3)) == {"spconv-native"}
    assert layouts_of((3, 3, 3, 6, 6), (27, 6, 6), (3, 3, 3)) == {"spconv-1", "spconv-native"}
    assert layouts_of((6, 8, 2, 2, 4), (32, 4, 6), (2, 2, 8)) == {"spconv"}  # along z, y, x
    assert layouts_of((6, 2, 2, 8, 4), (32, 4, 6), (2, 2, 8)) == set()


@pytest.mark.parametrize("layout", [layout for layout in ALL if layout != "minkowski"])
def test_spconv_multiplies_by_the_numbers_of_a_matrix_in_their_order_whatever_shape_it_declares(layout):
    kernel = torch.randn(4, 6)
    weight = lay_out(kernel, (1, 1, 1), layout)
    assert weight.shape == {"spconv": (6, 1, 1, 1, 4), "spconv-1": (1, 1, 1, 4, 6)}.get(layout, (1, 1, 1, 6, 4))
    assert torch.equal(weight.view(4, 6), kernel)  # what its layers do with it
    assert torch.equal(restore(weight, (4, 6), layout), kernel)


def test_spconvs_kernel_is_that_of_a_dense_convolution_over_z_y_x():
    """Of spconv 2: (C_out, z, y, x, C_in), a cross-correlation, as torch's with its axes so turned."""
    torch.manual_seed(0)
    conv = SubmanifoldConv(3, 4, (3, 5, 1)).double()
    places = torch.cartesian_prod(*(torch.arange(6),) * 3)
    places = places[torch.rand(len(places)) < 0.3]
    voxels = voxelise(places.double() + 0.5, torch.zeros(len(places), dtype=torch.int64), (1.0, 1.0, 1.0))
    features = torch.randn(len(places), 3, dtype=torch.float64)
    x, y, z = voxels.grid.coordinates[:, 1:].unbind(1)
    volume = torch.zeros(1, 3, 6, 6, 6, dtype=torch.float64)
    volume[0, :, z, y, x] = features.T
    weight = lay_out(conv.kernel.detach(), conv.geometry.size, "spconv")
    assert weight.shape == (4, 1, 5, 3, 3)
    dense = F.conv3d(volume, weight.permute(0, 4, 1, 2, 3), padding=(0, 2, 1))
    found = conv(SparseTensor(features, voxels.grid)).features
    torch.testing.assert_close(found, dense[0, :, z, y, x].T, atol=1e-12, rtol=0)


def test_a_networks_kernels_are_found_with_their_sizes():
    net = torch.nn.Sequential(
        SubmanifoldConv(1, 2),
        StridedConv(2, 2, Kernel((1, 1, 3), (1, 1, 2))),
        PointwiseConv(2, 3),
        torch.nn.Linear(3, 3),
    )
    assert kernels(net) == {"0.kernel": (3, 3, 3), "1.kernel": (1, 1, 3), "2.kernel": (1, 1, 1)}
