"""Opening nuScenes at its full size: our index beside nuscenes-devkit, in seconds and private memory.

    python benchmarks/speed/tables.py FOLDER [--workers 8] [--out FILE]

FOLDER holds v1.0-trainval, the official one or that of nuscenes_tables.py. The devkit needs about 12 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from lidar2d.data.card import Card, load_card
from lidar2d.data.nuscenes import NuScenes

VERSION = "v1.0-trainval"
TOUCHED = 500  # frames whose poses a worker looks at before its memory is measured


def card() -> Card:
    """Return a card whose one split has every scene of the folder."""
    return replace(load_card("nuscenes"), splits={"all": {"version": VERSION}}, train="all", val="", probe="", test="")


def private_megabytes(process: int | str = "self") -> float:
    """Return what a process holds alone."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1e3


def measured(open_it: Callable[[], Any], together: Barrier | None = None) -> dict[str, float]:
    """Open something in a fresh process; return seconds, and the private memory that it took."""
    before, start = private_megabytes(), time.perf_counter()
    opened = open_it()
    seconds = time.perf_counter() - start
    if together is not None:
        together.wait()  # pages that several processes map are shared while all of them live
    taken = private_megabytes() - before
    if together is not None:
        together.wait()
    del opened
    return {"seconds": seconds, "megabytes": taken}


def worker(told: bytes, together: Barrier, answers: Any) -> None:
    def open_it() -> NuScenes:
        source: NuScenes = pickle.loads(told)
        step = max(1, len(source) // TOUCHED)
        for row in source.rows[::step]:
            sample = source.index.samples[row]
            source.index.cam_from_lidar(sample)
            source.index.boxes[sample["first_box"] : sample["end_box"]].copy()
            list(source.index.earlier(sample, 9))
        return source

    answers.put(measured(open_it, together))


def only_open(told: bytes, answers: Any) -> None:
    answers.put(measured(lambda: pickle.loads(told)))


def devkit(root: str, answers: Any) -> None:
    from nuscenes.nuscenes import NuScenes as Devkit

    answers.put(measured(lambda: Devkit(version=VERSION, dataroot=root, verbose=False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cache = Path(tempfile.mkdtemp(prefix="index-"))
    try:
        found = measure(given.folder, given.workers, cache)
    finally:
        shutil.rmtree(cache)
    print(json.dumps(found, indent=1))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


def measure(folder: Path, workers: int, cache: Path) -> dict[str, Any]:
    start = time.perf_counter()
    source = NuScenes(card(), "all", folder, cache=cache)
    built = time.perf_counter() - start
    start = time.perf_counter()
    NuScenes(card(), "all", folder, cache=cache)
    again = time.perf_counter() - start
    told = pickle.dumps(source)
    fresh = multiprocessing.get_context("spawn")
    answers = fresh.Queue()

    def asked(target: Callable[..., None], *words: Any, count: int = 1) -> list[dict[str, float]]:
        processes = [fresh.Process(target=target, args=(*words, answers)) for _ in range(count)]
        for process in processes:
            process.start()
        replies = [answers.get() for _ in processes]
        for process in processes:
            process.join()
        return replies

    opening = asked(only_open, told)[0]
    many = asked(worker, told, fresh.Barrier(workers), count=workers)
    theirs = asked(devkit, str(folder))[0]
    ours = max(reply["megabytes"] for reply in many)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "frames": len(source),
        "build_seconds": round(built, 1),
        "index_megabytes": round(sum(p.stat().st_size for p in cache.rglob("*") if p.is_file()) / 1e6, 1),
        "open_again_seconds": round(again, 3),
        "open_in_a_worker_seconds": round(opening["seconds"], 4),
        "workers": workers,
        "private_megabytes_of_a_worker": round(ours, 1),
        "pickle_kilobytes": round(len(told) / 1e3, 1),
        "devkit_seconds": round(theirs["seconds"], 1),
        "devkit_megabytes": round(theirs["megabytes"]),
        "times_faster": round(theirs["seconds"] / opening["seconds"]),
        "times_less_memory": round(theirs["megabytes"] / ours),
    }


if __name__ == "__main__":
    main()
