"""``lidar2d bench``: only the cells of a suite that are missing, each into a record, whatever becomes of the others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from rich.console import Console

from lidar2d import recipe, runs, words
from lidar2d.arguments import build, eval_parser, flags, parse
from lidar2d.bench.evaluate import Place, evaluate, failed
from lidar2d.bench.protocol import Session
from lidar2d.bench.remembered import Memory
from lidar2d.bench.suite import Cell, Judged, Suite
from lidar2d.data.module import LidarData
from lidar2d.errors import UsageError
from lidar2d.fit.folder import RunFolder
from lidar2d.fit.saved import Saved, resolve, restore, untrained
from lidar2d.progress import bars
from lidar2d.results.measures import headline
from lidar2d.results.record import CLEAR, Record, by_corruption
from lidar2d.results.store import Store
from lidar2d.writing import locked


@dataclass(frozen=True)
class Bench:
    """Where a suite runs.

    Args:
        suite: the cells.
        store: of the records.
        runs: the folder of the runs, one for each method and seed.
        roots: folder of each data set, by its card.
        passed: settings that every training is given beside the suite's.
        device: that judges.
        console: where it is said how far it is.
    """

    suite: Suite
    store: Store
    runs: Path
    roots: Mapping[str, str]
    passed: Sequence[str]
    device: torch.device
    console: Console

    def run(self, cells: Sequence[Cell]) -> tuple[int, int]:
        """Evaluate cells; return how many failed, and how many another process evaluates.

        Raises:
            UsageError: if records cannot be kept.
        """
        jobs: dict[tuple[str, int], list[Cell]] = {}
        for cell in cells:
            jobs.setdefault((cell.method, cell.seed), []).append(cell)
        at, failures, left = 0, 0, 0
        for (method, seed), own in jobs.items():
            run = self.runs / f"{method}-{seed}"
            with locked(run.with_name(f".{run.name}.lock"), wait=False) as lock:
                if lock is None:
                    left += len(own)
                    self._say(f"{run} is another process's; its {len(own)} cells are left to that")
                    continue
                saved, memory = self._fitted(method, seed, run, lock), Memory()
                for cell in own:
                    at += 1
                    self._say(f"[{at}/{len(cells)}] {cell}")
                    records = saved if isinstance(saved, str) else self._evaluated(saved, cell, memory)
                    if isinstance(records, str):
                        failures += 1
                        self._say(f"failed: {records}")
                        records = [failed(cell, self._place, records)]
                    self.store.add(records)
        return failures, left

    @property
    def _place(self) -> Place:
        return Place(self.suite.name, self.suite.version, self.suite.source)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _fitted(self, method: str, seed: int, run: Path, lock: int) -> Saved | str:
        """Train a method, or go on with it, unless it is trained or not to be; return it, or why it cannot be."""
        try:
            given = [*fit_words(self.suite, method, seed, self.roots), *self.passed]
            if not self.suite.methods[method].taught:
                return replace(untrained(given[1], given[2:]), name=method)
            wanted = resolve(given)
            if (run / runs.RECIPE).is_file():
                _check_same(run, wanted)
            if not RunFolder(run).checkpoint.is_file():
                self._fit(run, given, lock)
            return restore(run)
        except UsageError as error:
            return str(error)

    def _fit(self, run: Path, settings: Sequence[str], lock: int) -> None:
        """Train in a process of its own: it may start others, and what it breaks or leaks is its own.

        It holds the lock of the run as long as it lives, and ends with this process where that can be seen to.

        Raises:
            UsageError: if it fails.
        """
        begun = (run / runs.RECIPE).is_file()
        given = ["--resume", str(run)] if begun else ["--method", settings[1], "--run", str(run), *settings[2:]]
        self._say(f"fit  {run}")
        command = [sys.executable, "-m", "lidar2d.cli", "fit", *given]
        none, pipe = subprocess.DEVNULL, subprocess.PIPE
        with _until_told(), subprocess.Popen(command, stderr=pipe, stdout=none, text=True, pass_fds=[lock]) as process:
            try:
                _, told = process.communicate()
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            lines = [line for line in told.splitlines() if line.strip()]
            found = [line for line in lines if line.startswith("lidar2d: ")] or lines[-1:]
            raise UsageError(f"fit: {' '.join(found).removeprefix('lidar2d: ') or f'status {process.returncode}'}")

    def _evaluated(self, saved: Saved, cell: Cell, memory: Memory) -> list[Record] | str:
        """Evaluate a cell; return its records, or why there are none."""
        try:
            judged, name = self.suite.judged(cell)
            parser = eval_parser(LidarData)
            data: LidarData = build(parser, parse(parser, judge_words(judged, self.roots))).data
            with bars(self.console) as progress:
                session = Session(cell.seed, progress, workers=data.workers, memory=memory)
                records = evaluate(saved, cell, name, data, session, self._place, self.device)
        except Exception as error:  # whatever it is, the other cells go on
            return " ".join(str(error).split())[:400] or type(error).__name__
        self._say(_headline(records))
        return records


@contextmanager
def _until_told() -> Iterator[None]:
    """Let SIGTERM end what is done within as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001 what handlers are given
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def fit_words(suite: Suite, method: str, seed: int, roots: Mapping[str, str]) -> list[str]:
    """Return what ``fit`` is told to train a row of a suite."""
    entry = suite.methods[method]
    settings = {**suite.pretrain, **entry.settings}
    found = ["--config", str(recipe.find("methods", entry.recipe)), f"--seed={seed}"]
    found += [f"--{name}={_word(value)}" for name, value in settings.items()]
    card = recipe.called("datasets", str(resolve(found)["data"]["card"]))
    return [*found, f"--data.root={roots[card]}"] if card in roots else found


def judge_words(judged: Judged, roots: Mapping[str, str]) -> list[str]:
    """Return what ``eval`` is told of the frames."""
    found = [f"--data.card={judged.data}"]
    found += [f"--data.{name}={_word(value)}" for name, value in judged.settings.items()]
    card = recipe.called("datasets", judged.data)
    return [*found, f"--data.root={roots[card]}"] if card in roots else found


def _headline(records: Sequence[Record]) -> str:
    """Say what an evaluation came to; in bad weather clear air and the mean, which tables show, and not the pool."""
    last, metric = records[-1], next((headline(each.metrics) for each in records if each.metrics), "")
    clear = [each.metrics[metric] for each in records if each.condition == CLEAR and metric in each.metrics]
    bad = [fmean(own) for own in by_corruption(records, metric).values()]
    if clear and bad:
        said = f"clear: {metric} {clear[0]:.2f}, bad weather: {metric} {fmean(bad):.2f}"
    else:
        said = f"{last.condition}: {', '.join(f'{name} {value:.2f}' for name, value in list(last.metrics.items())[:2])}"
    return f"  {said}  ({last.seconds:.0f} s)"


def _check_same(run: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse a run that was made with other settings.

    Raises:
        UsageError: naming the first that differs.
    """
    found, asked = flags(recipe.read(run / runs.RECIPE)), flags(dict(wanted))
    for name in sorted(set(found) | set(asked)):
        if name.startswith("trainer.") or f"--{name}" in words.MOVABLE:
            continue
        if found.get(name) != asked.get(name):
            raise UsageError(
                f"{run} was made with {name} {found.get(name)}, the suite asks for {asked.get(name)}; "
                "remove it, or choose another folder: --runs DIR"
            )


def _word(value: object) -> str:
    """Return a value as a word of the command line."""
    return value if isinstance(value, str) else json.dumps(value)
