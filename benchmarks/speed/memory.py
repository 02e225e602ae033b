"""Memory that a training step of each network takes on a CPU: one sweep, forward and backward, float32.

    python benchmarks/speed/memory.py --sweep sweep.bin --columns 5 --threads 2 --out memory.json

Without a sweep, one of the synthetic town; sweeps as in sparse.py. Each network runs in a process of its own, because
the peak of a process never goes down. Peak: the most memory that the process ever held (ru_maxrss), Python, PyTorch
(0.2 GB; 0.6 GB where it is built for CUDA) and weights included. Growth: the peak less what the process held when the
network and the sweep were there and the step began, so features, neighbours and gradients, also those of the weights.
Both count memory that is free again but that the C library keeps; glibc keeps less with MALLOC_MMAP_THRESHOLD_=1000000
set.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sparse import read

from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.nets.waffleiron import WaffleIron
from lidar2d.writing import write_atomically

NETWORKS = {
    "MinkUNet34C, cylindrical": MinkUNet34C,
    "MinkUNet34C, Cartesian": partial(MinkUNet34C, cylindrical=False),
    "MinkUNet": MinkUNet,
    "VoxelNet": VoxelNet,
    "WaffleIron": WaffleIron,
    "RangeView": RangeView,
}
MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--network", choices=NETWORKS, help="this one alone")
    parser.add_argument("--out", type=Path, help="a file for the same in JSON")
    given = parser.parse_args()
    result: dict[str, Any] = {
        "sweep": "one of the synthetic town" if given.sweep is None else given.sweep.name,
        "torch": torch.__version__,
        "threads": given.threads,
        "MB": {},
    }
    fresh = multiprocessing.get_context("spawn")
    for name in [given.network] if given.network else NETWORKS:
        with fresh.Pool(1) as process:
            result["MB"][name] = found = process.apply(step, (name, given.sweep, given.columns, given.threads))
        print(f"{name:26s}" + "".join(f"{key} {value:6.0f} MB   " for key, value in found.items()), flush=True)
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))


def step(name: str, sweep: Path | None, columns: int, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batch, net = read(sweep, columns), NETWORKS[name]()
    before = held()
    net(batch).square().mean().backward()
    after = peak()
    return {"peak": after, "growth": after - before, "weights": sum(p.nbytes for p in net.parameters()) / MB}


def held() -> float:
    """Return the megabytes that this process holds now; the peak so far where the system does not tell."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() / MB if pages.exists() else peak()


def peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


if __name__ == "__main__":
    main()
