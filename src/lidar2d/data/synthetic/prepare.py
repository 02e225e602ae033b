"""Makes many scenes at once, in processes of their own, and says how far it is.

The processes are plain Python programs, not children of :mod:`multiprocessing`: they load no torch, inherit no locks,
and work from a notebook or from a script without a ``__main__`` guard.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from lidar2d.data.synthetic.cache import Cache
from lidar2d.errors import DataError

_FAULT = "cannot go on: "  # how a worker marks an error that is meant for the user


def prepare(cache: Cache, seeds: list[int], workers: int, progress: bool) -> None:
    """Make scenes with a bar that shows the rate and the time left.

    Raises:
        DataError: if a scene cannot be made or kept, a full disk for example.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("making the town"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} scenes/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task("", total=len(seeds), rate="–")
        for _ in _alone(cache, seeds) if workers <= 1 else _together(cache, seeds, min(workers, len(seeds))):
            bar.advance(task)
            speed = bar.tasks[0].speed
            bar.update(task, rate=f"{speed:.1f}" if speed else "–")


def _alone(cache: Cache, seeds: list[int]) -> Iterator[int]:
    for seed in seeds:
        cache.make(seed)
        yield seed


def _together(cache: Cache, seeds: list[int], workers: int) -> Iterator[int]:
    """Yield each seed when one of the processes has made its scene."""
    done: queue.Queue[int | str] = queue.Queue()
    source = str(Path(__file__).resolve().parents[3])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    running = []

    def follow(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # it is a pipe, and so is stderr
        assert process.stderr is not None
        for line in process.stdout:
            done.put(int(line))
        fault = process.stderr.read().strip()
        if process.wait() != 0:
            done.put(fault.removeprefix(_FAULT) if fault.startswith(_FAULT) else f"a worker failed: {fault[-500:]}")

    try:
        for first in range(workers):
            command = [sys.executable, "-m", __name__, str(cache.root), *map(str, seeds[first::workers])]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
            running.append(process)
            threading.Thread(target=follow, args=(process,), daemon=True).start()
        for _ in seeds:
            found = done.get()
            if isinstance(found, str):
                raise DataError(found)
            yield found
    finally:
        for process in running:
            process.terminate()
            process.wait()


def _work(root: str, *seeds: str) -> None:
    cache = Cache(Path(root))
    try:
        for seed in seeds:
            cache.make(int(seed))
            print(seed, flush=True)
    except DataError as error:
        sys.exit(f"{_FAULT}{error}")


if __name__ == "__main__":
    _work(*sys.argv[1:])
