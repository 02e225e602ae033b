"""Faults of the camera: it moves, it exposes wrongly, it compresses, it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.light import displayed, linear
from lidar2d.errors import within

_PART = 4.0  # pixels: ways up to twice as long are added up place by place


@dataclass(frozen=True)
class MotionBlur(Corruption):
    """The camera turns while its shutter is open.

    Args:
        angle: degrees that it turns by; blur in pixels follows from the lens, whatever the resolution.
    """

    angle: float

    def __post_init__(self) -> None:
        """Refuse what is no angle."""
        within(0, 45, angle=self.angle)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Add up the light along a straight way across the sensor, mostly sideways.

        A way of 2^n parts is the mean of one part, of itself moved by one, of those two moved by two, and so on.
        """
        light = linear(view.image)
        length = np.radians(self.angle) * float(view.intrinsics[0, 0])
        lean = rng.normal(0, np.radians(20))
        doublings = max(0, int(np.log2(max(length / _PART, 1))))
        across, down = (length / 2**doublings * turn for turn in (np.cos(lean), np.sin(lean)))
        reach = int(np.ceil(length)) + 2
        wide = _short_way(F.pad(light[None], (reach,) * 4, mode="replicate")[0], across, down)
        for doubling in range(doublings):
            wide = _mean_of_two(wide, round(across * 2**doubling), round(down * 2**doubling))
        height, width = view.size
        top, left = (wide.shape[1] - height) // 2, (wide.shape[2] - width) // 2
        return displayed(wide[:, top : top + height, left : left + width])


def _short_way(light: Tensor, across: float, down: float) -> Tensor:
    """Return the mean of light (3, H, W) over a way of a few pixels to the right, by the trapezoidal rule."""
    steps = max(1, int(np.ceil(np.hypot(across, down))))
    margin = int(np.ceil(max(abs(across), abs(down)))) + 1
    height, width = light.shape[1] - 2 * margin, light.shape[2] - 2 * margin
    total = torch.zeros(3, height, width)
    for step in range(steps + 1):
        right, below = across * step / steps, round(down * step / steps)
        whole, part = int(np.floor(right)), right - np.floor(right)
        rows = light[:, margin - below : margin - below + height]
        weight = (0.5 if step in (0, steps) else 1.0) / steps
        total.add_(rows[:, :, margin - whole : margin - whole + width], alpha=weight * (1 - part))
        total.add_(rows[:, :, margin - whole - 1 : margin - whole - 1 + width], alpha=weight * part)
    return total


def _mean_of_two(light: Tensor, right: int, down: int) -> Tensor:
    """Return the mean of light (3, H, W) and of itself moved, where both are known."""
    height, width = light.shape[1] - abs(down), light.shape[2] - abs(right)
    x, y = max(right, 0), max(down, 0)
    here = light[:, y : y + height, x : x + width]
    there = light[:, y - down : y - down + height, x - right : x - right + width]
    return (here + there).mul_(0.5)


@dataclass(frozen=True)
class Exposure(Corruption):
    """The camera exposes wrongly; what is brighter than white is lost, and so is what is darker than a step.

    Args:
        stops: doublings of the light; negative is too dark.
    """

    stops: float

    def __post_init__(self) -> None:
        """Refuse what is no exposure."""
        within(-10, 10, stops=self.stops)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Multiply the light."""
        return displayed(linear(view.image) * 2**self.stops)


@dataclass(frozen=True)
class Jpeg(Corruption):
    """The picture is compressed.

    Args:
        quality: of JPEG, 1 to 100.
    """

    quality: int

    def __post_init__(self) -> None:
        """Refuse what JPEG does not know."""
        within(1, 100, quality=self.quality)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Compress and decode it."""
        pixels = view.image.permute(1, 2, 0).contiguous().numpy()
        coded = simplejpeg.encode_jpeg(pixels, quality=self.quality, colorsubsampling="420")
        return torch.from_numpy(simplejpeg.decode_jpeg(coded)).permute(2, 0, 1)


@dataclass(frozen=True)
class CameraLoss(Corruption):
    """Cameras that fail, each a different one; their pictures are black.

    Args:
        share: of the cameras; at least one.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, share=self.share)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 which ones is a matter of the scene
        """Return black, if this camera is among those that fail."""
        count = max(1, round(self.share * view.scene.cameras))
        failed = view.scene.rng().permutation(view.scene.cameras)[:count]
        return torch.zeros_like(view.image) if view.index in failed else view.image
