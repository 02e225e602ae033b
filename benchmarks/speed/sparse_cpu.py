"""Time the sparse convolutions on one sweep: `python benchmarks/speed/sparse_cpu.py sweep.bin [columns] [threads]`.

The sweep is a file of float32 rows, x y z intensity first (nuScenes: 5 columns, KITTI: 4). Prints milliseconds, the
best of three, forward and backward together.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from lidar2d.frame import Frame, collate
from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.sparse import Grid, SparseTensor, SubmanifoldConv, voxelise

VOXEL = (0.1, 0.1, 0.1)  # metres


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """Return milliseconds, after one call to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) * 1e3


def main(path: str, columns: int = 5, threads: int = 1) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    raw = torch.from_numpy(np.fromfile(path, np.float32).reshape(-1, columns)[:, :4].copy())
    raw[:, 3] /= raw[:, 3].max()
    none = torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
    batch = collate([Frame(raw, torch.zeros(0, 3, 1, 1), *none, token="sweep")])
    grid = voxelise(raw[:, :3], batch.point_frame, VOXEL).grid
    print(f"torch {torch.__version__}, {threads} threads, {len(raw)} points, {len(grid)} voxels")
    print(f"voxelise               {best(lambda: voxelise(raw[:, :3], batch.point_frame, VOXEL)):8.1f}")
    for width in (3, 5):
        # a fresh grid each time: maps are kept
        print(f"kernel map {width}x{width}x{width}       {best(lambda w=width: fresh(grid).onto(None, w)):8.1f}")
    for channels in (32, 96, 128, 256):
        layer = SubmanifoldConv(channels, channels)
        x = SparseTensor(torch.randn(len(grid), channels, requires_grad=True), grid)
        print(f"3x3x3, {channels:3d} channels    {best(lambda f=layer, x=x: f(x).features.sum().backward()):8.1f}")
    for net in (RangeView(), MinkUNet(cylindrical=False), MinkUNet34C(cylindrical=False)):
        size = sum(p.numel() for p in net.parameters()) / 1e6
        spent = best(lambda f=net: f(batch).sum().backward(), repeats=2)
        print(f"{type(net).__name__:12s} {size:6.2f} M  {spent:8.1f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
