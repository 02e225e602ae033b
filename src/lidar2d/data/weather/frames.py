"""One frame in bad weather: what its sensors say instead, with the truth as it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.weather.corruption import Corruption, Echoes, Scene, Sweep, View
from lidar2d.data.weather.ground import plane
from lidar2d.data.weather.reach import reaches
from lidar2d.data.weather.table import Table
from lidar2d.errors import DataError
from lidar2d.frame import Boxes, Frame, collate
from lidar2d.geometry import labels_seen, measured_depth, points_in_boxes
from lidar2d.results.record import spelt

_WORLD = "world"  # the seed that all sensors share


@dataclass(frozen=True)
class Bad:
    """One corruption of one severity, by its name in a table."""

    table: Table
    name: str
    severity: int

    def __str__(self) -> str:
        """Return the condition of its frames, such as ``fog-3``."""
        return spelt(self.name, self.severity)

    @property
    def corruption(self) -> Corruption:
        """What is done to frames."""
        return self.table.at(self.name, self.severity)

    def seed(self, token: str, sensor: str) -> int:
        """Return what seeds one sensor of a frame: nothing else decides what is random, on any machine.

        Severities share it, so that they differ in what they mean and not in luck.
        """
        words = f"{self.table}/{self.name}/{token}/{sensor}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")


def corrupt(frame: Frame, bad: Bad, card: Card) -> Frame:
    """Return a clear frame in bad weather, at the resolution that it has.

    Labels of points stay with them; echoes of the weather have none. Labels of pixels, depth and boxes say what is
    there, whether it can be seen or not. Colours are those of eight bits.

    Raises:
        DataError: if the corruption should have changed a sensor's data, and has not; if it reads the labels of
            points, and there are none; or if nothing tells how far away pixels are, and it asks.
    """
    scene = Scene(plane(frame.points.numpy()), bad.seed(frame.token, _WORLD), len(frame.images))
    found = frame
    if bad.corruption.cameras and len(frame.images):
        found = replace(found, images=pictures(frame, bad, scene), files=())
    return swept(found, bad, scene, card) if bad.corruption.lidar and len(frame.points) else found


def pictures(frame: Frame, bad: Bad, scene: Scene) -> Tensor:
    """Return what the cameras of a clear frame take instead.

    Raises:
        DataError: if that is what they took.
    """
    images = torch.empty_like(frame.images)
    far = cache(partial(reaches, frame))  # of all cameras at once, when the first of them asks
    for index in range(len(images)):
        rng = np.random.default_rng(bad.seed(frame.token, f"camera {index}"))
        images[index] = bad.corruption.picture(_view(frame, index, far, scene), rng)
    if torch.equal(images.div_(255), frame.images) and bad.corruption.everywhere:
        raise DataError(f"{bad} has left the images of frame {frame.token} as they were; it is no corruption of them")
    return images


def _view(frame: Frame, index: int, far: Callable[[], Tensor], scene: Scene) -> View:
    pixels = (frame.images[index] * 255).round_().clamp_(0, 255).byte()
    return View(pixels, lambda: far()[index], frame.intrinsics[index], frame.cam_from_lidar[index], scene, index)


def swept(frame: Frame, bad: Bad, scene: Scene, card: Card) -> Frame:
    """Return a frame with what its LiDAR sees instead.

    Raises:
        DataError: if that is what it saw, or labels are read and there are none.
    """
    corruption, points = bad.corruption, frame.points.numpy()
    sweep = Sweep(points, scene, card.elevation, card.beams)
    sweep = _labelled(sweep, frame, bad, card) if corruption.reads_labels else sweep
    found = corruption.echoes(sweep, np.random.default_rng(bad.seed(frame.token, "lidar")))
    unchanged = len(found.points) == len(points) and np.array_equal(found.points, points)
    if unchanged and corruption.everywhere:
        raise DataError(f"{bad} has left the points of frame {frame.token} as they were; it is no corruption of them")
    return replace(
        frame, points=torch.from_numpy(found.points), labels=_labels(frame.labels, found), boxes=_with_hits(frame)
    )


def _labelled(sweep: Sweep, frame: Frame, bad: Bad, card: Card) -> Sweep:
    if frame.labels is None:
        raise DataError(
            f"{bad} of {bad.table} reads the labels of points, and frame {frame.token} has none\n"
            "leave it out: name the others in --data.weather.corruptions"
        )
    return replace(sweep, labels=frame.labels.numpy(), classes=card.classes)


def _labels(labels: Tensor | None, found: Echoes) -> Tensor | None:
    if labels is None:
        return None
    kept = labels[torch.from_numpy(found.source)]
    return torch.where(torch.from_numpy(found.synthetic), -1, kept)


def _with_hits(frame: Frame) -> Boxes | None:
    """Count the points in boxes while the air is clear: a car is there, and is looked for, whoever sees it."""
    boxes = frame.boxes
    if boxes is None or boxes.hits is not None:
        return boxes
    return replace(boxes, hits=points_in_boxes(frame.points[:, :3].double(), boxes.geometry.double()).sum(1))


def with_truth(frame: Frame, clear: Frame) -> Frame:
    """Return a frame in bad weather with the truth of its pixels where only the points of the clear frame tell it."""
    told = frame.depth is not None and frame.pixel_labels is not None
    if told or not (len(clear.images) and len(clear.points)):
        return frame
    batch = collate([clear])
    depth = measured_depth(batch) if frame.depth is None else frame.depth
    labels = frame.pixel_labels
    if labels is None and batch.labels is not None:
        labels = labels_seen(batch, batch.labels)
    return replace(frame, depth=depth, pixel_labels=labels)


def fingerprint(frame: Frame) -> str:
    """Return 16 digits that tell one sensor input from another."""
    digest = hashlib.sha256(frame.points.contiguous().numpy().tobytes())
    digest.update((frame.images * 255).round().byte().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
