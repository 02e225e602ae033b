"""What a corruption is: what it does to a camera's picture and to a LiDAR's sweep, from one physical cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What all sensors of a frame share.

    Args:
        ground: (4,) plane n and d of the road in the LiDAR frame, n x + d = 0 with n upward.
        seed: of what is random about the world, and not about one sensor.
        cameras: how many there are.
    """

    ground: NDArray[np.float64]
    seed: int
    cameras: int

    def rng(self) -> Generator:
        """Return the source of what is random about the world; the same numbers for every sensor."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class View:
    """What one camera saw.

    Args:
        image: (3, H, W) RGB of eight bits, as it is displayed.
        look: finds :attr:`reach`, which costs more than many a corruption.
        intrinsics: (3, 3) pixels of the image.
        cam_from_lidar: (4, 4).
        scene: that it is in.
        index: of the camera.
    """

    image: Tensor
    look: Callable[[], Tensor]
    intrinsics: Tensor
    cam_from_lidar: Tensor
    scene: Scene
    index: int

    @cached_property
    def reach(self) -> Tensor:
        """Metres (h, w) along the ray to what is seen, :data:`lidar2d.data.weather.reach.SKY` where nothing is.

        In cells of one or more pixels: geometry needs fewer than light.
        """
        return self.look()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.image.shape[-2], self.image.shape[-1]

    def rays(self) -> Tensor:
        """Return the directions (3, h, w) that cells look in, of length 1, in the camera's axes."""
        (rows, columns), (height, width) = self.reach.shape, self.size
        v, u = (torch.arange(rows) + 0.5) * (height / rows), (torch.arange(columns) + 0.5) * (width / columns)
        v, u = torch.meshgrid(v, u, indexing="ij")
        inverse = torch.linalg.inv(self.intrinsics).float()
        x = inverse[0, 0] * u + inverse[0, 1] * v + inverse[0, 2]
        y = inverse[1, 1] * v + inverse[1, 2]
        return torch.stack([x, y, torch.ones_like(x)]) * torch.rsqrt(x * x + y * y + 1)


@dataclass(frozen=True)
class Sweep:
    """What the LiDAR saw.

    Args:
        points: (N, 4 or 5) x y z in metres, intensity 0..1, and in a fifth column the age in seconds.
        scene: that it is in.
        elevation: degrees: the lowest and the highest beam.
        beams: of the sensor.
        labels: (N,) class index, -1 for none; told to corruptions alone that read them, None where there are none.
        classes: names of the indices.
    """

    points: Floats
    scene: Scene
    elevation: tuple[float, float]
    beams: int
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Echoes:
    """What the LiDAR sees of it instead.

    Args:
        points: (M, 4 or 5), as the sweep has them.
        source: (M,) the row of the clear point on the same beam, whose label a point keeps.
        synthetic: (M,) bool: the weather's own echo, which has no label.
    """

    points: Floats
    source: NDArray[np.int64]
    synthetic: NDArray[np.bool_]


class Corruption:
    """Bad weather or a faulty sensor of one strength; a subclass says what it does to either sensor.

    What is random comes from the generators alone: one for each camera, one for the LiDAR.

    Weather knows nothing of labels. A benchmark of others may: a corruption that ``reads_labels`` is told those of the
    points, and records say so. One that is not ``everywhere`` may leave a sensor of a frame as it is.
    """

    reads_labels: ClassVar[bool] = False
    everywhere: ClassVar[bool] = True

    @property
    def cameras(self) -> bool:
        """Whether pictures change."""
        return type(self).picture is not Corruption.picture

    @property
    def lidar(self) -> bool:
        """Whether sweeps change."""
        return type(self).echoes is not Corruption.echoes

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 a camera that it leaves alone
        """Return the image (3, H, W) of eight bits that the camera takes instead."""
        return view.image

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:  # noqa: ARG002 a LiDAR that it leaves alone
        """Return what comes back to the LiDAR instead."""
        return keep(sweep.points)


def keep(points: Floats, rows: NDArray[np.bool_] | None = None) -> Echoes:
    """Return some of the points, all by default, as they are."""
    source = np.arange(len(points)) if rows is None else np.flatnonzero(rows)
    return Echoes(points[source], source, np.zeros(len(source), bool))
