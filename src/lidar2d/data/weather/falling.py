"""What a camera sees of drops and flakes that fall by it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.weather.corruption import View
from lidar2d.data.weather.particles import Particles

_EXPOSURE = 8e-3  # seconds that the shutter is open
_NEAREST, _FARTHEST = 0.4, 15.0  # metres; those farther away are part of the air
_MOST = 30_000  # that are drawn; of more the largest, for the others fill little of the picture each
_LEVELS = 6  # balls of up to 2^5 pixels


def cover(view: View, particles: Particles, speed: float, rng: Generator) -> Tensor:
    """Return which share of each pixel (H, W) is covered by falling balls while the shutter is open.

    Balls are drawn in the pyramid's volume in front of the camera, each as wide and as long as its size, its distance
    and its fall make it; those behind what the picture shows are hidden.

    Args:
        view: of the camera.
        particles: in the air.
        speed: metres per second, downward.
        rng: where they are.
    """
    height, width = view.size
    rows, columns = view.reach.shape
    fu, fv, cu, cv = (float(view.intrinsics[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    volume = width / fu * height / fv * (_FARTHEST**3 - _NEAREST**3) / 3
    expected = particles.number * volume
    least = particles.size * max(0.0, np.log(expected / _MOST))  # as many as may be drawn are larger
    count = rng.poisson(min(expected, _MOST))
    depth = (rng.random(count) * (_FARTHEST**3 - _NEAREST**3) + _NEAREST**3) ** (1 / 3)
    u, v = rng.random(count) * width, rng.random(count) * height
    size = least + rng.exponential(particles.size, count)
    stretch = np.sqrt(1 + ((u - cu) / fu) ** 2 + ((v - cv) / fv) ** 2)
    row, column = (v * (rows / height)).astype(np.int64), (u * (columns / width)).astype(np.int64)
    seen = depth * stretch < view.reach.numpy()[row, column]
    depth, u, v, size = depth[seen], u[seen], v[seen], size[seen]
    wide, long = size * fu / depth, speed * _EXPOSURE * fv / depth
    return 1 - torch.exp(-_drawn(u, v, wide, long, height, width))


def _drawn(
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    wide: NDArray[np.float64],
    long: NDArray[np.float64],
    height: int,
    width: int,
) -> Tensor:
    """Add up streaks: wide ones in smaller pictures, so that each is a pixel or less wide where it is drawn.

    A ball covers its own area at each time; over the exposure that area is spread along its way.
    """
    level = np.clip(np.ceil(np.log2(np.maximum(wide, 1))), 0, _LEVELS - 1).astype(np.int64)
    widest = int(level.max(initial=0))
    total = torch.zeros(_halved((height, width), widest))
    for each in range(widest, -1, -1):
        scale, size = 2.0**each, _halved((height, width), each)
        if each < widest:
            twice = F.interpolate(total[None, None], scale_factor=2, mode="bilinear", align_corners=False)
            total = twice[0, 0, : size[0], : size[1]]
        rows = np.flatnonzero(level == each)
        length = long[rows] / scale
        places = np.ceil(length).astype(np.int64).clip(1)
        start = np.cumsum(places) - places
        along = (np.arange(int(places.sum())) - np.repeat(start, places) + 0.5) / np.repeat(places, places)
        x = np.repeat(u[rows] / scale, places)
        y = np.repeat(v[rows] / scale, places) + np.repeat(length, places) * along
        area = np.pi / 4 * np.square(wide[rows] / scale)
        total += _splat(x, y, np.repeat(area / places, places), size)
    return total


def _halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    """Return the size of a picture that is halved so often; an odd pixel stays."""
    return -(-size[0] // 2**times), -(-size[1] // 2**times)


def _splat(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64], size: tuple[int, int]
) -> Tensor:
    """Add weights to the four pixels (H, W) around each place."""
    height, width = size
    column, row = np.floor(x - 0.5), np.floor(y - 0.5)
    right, below = x - 0.5 - column, y - 0.5 - row
    indices, parts = [], []
    for down in (0, 1):
        for across in (0, 1):
            at_column, at_row = column + across, row + down
            inside = (at_column >= 0) & (at_column < width) & (at_row >= 0) & (at_row < height)
            part = weight * (below if down else 1 - below) * (right if across else 1 - right)
            indices.append((at_row * width + at_column)[inside].astype(np.int64))
            parts.append(part[inside])
    total = np.bincount(np.concatenate(indices), np.concatenate(parts), height * width)
    return torch.from_numpy(total.reshape(height, width).astype(np.float32))
