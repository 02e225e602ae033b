"""The fused kernels against the plain path: on a GPU where there is one, in Triton's interpreter elsewhere."""

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported, on the next lines

from lidar2d.nets.sparse import Grid, Kernel
from lidar2d.nets.sparse.backends import fused
from lidar2d.nets.sparse.backends.torch import Plain, TorchBackend
from lidar2d.nets.sparse.grid import KernelMap
from lidar2d.nets.sparse.keys import pack

pytestmark = pytest.mark.skipif(not fused.AVAILABLE, reason="Triton has no build for this system")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def cube(extent: int = 3, share: float = 0.4) -> Grid:
    generator = torch.Generator().manual_seed(0)
    places = torch.cartesian_prod(torch.arange(2), *(torch.arange(-extent, extent),) * 3)
    return Grid(pack(places[torch.rand(len(places), generator=generator) < share]).sort().values.to(DEVICE))


def maps() -> list[tuple[str, KernelMap]]:
    grid, sparse = cube(), cube(2, 0.1)
    found = {
        "3": grid.onto(grid, Kernel.centred(3)),
        "5": sparse.onto(sparse, Kernel.centred(5)),  # more places than an integer has bits
        "2 by 2": grid.coarser(Kernel.centred(2, 2))[1],
        "3 by 2": grid.coarser(Kernel((3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 0)), spread=True)[1],
        "onto others": grid.onto(sparse, Kernel.centred(3, dilation=2)),
    }
    return [*found.items(), *((f"{name} back", pairs.turned) for name, pairs in found.items())]


def tensors(pairs: KernelMap, channels: int, out: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    sources = len(pairs.onto if pairs.is_turned else pairs.of)
    shapes = (sources, channels), (len(pairs.counts), channels, out), (pairs.targets, out)
    features, kernel, gradient = (torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes)
    return features, kernel, gradient


def off(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())


@pytest.mark.parametrize("name", [name for name, _ in maps()])
def test_fused_products_equal_plain_ones(name):
    pairs = dict(maps())[name]
    for channels, out in ((3, 5), (40, 17)):
        features, kernel, gradient = tensors(pairs, channels, out)
        exact = [tensor.double() for tensor in (features, kernel, gradient)]
        got = fused.Fused().product(features, kernel, pairs)
        assert off(got, Plain().product(exact[0], exact[1], pairs)) < 1e-6
        got = fused.Fused().to_kernel(features, gradient, pairs)
        assert off(got, Plain().to_kernel(exact[0], exact[2], pairs)) < 1e-5


def test_many_pairs_are_summed_in_parts(monkeypatch):
    monkeypatch.setattr(fused, "PAIRS", 32)
    pairs = dict(maps())["3"]
    features, _, gradient = tensors(pairs, 4, 4)
    assert off(fused.Fused().to_kernel(features, gradient, pairs), Plain().to_kernel(features, gradient, pairs)) < 1e-5


def test_short_floats_are_summed_in_long_ones():
    # the interpreter multiplies the bits of a bfloat16 as if they were an integer
    kind, last_bit = (torch.bfloat16, 2**-8) if DEVICE == "cuda" else (torch.float16, 2**-11)
    pairs = dict(maps())["3"]
    features, kernel, gradient = (tensor.to(kind) for tensor in tensors(pairs, 16, 16))
    got = fused.Fused().product(features, kernel, pairs)
    assert got.dtype == kind
    assert off(got, Plain().product(features.float(), kernel.float(), pairs)) <= last_bit
    got = fused.Fused().to_kernel(features, gradient, pairs)
    assert off(got, Plain().to_kernel(features.float(), gradient.float(), pairs)) <= last_bit


def test_gradients_through_the_backend_are_those_of_the_plain_path():
    pairs = dict(maps())["3 by 2"]
    found = []
    for path in (fused.Fused(), Plain()):
        features, kernel, gradient = tensors(pairs, 6, 7)
        wanted = [features.requires_grad_(), kernel.requires_grad_()]
        found.append(torch.autograd.grad(TorchBackend(path).convolve(*wanted, pairs), wanted, gradient))
    for got, expected in zip(*found, strict=True):
        assert off(got, expected) < 1e-5


@pytest.mark.parametrize("count", [0, 1])
def test_no_voxel_and_one_voxel_are_no_error(count):
    grid = Grid(pack(torch.zeros(count, 4, dtype=torch.int64)).to(DEVICE))
    pairs = grid.onto(grid, Kernel.centred(3))
    features, kernel, gradient = tensors(pairs, 2, 3)
    got = fused.Fused().product(features, kernel, pairs)
    torch.testing.assert_close(got, Plain().product(features, kernel, pairs))
    got = fused.Fused().to_kernel(features, gradient, pairs)
    torch.testing.assert_close(got, Plain().to_kernel(features, gradient, pairs))


def test_two_runs_are_bitwise_equal():
    pairs = dict(maps())["3"]
    runs = []
    for _ in range(2):
        features, kernel, gradient = tensors(pairs, 20, 20)
        runs.append(
            [fused.Fused().product(features, kernel, pairs), fused.Fused().to_kernel(features, gradient, pairs)]
        )
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lidar2d.nets.sparse.backends import kernels

def compiled(kernel, pointers, numbers, fixed):
    signature = {**pointers, **dict.fromkeys(numbers, "i32"), **dict.fromkeys(fixed, "constexpr")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
    return triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["cubin"]

for kind in ("fp32", "bf16", "fp16"):
    pointers = dict(features=kind, kernel=kind, order="i32", source="i32", reads="i8", out=kind)
    numbers = ["count", "places", "channels", "out_channels", "by_place", "by_row", "by_column"]
    fixed = dict(ROWS=64, DEPTH=32, WIDTH=128, PRECISION="ieee")
    assert compiled(kernels.product, {k: "*" + v for k, v in pointers.items()}, numbers, fixed)
    pointers = dict(features=kind, gradient=kind, source="i64", target="i64", starts="i64", partial="fp32")
    numbers = ["places", "channels", "out_channels", "columns"]
    fixed = dict(ROWS=32, DEPTH=64, WIDTH=64, PAIRS=4096, PRECISION="tf32")
    assert compiled(kernels.to_kernel, {k: "*" + v for k, v in pointers.items()}, numbers, fixed)
"""


def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    script = tmp_path / "compile_kernels.py"
    script.write_text(COMPILE)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
