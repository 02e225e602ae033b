"""The same step twice is the same to the last bit: features, gradients and what the norms remember."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.nets.waffleiron import WaffleIron


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=[False, True], ids=["as it is", "deterministic mode"])
def strict(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Deterministic mode refuses what is not, and fills memory that nobody has written with NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(request.param)
    yield request.param
    torch.use_deterministic_algorithms(before)


def sweeps() -> Batch:
    """Two frames with voxels enough to be shared among threads, and many points on some of them."""
    generator = torch.Generator().manual_seed(0)
    frames = []
    for count in (3000, 2000):
        points = (torch.rand(count, 4, generator=generator) - torch.tensor([0.5, 0.5, 0.5, 0])) * 12
        points[:, 2] /= 6
        points[: count // 4, :3] *= 0.05
        points[:, 3] /= 12
        frames.append(Frame(points, torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)))
    return collate(frames)


def step(make: Callable[[], PointEncoder]) -> dict[str, Tensor]:
    """A forward and a backward pass of a network that is made anew, so that nothing is kept; rows come repeatedly."""
    torch.manual_seed(0)
    net, batch = make(), sweeps()
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(len(batch.points), (20000,), generator=generator) // torch.tensor([1, 50]).repeat(10000)
    features = net(batch, rows)
    (features * torch.randn(features.shape, generator=generator)).sum().backward()
    return {"features": features.detach(), **dict(net.named_buffers())} | {
        f"gradient of {key}": parameter.grad for key, parameter in net.named_parameters()
    }


@pytest.mark.usefixtures("threads", "strict")
@pytest.mark.parametrize(
    "make",
    [
        MinkUNet,
        lambda: MinkUNet(stem_width=5, cylindrical=False, voxel_size=0.2),
        lambda: VoxelNet(16),
        lambda: WaffleIron(16, 16, 3),
        lambda: RangeView(16, 8, columns=64),
    ],
    ids=["MinkUNet", "MinkUNet, Cartesian", "VoxelNet", "WaffleIron", "RangeView"],
)
def test_the_same_step_twice_is_the_same_to_the_last_bit(make):
    first, second = step(make), step(make)
    assert first["features"].isfinite().all()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    assert all(value.any() for key, value in first.items() if key.startswith("gradient"))
