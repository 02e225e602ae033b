"""Processor time of each corruption on one nuScenes-sized frame: six images of 900x1600 and 34,720 points.

    python benchmarks/speed/weather.py [--table NAME] [--only fog,rain] [--repeats 5] [--root NUSCENES] [--out FILE]

Everything runs on one thread, each corruption at each severity, cameras and LiDAR apart; of a few times the best
counts. Seconds are of processor time, which other programs on the machine disturb less than the clock, though they do
by taking its caches. A corruption should take no more than a second for the cameras and 50 ms for the LiDAR. The frame
is one of the synthetic town with images and points as large and as many as nuScenes has, or the first one of a real
nuScenes (--root, its split mini). Bringing images to eight bits and back is counted, reading and resizing them is not.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lidar2d.data.card import Card, load_card
from lidar2d.data.source import open_source
from lidar2d.data.weather.corruption import Scene
from lidar2d.data.weather.frames import Bad, pictures, swept
from lidar2d.data.weather.ground import plane
from lidar2d.data.weather.table import load_table
from lidar2d.frame import Frame
from lidar2d.writing import write_atomically

SIZE, POINTS = (900, 1600), 34_720
CAMERAS, LIDAR = 1.0, 0.05  # seconds that a corruption may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="weather-v1")
    parser.add_argument("--only", help="corruptions of the table, with commas between")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--root", help="of a real nuScenes")
    parser.add_argument("--out", type=Path, help="a file for the same in JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    card, frame = real(given.root) if given.root else synthetic()
    table = load_table(given.table)
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU",
        "threads": 1,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "table": str(table),
        "frame": f"{'nuScenes' if given.root else 'the synthetic town'}, {tuple(frame.images.shape)} pixels, "
        f"{len(frame.points)} points",
        "processor seconds": {},
    }
    for name in given.only.split(",") if given.only else table.corruptions:
        severities = range(1, len(table.levels(name)) + 1)
        runs = [measured(frame, Bad(table, name, each), card, given.repeats) for each in severities]
        found = {key: [run[key] for run in runs] for key in runs[0]}
        result["processor seconds"][name] = found
        slow = [key for key, limit in (("cameras", CAMERAS), ("lidar", LIDAR)) if max(found.get(key, [0])) > limit]
        shown = "  ".join(f"{key} {' '.join(f'{each:.3f}' for each in seconds)} s" for key, seconds in found.items())
        print(f"{name:16}  {shown}{'  OVER THE LIMIT' if slow else ''}", flush=True)
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))


def measured(frame: Frame, bad: Bad, card: Card, repeats: int) -> dict[str, float]:
    """Return the processor seconds of the sensors that a corruption changes."""
    scene = Scene(plane(frame.points.numpy()), bad.seed(frame.token, "world"), len(frame.images))
    found = {}
    if bad.corruption.cameras:
        found["cameras"] = best(lambda: pictures(frame, bad, scene), repeats)
    if bad.corruption.lidar:
        found["lidar"] = best(lambda: swept(frame, bad, scene, card), repeats)
    return found


def best(work: Callable[[], object], repeats: int) -> float:
    work()  # tables are made once
    seconds = []
    for _ in range(max(repeats, 1)):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return round(min(seconds), 4)


def synthetic() -> tuple[Card, Frame]:
    """Return a frame of the town as large as one of nuScenes, of which no file tells the depth."""
    card = load_card("synthetic")
    frame = open_source(card, "smoke", image_size=SIZE)[0]
    rng = torch.Generator().manual_seed(0)
    images = frame.images + 0.02 * torch.randn(frame.images.shape, generator=rng)  # no camera is as smooth as these
    rows = torch.arange(POINTS) % len(frame.points)
    points = frame.points[rows].clone()
    points[:, :3] *= 1 + 0.002 * torch.randn(POINTS, 1, generator=rng)
    assert frame.labels is not None
    labels = frame.labels[rows]
    images = (images.clamp(0, 1) * 255).round() / 255
    return card, replace(frame, images=images, points=points, labels=labels, depth=None, pixel_labels=None)


def real(root: str) -> tuple[Card, Frame]:
    card = load_card("nuscenes")
    return card, open_source(card, "mini", root)[0]


if __name__ == "__main__":
    main()
