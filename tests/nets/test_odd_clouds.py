"""Clouds that no street shows, through every point encoder: a right answer or an error that says what is wrong."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.nets.waffleiron import WaffleIron

KM = 1000.0
NETS: dict[str, Callable[[], PointEncoder]] = {
    "MinkUNet": lambda: MinkUNet(8, planes=(8,) * 8, stem=8),
    "MinkUNet, Cartesian, as deep as 34C": lambda: MinkUNet(
        8, 4, (4, 4, 8, 8, 8, 8, 4, 4), (2, 3, 4, 6, 2, 2, 2, 2), cylindrical=False
    ),
    "VoxelNet": lambda: VoxelNet(8),
    "WaffleIron": lambda: WaffleIron(8, 16, 3),
    "RangeView": lambda: RangeView(8, 8, columns=64, hidden=16),
}


def scattered(count: int, extent: float, seed: int = 0) -> Tensor:
    """Points around the sensor, intensities in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 4, generator=generator) - torch.tensor([0.5, 0.5, 0.5, 0])) * torch.tensor(
        [extent, extent, min(extent, 4), 1]
    )


def corners(distance: float) -> Tensor:
    """The eight corners of a cube around the sensor."""
    return torch.cat([torch.cartesian_prod(*(torch.tensor([-distance, distance]),) * 3), torch.full((8, 1), 0.5)], 1)


HANDLED = {
    "no point": torch.zeros(0, 4),
    "one point": torch.tensor([[9.0, -3.0, -1.0, 0.3]]),
    "all in one voxel": torch.tensor([10.05, 0.05, 0.05, 0.5]) + 0.02 * scattered(40, 1),
    "all at the sensor": torch.zeros(5, 4),
    "all on both sides of the seam": torch.tensor([[-8.0, 0.0, 0, 1], [-8.0, -0.0, 0, 1], [-8.0, -1e-9, 0, 1]]),
    "every point three times": scattered(30, 20).repeat(3, 1),
    "at a kilometre": torch.cat([scattered(20, 20), corners(KM)]),
}
ORDINARY = scattered(200, 30, seed=1)


def batch(*clouds: Tensor) -> Batch:
    none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
    return collate([Frame(cloud, *none, token=f"frame-{index}") for index, cloud in enumerate(clouds)])


def made(name: str) -> PointEncoder:
    torch.manual_seed(0)
    return NETS[name]()


def learns(net: PointEncoder, scene: Batch, rows: Tensor | None = None) -> Tensor:
    """Features after a step forward and back; nothing on the way may be infinite, statistics of norms included."""
    net.zero_grad()
    features = net(scene, rows)
    assert features.shape == (len(scene.points) if rows is None else len(rows), net.channels)
    features.square().sum().backward()
    assert features.isfinite().all()
    for key, value in net.state_dict().items():
        assert value.isfinite().all(), key
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    return features.detach()


@pytest.mark.parametrize("cloud", HANDLED)
@pytest.mark.parametrize("name", NETS)
def test_an_odd_cloud_alone_has_features_and_gradients(name, cloud):
    net, scene = made(name), batch(HANDLED[cloud])
    rows = torch.arange(len(scene.points)).flip(0)[::2]
    for training in (True, False):
        net.train(training)
        every = learns(net, scene)
        picked = learns(net, scene, rows)
        assert learns(net, scene, rows[:0]).shape == (0, 8)
        torch.testing.assert_close(picked, every[rows], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cloud", HANDLED)
@pytest.mark.parametrize("name", NETS)
def test_an_odd_cloud_and_an_ordinary_one_share_a_batch(name, cloud):
    net, odd = made(name), HANDLED[cloud]
    learns(net, batch(odd, ORDINARY))
    net.eval()
    wanted = torch.cat([net(batch(odd)), net(batch(ORDINARY))])
    scene = batch(odd, ORDINARY)
    torch.testing.assert_close(learns(net, scene), wanted, atol=1e-5, rtol=1e-5)
    rows = torch.randperm(len(scene.points), generator=torch.Generator().manual_seed(0))[:50]
    torch.testing.assert_close(learns(net, scene, rows), wanted[rows], atol=1e-5, rtol=1e-5)
    # the odd one last, and in the middle
    found = net(batch(ORDINARY, odd, ORDINARY))
    ordinary, alone = wanted[len(odd) :], wanted[: len(odd)]
    torch.testing.assert_close(found, torch.cat([ordinary, alone, ordinary]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETS)
def test_points_on_one_another_have_one_feature(name, training):
    features = made(name).train(training)(batch(HANDLED["every point three times"])).detach()
    first, second, third = features.split(30)
    torch.testing.assert_close(second, first, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(third, first, atol=1e-6, rtol=1e-5)
    assert first.std(0).max() > 1e-3


@pytest.mark.parametrize("name", NETS)
def test_points_at_32_kilometres_have_features_or_an_error_that_names_their_place(name):
    net, scene = made(name), batch(ORDINARY, torch.cat([ORDINARY, corners(32 * KM)]))
    if isinstance(net, MinkUNet):
        with pytest.raises(UsageError, match=r"(?s)32000.*frame 1.*130048 voxels.*voxel_size"):
            net(scene)
        return
    learns(net, scene)
    net.eval()
    torch.testing.assert_close(learns(net, scene)[:200], net(batch(ORDINARY)), atol=1e-5, rtol=1e-5)


def test_larger_voxels_reach_32_kilometres():
    for cylindrical in (True, False):
        net = MinkUNet(8, voxel_size=0.5, cylindrical=cylindrical)
        learns(net, batch(ORDINARY, torch.cat([ORDINARY, corners(32 * KM)])))


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_never_reach_a_network(value, column):
    cloud = ORDINARY.clone()
    cloud[7, column] = value
    with pytest.raises(DataError, match="frame-1: 1 of 200 points"):
        batch(ORDINARY, cloud)
