"""Noise that tiles: fixed tables, so that a texture costs one look-up a pixel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lidar2d.data.synthetic.sensors import Floats

SIZE = 512  # cells a side; a power of two


@lru_cache(maxsize=8)
def tile(slope: float, seed: int = 0) -> Floats:
    """Return a tile (SIZE, SIZE) of unit variance whose amplitude falls as frequency ** -slope; 0 is white."""
    white = np.random.default_rng([77, seed]).standard_normal((SIZE, SIZE))
    if slope == 0:
        return white.astype(np.float32)
    rate = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]) * SIZE
    rate[0, 0] = np.inf
    smooth = np.fft.irfft2(np.fft.rfft2(white) * rate**-slope, s=(SIZE, SIZE))
    even: Floats = (smooth / smooth.std()).astype(np.float32)
    return even


@lru_cache(maxsize=1)
def volume() -> Floats:
    """Return uniform 0..1 numbers (32, 32, 32) with neighbours alike: where leaves are."""
    white = np.random.default_rng(78).standard_normal((32, 32, 32))
    for axis in range(3):
        white = white + 0.6 * np.roll(white, 1, axis)
    rank = np.empty(white.size)
    rank[np.argsort(white, axis=None)] = np.arange(white.size) / white.size
    return rank.reshape(white.shape).astype(np.float32)


def look_up(table: Floats, u: Floats, v: Floats) -> Floats:
    """Return the table's value in cell (floor u, floor v), wrapped round."""
    index = (np.floor(u).astype(np.int32) & (SIZE - 1)) * SIZE + (np.floor(v).astype(np.int32) & (SIZE - 1))
    found: Floats = table.reshape(-1)[index]
    return found


def grain(u: Floats, v: Floats, footprint: Floats, cell: float, slope: float = 0.0) -> Floats:
    """Return noise in cells of the given size (metres) that grow with the footprint of a pixel, so none alias."""
    level = np.exp2(np.ceil(np.log2(np.maximum(footprint * (1 / cell), 1))))
    scale = 1 / (level * np.float32(cell))
    return look_up(tile(slope), u * scale, v * scale)


def toss(*keys: Floats) -> Floats:
    """Return numbers 0..1 that look random and depend on whole-numbered keys alone."""
    total = sum(np.floor(key) * np.float32(f) for key, f in zip(keys, (12.9898, 78.233, 37.719, 4.581), strict=False))
    wave = np.sin(total) * np.float32(4375.85)
    fraction: Floats = wave - np.floor(wave)
    return fraction
