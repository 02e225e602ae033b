"""Time of judging features: probes with and without kept features, counting confusions, KITTI's average precision.

    python benchmarks/speed/harness.py [--frames 8] [--parts points,images,confusion,precision] [--out FILE]

Everything runs on one thread. Probes are those of protocols of the synthetic town, trained for 20 epochs on frames of
its probe split and measured on others; networks have random weights, which cost what others do. Uncached, every epoch
reads the frames and computes their features again; cached, the first one does, and writes them. Seconds are of the
training alone: on the clock, and of processor time, which other programs on the machine disturb less.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lidar2d.bench.evaluate import load_protocol
from lidar2d.bench.probe import Probe
from lidar2d.bench.protocol import rows_of
from lidar2d.data.card import load_card
from lidar2d.data.source import open_source
from lidar2d.metrics.confusion import ConfusionMatrix
from lidar2d.metrics.kitti import Found, Truth, curves
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.small import SmallConv
from lidar2d.tasks.heads import measure, show, train_heads
from lidar2d.tasks.kept import Kept
from lidar2d.writing import write_atomically

EPOCHS, APART = 20, 1e-4  # of the probes, and how far their numbers may be apart
SWEEPS, POINTS, CLASSES = 6_019, 34_720, 16  # of nuScenes' validation
FRAMES, BOXES = 3_769, 50  # of KITTI's validation, and what is found in each
Numbers = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8, help="that probes learn from; of slow networks, a part")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--out", type=Path, help="a file for the same in JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    result: Numbers = {
        "machine": f"{platform.machine()}, no GPU",
        "threads": 1,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "frames": given.frames,
        "epochs": EPOCHS,
    }
    for name in given.parts.split(","):
        for title, numbers in PARTS[name](given.frames):
            result[title] = numbers
            print(title, *(f"{key} {value}" for key, value in numbers.items()), sep="\n    ", flush=True)
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(json.dumps(result, indent=1) + "\n"))


def points(frames: int) -> Iterator[tuple[str, Numbers]]:
    """Probe a small and a published network of points, with the rates of the protocol and with one of them."""
    name = "seg3d-lp/town@1"
    small = MinkUNet(channels=64)
    yield f"{name}, MinkUNet of 0.65 M weights", _probe(name, small, frames, rates=1)
    yield f"{name}, MinkUNet of 0.65 M weights, three rates", _probe(name, small, frames, rates=3)
    yield f"{name}, MinkUNet34C", _probe(name, MinkUNet34C(channels=64), max(1, frames // 4), rates=1)


def images(frames: int) -> Iterator[tuple[str, Numbers]]:
    """Probe a small network of images and a transformer."""
    name = "seg2d-lin/town@1"
    yield f"{name}, SmallConv", _probe(name, SmallConv(), max(1, frames // 2), rates=1)
    transformer = TimmEncoder("vit_small_patch16_224", weights=None)
    yield f"{name}, ViT-S/16", _probe(name, transformer, max(1, frames // 2), rates=1)


def _probe(name: str, encoder: PointEncoder | ImageEncoder, frames: int, rates: int) -> Numbers:
    protocol = load_protocol(name)
    assert isinstance(protocol, Probe)
    training = protocol.training
    middle = training.rates[len(training.rates) // 2]
    training = replace(training, epochs=EPOCHS, rates=(middle,) if rates == 1 else training.rates[:rates])
    card = load_card("synthetic")
    source, task = open_source(card, "probe"), protocol.task(card)
    rows = rows_of(source, "clear")[:frames]
    others = Kept(task, encoder.eval(), source, rows_of(source, "clear")[frames : frames + 4], None)
    for row in rows:
        source[row]  # scenes are rendered once, before either is timed
    found, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for way, place in (("cached", Path(folder)), ("uncached", None)):
            learnt = Kept(task, encoder, source, rows, place)
            with _timed() as seconds[way]:
                shown = show(learnt, training.batch_size, seed=0)
                heads = train_heads(task, encoder.channels, shown, training, seed=0, advance=_nothing)
            found[way] = measure(task, heads, others)
        kept = sum(path.stat().st_size for path in Path(folder).iterdir())
    cached, uncached = found["cached"], found["uncached"]
    apart = max(abs(cached[lr][key] - value) for lr, numbers in uncached.items() for key, value in numbers.items())
    if apart > APART:
        raise SystemExit(f"{name}: numbers with and without kept features are {apart:g} apart")
    return {
        "frames": len(rows),
        "rates": len(training.rates),
        "numbers apart": apart,
        "cached": seconds["cached"],
        "uncached": seconds["uncached"],
        "times as fast": round(seconds["uncached"]["processor"] / seconds["cached"]["processor"], 2),
        "times as fast on the clock": round(seconds["uncached"]["clock"] / seconds["cached"]["clock"], 2),
        "megabytes kept of a frame": round(kept / len(rows) / 1e6, 1),
    }


def confusions(_: int) -> Iterator[tuple[str, Numbers]]:
    """Count the points of nuScenes' validation, beside leaving out what is ignored and counting the rest."""
    rng = torch.Generator().manual_seed(0)
    drawn = [
        (torch.randint(0, CLASSES, (POINTS,), generator=rng), torch.randint(-1, CLASSES, (POINTS,), generator=rng))
        for _ in range(16)
    ]
    metric = ConfusionMatrix(CLASSES)
    with _timed() as ours:
        for sweep in range(SWEEPS):
            metric.update(*drawn[sweep % len(drawn)])
    plain = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    with _timed() as theirs:
        for sweep in range(SWEEPS):
            plain += _plain(*drawn[sweep % len(drawn)])
    if not torch.equal(metric.matrix[:, :-1], plain):
        raise SystemExit("the counts do not agree with the plain ones")
    times = round(theirs["processor"] / ours["processor"], 2)
    yield "confusion", {"sweeps": SWEEPS, "points": SWEEPS * POINTS, **ours, "times as fast as plain": times}


def _plain(prediction: Tensor, target: Tensor) -> Tensor:
    valid = target >= 0
    index = target[valid] * CLASSES + prediction[valid]
    return torch.bincount(index, minlength=CLASSES**2).view(CLASSES, CLASSES)


def precision(_: int) -> Iterator[tuple[str, Numbers]]:
    """Match what is found in KITTI's validation: 50 boxes a frame, half of them near a true one."""
    rng = np.random.default_rng(0)
    drawn = [_scene(rng) for _ in range(FRAMES)]
    with _timed() as seconds:
        made = curves([truth for truth, _ in drawn], [found for _, found in drawn], (0.7, 0.5, 0.5))
    moderate = {f"class {index} {kind}": round(levels[1].r40, 2) for (index, kind), levels in made.items()}
    yield "KITTI average precision", {"frames": FRAMES, "true": BOXES, "found": BOXES, **seconds, "AP": moderate}


def _scene(rng: np.random.Generator) -> tuple[Truth, Found]:
    """Draw 50 true boxes and 50 found ones."""
    classes = rng.choice(3, BOXES, p=[0.7, 0.2, 0.1])
    size = np.array([[3.9, 1.6, 1.56], [0.8, 0.6, 1.73], [1.76, 0.6, 1.73]])[classes]
    centre = np.column_stack([rng.uniform(0, 70, BOXES), rng.uniform(-40, 40, BOXES), rng.normal(-1, 0.2, BOXES)])
    truth = np.column_stack([centre, size, rng.uniform(-np.pi, np.pi, BOXES)])
    found = truth + rng.normal(0, 0.05, truth.shape)
    found[BOXES // 2 :, 0] = rng.uniform(0, 70, BOXES - BOXES // 2)
    numbers = torch.from_numpy(classes)
    levels = torch.from_numpy(rng.integers(0, 4, BOXES))
    heights, scores = (torch.from_numpy(rng.uniform(low, high, BOXES)) for low, high in ((10, 200), (0, 1)))
    return Truth(torch.from_numpy(truth), numbers, levels), Found(torch.from_numpy(found), numbers, scores, heights)


PARTS: dict[str, Callable[[int], Iterator[tuple[str, Numbers]]]] = {
    "points": points,
    "images": images,
    "confusion": confusions,
    "precision": precision,
}


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    seconds: dict[str, float] = {}
    clock, processor = time.perf_counter(), time.process_time()
    yield seconds
    seconds["processor"] = round(time.process_time() - processor, 2)
    seconds["clock"] = round(time.perf_counter() - clock, 2)


def _nothing() -> None:
    pass


if __name__ == "__main__":
    main()
