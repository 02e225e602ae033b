"""Every backend that is importable gives the numbers of the plain path; one that is not says what to do."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.sparse import Backend, Grid, Kernel, named
from lidar2d.nets.sparse.backends.torch import Plain, TorchBackend
from lidar2d.nets.sparse.grid import KernelMap
from lidar2d.nets.sparse.keys import pack
from lidar2d.nets.voxelnet import VoxelNet

HAS_SPCONV = importlib.util.find_spec("spconv") is not None
HAS_MINKOWSKI = importlib.util.find_spec("MinkowskiEngine") is not None
CENTRED = [
    Kernel.centred(3),
    Kernel.centred(5),
    Kernel.centred(3, dilation=2),
    Kernel.centred(2, 2),
    Kernel.centred(3, 2),
    Kernel.centred((3, 1, 5)),
    Kernel.centred((2, 1, 3), (2, 1, 3)),
]


def maps(geometry: Kernel) -> list[KernelMap]:
    generator = torch.Generator().manual_seed(0)
    places = torch.cartesian_prod(torch.arange(2), *(torch.arange(-4, 4),) * 3)
    grid = Grid(pack(places[torch.rand(len(places), generator=generator) < 0.4]).sort().values)
    if geometry.is_symmetric:
        found = [grid.onto(grid, geometry)]
    else:
        found = [grid.coarser(geometry, spread)[1] for spread in (False, True)]
    return [pairs for there in found for pairs in (there, there.turned)]


def tensors(pairs: KernelMap, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    sources = len(pairs.onto if pairs.is_turned else pairs.of)
    shapes = (sources, 8), (len(pairs.counts), 8, 16), (pairs.targets, 16)
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


@pytest.mark.skipif(not HAS_MINKOWSKI, reason="MinkowskiEngine is not built here")
@pytest.mark.parametrize("geometry", CENTRED, ids=str)
def test_minkowski_engine_agrees_in_value_and_gradients(geometry):
    for pairs in maps(geometry):
        features, kernel, seed = tensors(pairs, torch.float64)
        wanted = [features.requires_grad_(), kernel.requires_grad_()]
        results = []
        for backend in (named("minkowski"), TorchBackend()):
            out = backend.convolve(*wanted, pairs)
            results.append([out, *torch.autograd.grad(out, wanted, seed)])
        for got, expected in zip(*results, strict=True):
            torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.skipif(not HAS_MINKOWSKI, reason="MinkowskiEngine is not built here")
def test_minkowski_engine_says_which_kernels_it_lacks():
    geometry = Kernel((3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 1, 1))
    features, kernel, _ = tensors(maps(geometry)[0], torch.float32)
    with pytest.raises(UsageError, match="MinkowskiEngine has no"):
        named("minkowski").convolve(features, kernel, maps(geometry)[0])


@pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed here")
@pytest.mark.parametrize("geometry", [*CENTRED, Kernel((3, 3, 3), (2, 2, 2), (1, 1, 1), (0, 1, 1))], ids=str)
def test_what_spconv_is_handed_gives_the_same_values(geometry):
    from lidar2d.nets.sparse.backends.spconv import convolve

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, spconv's CPU build is wrong
    try:
        for pairs in maps(geometry):
            features, kernel, _ = tensors(pairs, torch.float32)
            expected = Plain().product(features, kernel, pairs)
            torch.testing.assert_close(convolve(features, kernel, pairs), expected, atol=1e-5, rtol=1e-5)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed here")
@pytest.mark.parametrize("geometry", CENTRED, ids=str)
def test_spconv_agrees_in_value_and_gradients_on_a_gpu(geometry):
    for pairs in maps(geometry):
        tensor = [t.cuda() for t in tensors(pairs, torch.float32)]
        of = Grid(pairs.of.keys.cuda(), pairs.of.stride)
        there = of.onto(of if pairs.onto is pairs.of else Grid(pairs.onto.keys.cuda(), pairs.onto.stride), geometry)
        moved = there.turned if pairs.is_turned else there
        wanted = [tensor[0].requires_grad_(), tensor[1].requires_grad_()]
        results = []
        for backend in (named("spconv"), TorchBackend(Plain()), TorchBackend()):
            out = backend.convolve(*wanted, moved)
            results.append([out, *torch.autograd.grad(out, wanted, tensor[2])])
        for other in results[1:]:
            for got, expected in zip(results[0], other, strict=True):
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


class SpconvOnCpu:
    """What the spconv backend does, where it is refused: right with one thread, and forward only."""

    def convolve(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        from lidar2d.nets.sparse.backends.spconv import convolve

        return convolve(features, kernel, pairs)


def sweep() -> Batch:
    """Two frames: ground and walls, as far as every network sees."""
    generator = torch.Generator().manual_seed(0)
    frames = []
    for count in (600, 300):
        points = (torch.rand(count, 4, generator=generator) - torch.tensor([0.5, 0.5, 0.5, 0])) * 24
        points[: count // 2, 2] = -1.7
        points[count // 2 :, 0] = points[count // 2 :, 0].sign() * 12
        points[:, 2] /= 6
        points[:, 3] /= 24
        frames.append(Frame(points, torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)))
    return collate(frames)


def settled(make: Callable[[], MinkUNet | VoxelNet], batch: Batch) -> MinkUNet | VoxelNet:
    """A network with random weights, whose norms remember about what they see, in evaluation mode."""
    torch.manual_seed(0)
    net = make()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
        norm.momentum = 1.0
    with torch.no_grad():
        net(batch)
        for norm in norms:
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.5, 2)
    return net.eval()


def compare(make: Callable[[], MinkUNet | VoxelNet], backend: Backend, device: str = "cpu") -> None:
    """Features of another backend are those of the plain path, to 1e-4."""
    batch = sweep().to(device)
    net = settled(lambda: make().to(device), batch)
    results = []
    with torch.no_grad():
        for net.backend in (backend, TorchBackend(Plain())):
            results.append(net(batch))
    assert results[1].abs().max() > 0.1
    assert results[1].std(0).median() > 0.02
    torch.testing.assert_close(*results, atol=1e-4, rtol=0)


@pytest.mark.skipif(not HAS_MINKOWSKI, reason="MinkowskiEngine is not built here")
@pytest.mark.parametrize("make", [MinkUNet, MinkUNet34C])
def test_a_whole_network_agrees_with_minkowski_engine(make):
    compare(make, named("minkowski"))


@pytest.mark.skipif(not HAS_MINKOWSKI, reason="MinkowskiEngine is not built here")
def test_voxelnet_is_refused_with_minkowski_engine():
    with pytest.raises(UsageError, match=r"no Kernel\(.*padding=\(1, 1, 0\)\); use --method.points.backend torch"):
        VoxelNet(backend="minkowski")(sweep())


@pytest.mark.skipif(not HAS_SPCONV, reason="spconv is not installed here")
@pytest.mark.parametrize("make", [MinkUNet, MinkUNet34C, VoxelNet])
def test_a_whole_network_agrees_with_what_spconv_is_handed(make):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, spconv's CPU build is wrong
    try:
        compare(make, SpconvOnCpu())
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["torch", "spconv"])
@pytest.mark.parametrize("make", [MinkUNet, MinkUNet34C, VoxelNet])
def test_a_whole_network_agrees_on_a_gpu(make, name):
    if name == "spconv" and not HAS_SPCONV:
        pytest.skip("spconv is not installed here")
    compare(make, named(name), "cuda")


@pytest.mark.skipif(HAS_SPCONV, reason="spconv is installed here")
def test_a_missing_spconv_says_how_to_install_it():
    with pytest.raises(UsageError, match=r"pip install 'lidar2d\[spconv\]'"):
        named("spconv")


@pytest.mark.skipif(not HAS_SPCONV or torch.cuda.is_available(), reason="needs spconv, and no GPU")
def test_spconv_is_refused_without_a_gpu():
    with pytest.raises(UsageError, match="wrong with more than one thread"):
        named("spconv")


@pytest.mark.skipif(HAS_MINKOWSKI, reason="MinkowskiEngine is built here")
def test_a_missing_minkowski_engine_says_what_to_do():
    with pytest.raises(UsageError, match="build it from its source"):
        named("minkowski")
