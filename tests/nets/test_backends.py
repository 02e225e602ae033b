"""Every backend that is importable gives the numbers of the plain path; one that is not says what to do."""

import importlib.util

import pytest
import torch
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.nets.sparse import Grid, Kernel, named
from lidar2d.nets.sparse.backends.torch import Plain, TorchBackend
from lidar2d.nets.sparse.grid import KernelMap
from lidar2d.nets.sparse.keys import pack

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
    there = grid.onto(grid, geometry) if geometry.is_symmetric else grid.coarser(geometry)[1]
    return [there, there.turned]


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
        grid = Grid(pairs.of.keys.cuda())
        there = grid.onto(grid, geometry) if geometry.is_symmetric else grid.coarser(geometry)[1]
        moved = there.turned if pairs.is_turned else there
        wanted = [tensor[0].requires_grad_(), tensor[1].requires_grad_()]
        results = []
        for backend in (named("spconv"), TorchBackend(Plain()), TorchBackend()):
            out = backend.convolve(*wanted, moved)
            results.append([out, *torch.autograd.grad(out, wanted, tensor[2])])
        for other in results[1:]:
            for got, expected in zip(results[0], other, strict=True):
                torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


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
