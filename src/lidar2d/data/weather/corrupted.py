"""Frames in bad weather: a source of clear frames, and of what each corruption makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.source import Problem, Source
from lidar2d.data.weather.corruption import Corruption, Echoes, Scene, Sweep, View
from lidar2d.data.weather.ground import plane
from lidar2d.data.weather.reach import reaches
from lidar2d.data.weather.table import Table
from lidar2d.data.windows import resize
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Frame

CLEAR = "clear"  # the condition of frames that nothing was done to

_WORLD = "world"  # the seed that all sensors share


@dataclass(frozen=True)
class Bad:
    """One corruption of one severity, by its name in a table."""

    table: Table
    name: str
    severity: int

    def __str__(self) -> str:
        """Return the condition of its frames."""
        return f"{self.name}-{self.severity}"

    @property
    def corruption(self) -> Corruption:
        """What is done to frames."""
        return self.table.at(self.name, self.severity)

    def seed(self, token: str, sensor: str) -> int:
        """Return what seeds one sensor of a frame: nothing else decides what is random, on any machine."""
        words = f"{self.table}/{self.name}/{self.severity}/{token}/{sensor}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")


def severity_of(condition: str) -> tuple[str, int]:
    """Split a condition such as ``fog-3`` in the corruption and its severity; others have severity 0."""
    name, _, last = condition.rpartition("-")
    return (name, int(last)) if name and last in {"1", "2", "3", "4", "5"} else (condition, 0)


def corrupt(frame: Frame, bad: Bad, card: Card) -> Frame:
    """Return a clear frame in bad weather, at the resolution that it has.

    Labels of points stay with them; echoes of the weather have none. Labels of pixels, depth and boxes say what is
    there, whether it can be seen or not. Colours are those of eight bits.

    Raises:
        DataError: if the corruption should have changed a sensor's data, and has not.
    """
    corruption, token = bad.corruption, frame.token
    points = frame.points.numpy()
    scene = Scene(plane(points), bad.seed(token, _WORLD), len(frame.images))
    if corruption.cameras and len(frame.images):
        images = _pictures(frame, bad, scene)
        if torch.equal(images, frame.images):
            raise DataError(f"{bad} has left the images of frame {token} as they were; it is no corruption of them")
        frame = replace(frame, images=images, files=())
    if corruption.lidar and len(points):
        rng = np.random.default_rng(bad.seed(token, "lidar"))
        found = corruption.echoes(Sweep(points, scene, card.elevation, card.beams), rng)
        if len(found.points) == len(points) and np.array_equal(found.points, points):
            raise DataError(f"{bad} has left the points of frame {token} as they were; it is no corruption of them")
        frame = replace(frame, points=torch.from_numpy(found.points), labels=_labels(frame.labels, found))
    return frame


def _pictures(frame: Frame, bad: Bad, scene: Scene) -> Tensor:
    images = torch.empty_like(frame.images)
    for index, reach in enumerate(reaches(frame)):
        pixels = (frame.images[index] * 255).round_().clamp_(0, 255).byte()
        view = View(pixels, reach, frame.intrinsics[index], frame.cam_from_lidar[index], scene, index)
        rng = np.random.default_rng(bad.seed(frame.token, f"camera {index}"))
        images[index] = bad.corruption.picture(view, rng)
    return images.div_(255)


def _labels(labels: Tensor | None, found: Echoes) -> Tensor | None:
    if labels is None:
        return None
    kept = labels[torch.from_numpy(found.source)]
    return torch.where(torch.from_numpy(found.synthetic), -1, kept)


def fingerprint(frame: Frame) -> str:
    """Return 16 digits that tell one sensor input from another."""
    digest = hashlib.sha256(frame.points.contiguous().numpy().tobytes())
    digest.update((frame.images * 255).round().byte().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
