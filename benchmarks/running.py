"""Runs of ``lidar2d fit`` as the scripts here make them, and the files of records that they leave."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lidar2d.writing import write_atomically

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    gigabytes: float  # the most that one of its processes held


def call(words: list[str], out: Path | None = None) -> Cost:
    """Run ``lidar2d`` with these words; what it prints goes into a file, if one is given.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "lidar2d.cli", *words]
    began = time.monotonic()
    with nullcontext() if out is None else out.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - began, usage.ru_maxrss / 2**20)


def options(script: str, what: str, choices: list[str], usual: list[str], runs: Path) -> argparse.Namespace:
    """Parse the flags of a script that makes runs of several kinds with several seeds.

    Args:
        script: its docstring.
        what: the flag of the kinds, without dashes.
        choices: the kinds.
        usual: those that are made where none is named.
        runs: the folder of the runs, unless another is named.
    """
    parser = argparse.ArgumentParser(description=script, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(f"--{what}", nargs="+", choices=choices, default=usual)
    parser.add_argument("--runs", type=Path, default=runs)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("flags", nargs="*", help="further flags of `lidar2d fit`, after --")
    return parser.parse_args()


def judged(report: dict[str, Any], *others: str) -> dict[str, Any]:
    """Return of a run's report what records keep: mIoU by probe, features and condition."""
    return {
        name: {
            **{key: features[key] for key in others},
            "clear_probe": {key: features["clear_probe"][key] for key in ("miou", "clear", "adverse")},
            "mixed_probe": {key: features["mixed_probe"][key] for key in ("miou", "clear", "adverse")},
        }
        for name, features in report["features"].items()
    }


def machine() -> str:
    """Name the machine."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gpu}"


def keep(path: Path, record: dict[str, Any], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Put a record among those of a file, a line each, in place of an earlier one of the same keys; return all."""
    lines = path.read_text().splitlines() if path.exists() else []
    by_key = {tuple(old[key] for key in keys): old for old in (*map(json.loads, lines), record)}
    records = [by_key[key] for key in sorted(by_key)]
    text = "".join(f"{json.dumps(each, sort_keys=True)}\n" for each in records)
    write_atomically(path, lambda unfinished: unfinished.write_text(text))
    return records
