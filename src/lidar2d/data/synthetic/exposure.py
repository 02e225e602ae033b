"""What lenses and sensors make of light: blur, auto-exposure, photon noise, white balance, eight bits."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.sensors import CAMERAS, HEIGHT, WIDTH, Floats

VIEWS = len(CAMERAS)
GRID = (3, VIEWS, HEIGHT, WIDTH)
Bytes = NDArray[np.uint8]


@lru_cache(maxsize=1)
def _white() -> Floats:
    """Return two million normal numbers; a slice at a random place is a picture's noise."""
    return np.random.default_rng(79).standard_normal(1 << 21, dtype=np.float32)


def _noise(rng: Rng) -> Floats:
    size = int(np.prod(GRID))
    start = int(rng.integers(len(_white()) - size))
    return _white()[start : start + size].reshape(GRID)


def _soften(image: Floats, side: float) -> Floats:
    """Blur by the lens: each pixel takes ``side`` of the light of each neighbour."""
    middle = np.float32(1 - 2 * side)
    for axis in (-1, -2):
        ahead = np.moveaxis(image, axis, -1)
        out = ahead * middle
        out[..., 1:] += side * ahead[..., :-1]
        out[..., :-1] += side * ahead[..., 1:]
        out[..., 0] += side * ahead[..., 0]
        out[..., -1] += side * ahead[..., -1]
        image = np.moveaxis(out, -1, axis)
    return image


def spread(image: Floats, cells: int) -> Floats:
    """Return a broad blur: means over blocks of 8 x 8 pixels, smoothed and enlarged again."""
    small = image.reshape(*image.shape[:2], HEIGHT // 8, 8, WIDTH // 8, 8).mean((3, 5))
    for _ in range(cells):
        small = _soften(small, 0.3)
    rows, columns = (_ramp(size) for size in (HEIGHT, WIDTH))
    large: Floats = np.matmul(np.matmul(rows, small), columns.T)
    return large


@lru_cache(maxsize=2)
def _ramp(size: int) -> Floats:
    """Return the matrix (size, size / 8) that interpolates linearly between blocks of eight."""
    place = np.clip((np.arange(size) + 0.5) / 8 - 0.5, 0, size // 8 - 1)
    weights: Floats = np.maximum(1 - np.abs(place[:, None] - np.arange(size // 8)), 0).astype(np.float32)
    return weights


def expose(
    radiance: Floats,
    rng: Rng,
    *,
    mean: float,
    photons: float,
    read: float,
    most_gain: float = np.inf,
    blur: float = 0.12,
) -> Bytes:
    """Expose each camera towards a mean level 0..255, with shot and read noise.

    Args:
        radiance: (3, N) linear light.
        rng: source of the noise and of the white balance.
        mean: the level that auto-exposure aims at.
        photons: collected by a pixel at radiance 1.
        read: noise in photons.
        most_gain: auto-exposure's limit: radiance 1 becomes at most this.
        blur: light that each neighbour takes.
    """
    image = _soften(np.maximum(radiance.reshape(GRID), 0), blur)
    # the street counts twice, as in a car's camera: a bright sky must not darken it
    thin = image[:, :, ::2, ::2]
    thin = np.minimum(thin, 4 * np.median(thin) + 0.02)
    level = 0.33 * thin[:, :, : HEIGHT // 4].mean((0, 2, 3)) + 0.67 * thin[:, :, HEIGHT // 4 :].mean((0, 2, 3))
    aim = (mean / 255) ** 2 * 1.15
    gain = np.minimum(aim / np.maximum(level, 1e-6), most_gain).astype(np.float32)[:, None, None]
    gain *= rng.uniform(0.9, 1.12)
    deviation = np.sqrt((image + np.float32(read * read / photons)) * np.float32(1 / photons))
    image += deviation * _noise(rng)
    balance = np.exp(rng.normal(0, 0.09, 3)).astype(np.float32)
    image *= gain * (balance / balance.mean())[:, None, None, None]
    np.maximum(image, 0, out=image)
    image *= (1 + image * np.float32(0.1)) / (1 + 0.25 * image)  # highlights roll off
    np.sqrt(image, out=image)
    image *= 255
    np.minimum(image, 255, out=image)
    return np.ascontiguousarray(image.astype(np.uint8).transpose(1, 0, 2, 3))
