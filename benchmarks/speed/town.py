"""Seconds that one scene of the synthetic town takes on one core: 6 cameras, one sweep, all conditions.

python benchmarks/speed/town.py [scenes]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from lidar2d.data.synthetic.render import render


def main(scenes: int = 10) -> None:
    render(90_000)  # fills the tables that every later scene shares
    seconds, cpu = [], []
    for seed in range(90_001, 90_001 + scenes):
        start, busy = time.perf_counter(), time.process_time()
        arrays = render(seed)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    size = sum(a.nbytes for a in arrays.values()) / 2**20
    facts = Path("/proc/cpuinfo")
    model = (
        next((line.split(":")[1].strip() for line in facts.open() if "model name" in line), "?")
        if facts.exists()
        else "?"
    )
    print(f"{statistics.median(seconds):.3f} s a scene (median of {scenes}; {min(seconds):.3f} to {max(seconds):.3f})")
    print(f"{statistics.median(cpu):.3f} s of processor time, which other programs on the machine disturb less")
    print(f"{size:.1f} MiB a scene; {len(arrays['xyz'])} hits in the last one")
    print(f"{model}, {os.cpu_count()} cores, numpy {np.__version__}, Python {platform.python_version()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
