"""Time every sparse backend that is importable on one sweep, in one process, and check that they agree.

    python benchmarks/speed/sparse.py --sweep sweep.bin --columns 5 --threads 2 --out sparse.json

Without a sweep, one of the synthetic town. A sweep is a file of float32 rows, x y z intensity first (nuScenes has 5
columns, KITTI 4). Milliseconds, the best of several; layers and networks forward and backward. Each library's own layer
is timed, after it has found its neighbours; a training step of MinkUNet34C finds them anew: of one sweep on a CPU, of
four on a GPU, there in float32, with tf32, and under autocast to bfloat16. On a CPU spconv has one thread: with more
its results are wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lidar2d.data.card import load_card
from lidar2d.data.source import open_source
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.sparse import Grid, Kernel, SparseTensor, SubmanifoldConv, voxelise
from lidar2d.nets.sparse.layouts import lay_out, restore
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.writing import write_atomically

VOXEL = (0.1, 0.1, 0.1)  # metres
CHANNELS = (32, 96, 128, 256)
Step = Callable[[], list[Tensor]]  # forward and backward; the output, and gradients to features and kernel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for the same in JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = read(given.sweep, given.columns).to(device)
    xyz, frame = batch.points[:, :3], batch.point_frame
    grid = voxelise(xyz, frame, VOXEL).grid

    def kernel_map(size: int) -> Callable[[], object]:
        def find() -> object:
            fresh = Grid(grid.keys)  # maps are kept
            return fresh.onto(fresh, Kernel.centred(size))

        return find

    result: dict[str, Any] = {
        "machine": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, no GPU",
        "threads": given.threads,
        "torch": torch.__version__,
        "sweep": "one of the synthetic town" if given.sweep is None else given.sweep.name,
        "points": len(batch.points),
        "voxels": len(grid),
        "voxelise": best(lambda: voxelise(xyz, frame, VOXEL), device, 200),
        "kernel map": {f"{size}x{size}x{size}": best(kernel_map(size), device) for size in (3, 5)},
        "3x3x3 layer": {str(channels): layer(grid, channels, device, given.threads) for channels in CHANNELS},
        "MinkUNet34C step": steps(batch, device, given.threads),
        "network": networks(batch, device),
    }
    print(table(result))
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))


def read(path: Path | None, columns: int) -> Batch:
    if path is None:
        return collate([open_source(load_card("synthetic"), "smoke")[0]])
    raw = torch.from_numpy(np.fromfile(path, np.float32).reshape(-1, columns)[:, :4].copy())
    raw[:, 3] /= raw[:, 3].max()
    return collate([Frame(raw, torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4), token=path.name)])


def layer(grid: Grid, channels: int, device: torch.device, threads: int) -> dict[str, float]:
    """Time a layer of each library, and check that all give what the first does."""
    features = torch.randn(len(grid), channels, device=device)
    kernel = torch.randn(27, channels, channels, device=device) / channels
    gradient = torch.randn(len(grid), channels, device=device)
    times: dict[str, float] = {}
    expected: list[Tensor] = []
    for name, make in (("lidar2d", ours), ("spconv", spconv), ("MinkowskiEngine", minkowski)):
        if name != "lidar2d" and not installed(name):
            continue
        torch.set_num_threads(1 if name == "spconv" and device.type == "cpu" else threads)
        step = make(grid, features, kernel, gradient)
        found = step()
        expected = expected or found
        for got, wanted in zip(found, expected, strict=True):
            off = float((got - wanted).abs().max() / wanted.abs().max())
            if off > 1e-4:
                raise SystemExit(f"{name} does not agree with lidar2d at {channels} channels: off by {off:.1e}")
        times[name] = best(step, device)
    torch.set_num_threads(threads)
    return times


def ours(grid: Grid, features: Tensor, kernel: Tensor, gradient: Tensor) -> Step:
    conv = SubmanifoldConv(*kernel.shape[1:]).to(kernel.device)
    conv.kernel.data = kernel.clone()
    x = SparseTensor(features.clone().requires_grad_(), grid)

    def step() -> list[Tensor]:
        out = conv(x).features
        return [out.detach(), *torch.autograd.grad(out, [x.features, conv.kernel], gradient)]

    return step


def spconv(grid: Grid, features: Tensor, kernel: Tensor, gradient: Tensor) -> Step:
    import spconv.pytorch as library

    if not features.is_cuda:  # its backward asks for the stream of a GPU even on a CPU
        library.ops.get_current_stream = lambda: 0
    conv = library.SubMConv3d(
        *kernel.shape[1:],
        3,
        bias=False,
        indice_key="sweep",
        algo=None if features.is_cuda else library.ConvAlgo.Native,
    ).to(kernel.device)
    conv.weight.data = lay_out(kernel, (3, 3, 3), "spconv")
    places = grid.coordinates.clone()
    places[:, 1:] -= places[:, 1:].amin(0)
    shape = (places[:, [3, 2, 1]].amax(0) + 1).tolist()
    x = library.SparseConvTensor(features, places[:, [0, 3, 2, 1]].int().contiguous(), shape, 1)
    x = x.replace_feature(features.clone().requires_grad_())
    x.indice_dict = conv(x).indice_dict

    def step() -> list[Tensor]:
        out = conv(x).features
        to_features, to_kernel = torch.autograd.grad(out, [x.features, conv.weight], gradient)
        return [out.detach(), to_features, restore(to_kernel, tuple(kernel.shape), "spconv")]

    return step


def minkowski(grid: Grid, features: Tensor, kernel: Tensor, gradient: Tensor) -> Step:
    import MinkowskiEngine as library  # noqa: N813

    conv = library.MinkowskiConvolution(*kernel.shape[1:], kernel_size=3, dimension=3).to(kernel.device)
    conv.kernel.data = kernel.clone()
    known = library.SparseTensor(features, coordinates=grid.coordinates.int())
    leaf = features.clone().requires_grad_()
    place = {"coordinate_map_key": known.coordinate_map_key, "coordinate_manager": known.coordinate_manager}

    def step() -> list[Tensor]:
        out = conv(library.SparseTensor(leaf, **place)).F
        return [out.detach(), *torch.autograd.grad(out, [leaf, conv.kernel], gradient)]

    return step


def steps(batch: Batch, device: torch.device, threads: int) -> dict[str, dict[str, float]]:
    """Time a training step of MinkUNet34C of each library's own layers, and check that their features agree."""
    batch = batch if device.type == "cpu" else several(batch, 4)
    times: dict[str, dict[str, float]] = {}
    for precision in ("float32",) if device.type == "cpu" else ("float32", "tf32", "bfloat16"):
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        if installed("spconv") and device.type == "cuda":
            spconv_constants().SPCONV_ALLOW_TF32 = precision == "tf32"
        torch.manual_seed(0)
        net = MinkUNet34C(cylindrical=False).to(device)
        nets: dict[str, nn.Module] = {"lidar2d": net}
        if installed("spconv"):
            nets["spconv"] = spconv_unet(net, device)
        if installed("MinkowskiEngine"):
            nets["MinkowskiEngine"] = minkowski_unet(net, device)
        times[precision] = {}
        wanted = features_of(net, batch)
        for name, each in nets.items():  # all of them before any is trained: they share their norms
            torch.set_num_threads(1 if name == "spconv" and device.type == "cpu" else threads)
            off = float((features_of(each, batch) - wanted).abs().max() / wanted.abs().max())
            if off > (1e-4 if precision == "float32" else 1e-2):
                raise SystemExit(f"{name}'s MinkUNet34C does not agree with lidar2d's: off by {off:.1e}")
        for name, each in nets.items():
            torch.set_num_threads(1 if name == "spconv" and device.type == "cpu" else threads)
            times[precision][name] = best(step_of(each, batch, precision), device, 3)
        torch.set_num_threads(threads)
    return times


@torch.no_grad()
def features_of(net: nn.Module, batch: Batch) -> Tensor:
    found: Tensor = net.eval()(batch)
    net.train()
    return found


def step_of(net: nn.Module, batch: Batch, precision: str) -> Callable[[], object]:
    kind = batch.points.device.type

    def step() -> None:
        net.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
            features = net(batch)
        features.float().square().mean().backward()

    return step


def several(batch: Batch, count: int) -> Batch:
    """Lay a sweep beside itself, each turned a little further."""
    points = []
    for index in range(count):
        turn = torch.tensor(0.3 * index)
        matrix = torch.tensor([[turn.cos(), -turn.sin()], [turn.sin(), turn.cos()]], device=batch.points.device)
        points.append(torch.cat([batch.points[:, :2] @ matrix.T, batch.points[:, 2:]], dim=1).cpu())
    none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
    frames = [Frame(cloud, *none, token=str(index)) for index, cloud in enumerate(points)]
    return collate(frames).to(batch.points.device)


def installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def spconv_constants() -> Any:
    from spconv import constants

    return constants


def spconv_unet(net: MinkUNet34C, device: torch.device) -> nn.Module:
    from spconv_unet import SpconvUNet

    return SpconvUNet(net, native=device.type == "cpu").to(device)


def minkowski_unet(net: MinkUNet34C, device: torch.device) -> nn.Module:
    """MinkowskiEngine's products and its own neighbours, by the backend of that name."""
    found = MinkUNet34C(cylindrical=False, backend="minkowski").to(device)
    found.load_state_dict(net.state_dict())
    return found


def networks(batch: Batch, device: torch.device) -> dict[str, float]:
    times = {}
    for net in (RangeView(), MinkUNet(cylindrical=False), MinkUNet34C(cylindrical=False), VoxelNet()):
        net.to(device)
        size = sum(parameter.numel() for parameter in net.parameters()) / 1e6
        name = f"{type(net).__name__}, {size:.2f} M weights"
        times[name] = best(lambda net=net: net(batch).sum().backward(), device, 2)
    return times


def best(work: Callable[[], object], device: torch.device, repeats: int = 7) -> float:
    """Return milliseconds, after one call to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return round(min(seconds[1:]) * 1e3, 3)


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['machine']}, {result['threads']} threads, torch {result['torch']}",
        f"{result['sweep']}: {result['points']} points, {result['voxels']} voxels of {VOXEL[0]} m",
        f"{'voxelise':24s}{result['voxelise']:10.2f} ms",
    ]
    lines += [f"kernel map {size:13s}{spent:10.2f} ms" for size, spent in result["kernel map"].items()]
    for channels, times in result["3x3x3 layer"].items():
        lines.append(f"3x3x3, {channels:>3s} channels{times['lidar2d']:18.2f} ms   {beside(times)}")
    for precision, times in result["MinkUNet34C step"].items():
        lines.append(f"MinkUNet34C step, {precision:17s}{times['lidar2d']:10.1f} ms   {beside(times)}")
    lines += [f"{name:34s}{spent:10.1f} ms" for name, spent in result["network"].items()]
    return "\n".join(lines)


def beside(times: dict[str, float]) -> str:
    own = times["lidar2d"]
    others = [f"{name} {spent:.2f} ({own / spent:.2f} of it)" for name, spent in times.items() if name != "lidar2d"]
    return "   ".join(others)


if __name__ == "__main__":
    main()
