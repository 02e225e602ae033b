"""Time every sparse backend that is importable on the same sweeps, in one process, and check that they agree.

    python benchmarks/speed/sparse.py --sweep sweep.bin --columns 5 --threads 2 --out sparse.json

Without a sweep, one of the synthetic town. A sweep is a file of float32 rows, x y z intensity first (nuScenes has 5
columns, KITTI 4). Milliseconds, the best of several; layers forward and backward. Every library's own layer is timed, its
neighbourhoods found before. On a CPU spconv runs with one thread, as with more its results are wrong.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lidar2d.data.card import load_card
from lidar2d.data.source import open_source
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.sparse import voxelise

VOXEL = (0.1, 0.1, 0.1)  # metres
CHANNELS = (32, 96, 128, 256)


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
    grid = voxelise(batch.points[:, :3], batch.point_frame, VOXEL).grid
    result: dict[str, Any] = {
        "machine": torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()}, no GPU",
        "threads": given.threads,
        "torch": torch.__version__,
        "sweep": "synthetic town" if given.sweep is None else given.sweep.name,
        "points": len(batch.points),
        "voxels": len(grid),
        "voxelise": best(lambda: voxelise(batch.points[:, :3], batch.point_frame, VOXEL), device, 20),
        "map": {size: best(lambda s=size: fresh(grid).onto_itself(s), device) for size in (3, 5)},
        "layers": {channels: layers(grid, channels, device) for channels in CHANNELS},
        "MinkUNet34C": network(batch, device),
    }
    print(table(result))
    if given.out:
        unfinished = given.out.with_name(f".{given.out.name}")
        unfinished.write_text(json.dumps(result, indent=1) + "\n")
        unfinished.replace(given.out)


def read(path: Path | None, columns: int) -> Batch:
    if path is None:
        return collate([open_source(load_card("synthetic"), None, "smoke")[0]])
    raw = torch.from_numpy(np.fromfile(path, np.float32).reshape(-1, columns)[:, :4].copy())
    raw[:, 3] /= raw[:, 3].max()
    return collate([Frame(raw, torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4), token=path.name)])
