"""Frames a second and core, ours beside the plain way: a nuScenes key frame as a training step of SLidR sees it.

    python benchmarks/speed/data.py --root NUSCENES [--split mini] [--frames 40] [--workers 2]

The plain way is that of the published loaders: it decodes every JPEG whole with Pillow, stacks them as float tensors,
cuts and resizes them with torchvision, finds pairs in the whole images first and carries them through every step. A
lean way does without the stack. That all give the same is told of the same windows. Last comes what each worker of the
loader holds alone, beside the training process.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import multiprocessing
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torchvision.transforms.functional as TF
from numpy.typing import NDArray
from PIL import Image
from tables import private_megabytes
from torchvision.transforms import RandomResizedCrop

from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import load_card
from lidar2d.data.module import LidarData
from lidar2d.data.nuscenes import NuScenes
from lidar2d.data.pixels import window
from lidar2d.frame import Batch, Frame, Pairs
from lidar2d.geometry import pairs

SIZE = (224, 416)
RECIPE = Augment(rotate=180, flip_points="each", crop=(0.3, 1.0), crop_size=SIZE, flip_image=0.5)


@dataclass(frozen=True)
class Chosen:
    """What was random about a frame."""

    windows: list[tuple[int, int, int, int]]  # top, left, height, width
    mirrored: list[bool]
    angle: float


def ours(frames: TrainingFrames, epoch: int) -> tuple[Batch, Pairs]:
    batch = frames[[(epoch, 0)]]
    assert isinstance(batch, Batch)
    return batch, pairs(batch)


def chosen(whole: Frame, batch: Batch) -> Chosen:
    """Read off a batch of one frame what was drawn for it."""
    windows, mirrored = [], []
    matrices = batch.intrinsics @ torch.linalg.inv(whole.intrinsics)
    for matrix in matrices.tolist():
        (left, top, right, bottom), mirror = window(matrix, SIZE)
        windows.append((round(top), round(left), round(bottom - top), round(right - left)))
        mirrored.append(mirror)
    return Chosen(windows, mirrored, 1.0)


def plain(source: NuScenes, whole: Frame, drawn: Chosen | None = None, lean: bool = False) -> tuple[torch.Tensor, ...]:
    """Return points, images (V, 3, h, w), and the point, view, row and column of each pair; draw what is not given."""
    sample = source.index.samples[source.rows[0]]
    cloud = np.fromfile(source.root / source.index.lidar(sample["sweep"]), dtype=np.float32).reshape(-1, 5)[:, :4]
    cloud = np.stack([cloud[:, 1], -cloud[:, 0], cloud[:, 2], cloud[:, 3] / 255], axis=1)
    images, points, places = [], [], []
    for view, file in enumerate(whole.files):
        with Image.open(file.path) as picture:
            images.append(TF.to_tensor(picture.convert("RGB")))
        in_camera = (
            whole.cam_from_lidar[view].numpy() @ np.concatenate([cloud[:, :3], np.ones((len(cloud), 1))], axis=1).T
        )
        pixels = file.intrinsics.numpy() @ in_camera[:3]
        u, v, depth = pixels[0] / pixels[2], pixels[1] / pixels[2], in_camera[2]
        seen = np.flatnonzero((depth > 1) & (u >= 0) & (u < file.size[1]) & (v >= 0) & (v < file.size[0]))
        points.append(seen)
        places.append(np.stack([np.full(len(seen), view), v[seen], u[seen]], axis=1))
    images = images if lean else list(torch.stack(images))
    point, place = np.concatenate(points), np.concatenate(places)
    drawn = drawn or draw(images, place)
    turn = np.array([[np.cos(drawn.angle), np.sin(drawn.angle)], [-np.sin(drawn.angle), np.cos(drawn.angle)]])
    cloud[:, :2] = cloud[:, :2] @ turn
    cut = []
    keep = np.ones(len(point), dtype=bool)
    for view, (top, left, height, width) in enumerate(drawn.windows):
        image = TF.resized_crop(images[view], top, left, height, width, list(SIZE), antialias=True)
        own = place[:, 0] == view
        place[own, 1:] = (place[own, 1:] - (top, left)) * (SIZE[0] / height, SIZE[1] / width)
        inside = (place[:, 1:] >= 0).all(1) & (place[:, 1] < SIZE[0]) & (place[:, 2] < SIZE[1])
        keep &= ~own | inside
        if drawn.mirrored[view]:
            image = TF.hflip(image)
            place[own, 2] = SIZE[1] - place[own, 2]
        cut.append(image)
    return torch.from_numpy(cloud), torch.stack(cut), torch.from_numpy(point[keep]), torch.from_numpy(place[keep])


def draw(images: list[torch.Tensor], place: NDArray[np.float64]) -> Chosen:
    """Draw windows by the recipe's rule: each keeps more than 1024 of its view's pairs, or three quarters of them."""
    windows = []
    for view, image in enumerate(images):
        row, column = place[place[:, 0] == view, 1:].T
        while True:
            top, left, height, width = RandomResizedCrop.get_params(image, [0.3, 1.0], [14 / 9, 17 / 9])
            kept = ((row >= top) & (row < top + height) & (column >= left) & (column < left + width)).sum()
            if kept > 1024 or kept >= 0.75 * len(row):
                break
        windows.append((top, left, height, width))
    return Chosen(windows, (torch.rand(len(images)) < 0.5).tolist(), float(torch.rand(()) * 2 * np.pi))


def worker_megabytes(root: Path, split: str, workers: int) -> list[float]:
    """Return what each worker of the loader holds alone after a few batches of one frame."""
    data = LidarData(
        "nuscenes", str(root), split, batch_size=1, image_size=(900, 1600), workers=workers, augment=RECIPE
    )
    data.trainer = SimpleNamespace(world_size=1, global_rank=0, global_step=0)  # what the loader asks of Lightning
    data.begin("all", "none", total_steps=6 * workers, seed=0)
    before = set(multiprocessing.active_children())
    for step, _ in enumerate(data.train_dataloader()):
        if step == 3 * workers:  # while they still work
            started = set(multiprocessing.active_children()) - before
            return [private_megabytes(process.pid) for process in started if process.pid is not None]
    raise RuntimeError("the loader ended early")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="mini")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = LidarData("nuscenes", str(given.root), given.split, image_size=(900, 1600), augment=RECIPE)
    source = NuScenes(load_card("nuscenes"), given.split, given.root)
    frames = TrainingFrames(source, 0, RECIPE, data.image_size, None, "stop")
    whole = source.unread(0)
    seconds: dict[str, list[float]] = {"ours": [], "plain": [], "lean": []}
    apart, counts = [], []
    for epoch in range(-3, given.frames):  # the first warm up
        start = time.process_time()
        batch, found = ours(frames, max(epoch, 0))
        middle = time.process_time()
        plain(source, whole)
        end = time.process_time()
        plain(source, whole, lean=True)
        last = time.process_time()
        _, images, point, _ = plain(source, whole, chosen(whole, batch))
        if epoch >= 0:
            seconds["ours"].append(middle - start)
            seconds["plain"].append(end - middle)
            seconds["lean"].append(last - end)
            apart.append(float((batch.images - images).abs().mean()) * 255)
            counts.append(abs(len(found) - len(point)))
    mine = statistics.median(seconds["ours"])
    for name, each in seconds.items():
        taken = statistics.median(each)
        print(f"{name:<6} {1 / taken:6.1f} frames/s a core ({taken * 1e3:6.1f} ms, {taken / mine:.2f} times ours)")
    print(f"images apart by {max(apart):.2f} of 255 at most (mean over a frame); pairs differ by {max(counts)} at most")
    held = worker_megabytes(given.root, given.split, given.workers)
    print(f"each of {len(held)} workers holds {max(held):.0f} MB alone at most")


if __name__ == "__main__":
    main()
