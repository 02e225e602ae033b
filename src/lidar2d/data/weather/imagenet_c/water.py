"""Drops of water as ImageNet-C's spatter has them: a relief of how far places are from the rim of a drop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import label
from torch import Tensor

from lidar2d.data.weather.imagenet_c.blur import weighted

_FAR = 20  # pixels from the rim of a drop, beyond which all is the same
_STRIP = 64  # rows that are looked at at a time: they stay in the processor's cache
_NEAR = (-1, 0, 1)
_RIM = (50, 150)  # of 255: changes from which on one is looked for, and found, by Canny's edges
_RELIEF = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))  # light that falls on drops from a corner


def glitter(liquid: Tensor) -> Tensor:
    """Return how much (H, W) drops glitter, at most 1.

    Args:
        liquid: (H, W) its thickness, 0 where there is none.
    """
    thickness = (liquid * 255).floor()
    depth = _even(_mean(from_rim(rims(thickness))).floor())
    relief = _weighted(depth, _RELIEF).clamp_(0, 255)
    found = thickness.mul_(_mean(relief))
    return found.div_(found.max().clamp_min(1e-6))


def rims(thickness: Tensor) -> NDArray[np.bool_]:
    """Return the edges (H, W) of a plane (H, W) of 0..255: J. Canny, PAMI 1986, with Sobel's gradient and no blur.

    Weak ones count where they touch strong ones.
    """
    wide = F.pad(thickness[None, None], (1,) * 4, mode="replicate")[0, 0]
    ridge = np.zeros(thickness.shape, np.uint8)
    for top in range(0, len(thickness) - 2, _STRIP):
        part = _ridges(wide[top : top + _STRIP + 4])
        ridge[top + 1 : top + 1 + len(part), 1:-1] = part
    place = np.flatnonzero(ridge)
    parts, count = label(ridge, np.ones((3, 3)))
    part, strong = parts.take(place), np.zeros(count + 1, bool)
    strong[part[ridge.take(place) > 1]] = True
    found = np.zeros(thickness.shape, bool)
    found.put(place, strong.take(part))
    return found


def _ridges(plane: Tensor) -> Tensor:
    """Return of a plane (H + 4, W + 4) where (H, W) its gradient is no weaker than before and behind, along itself.

    It is 1 there, 2 where it is strong, and 0 elsewhere. Before and behind are between pixels, by lines.
    """
    across, down = (weighted(weighted(plane, (1, 2, 1), axis), (-1, 0, 1), 1 - axis) for axis in (0, 1))
    strength = torch.hypot(across, down)

    height, width = (size - 2 for size in strength.shape)
    beside = {(v, u): strength[v + 1 : v + 1 + height, u + 1 : u + 1 + width] for v in _NEAR for u in _NEAR}
    down, across, own = down[1:-1, 1:-1], across[1:-1, 1:-1], beside[0, 0]
    alike = (down * across >= 0).to(own)  # 0 and 1 to blend by: four times as quick as to choose by truths
    down, across = down.abs(), across.abs()
    steep = (down >= across).to(own)
    share = torch.minimum(down, across) / torch.maximum(down, across)
    found = own >= _RIM[0]
    for way in (1, -1):
        straight = torch.lerp(beside[0, way], beside[way, 0], steep)
        slanted = torch.lerp(beside[-way, way], beside[way, -way], steep)
        slanted = torch.lerp(slanted, beside[way, way], alike)
        found &= own >= torch.lerp(straight, slanted, share)
    return found.byte() + (found & (own >= _RIM[1]))


def from_rim(rim: NDArray[np.bool_]) -> Tensor:
    """Return the distance (H, W) in pixels of each place, at most 20, to the nearest rim (H, W) of a drop."""
    # along each row first, then of all rows nearby the nearest: both apart, and exact
    along = np.where(rim, np.uint8(0), np.uint8(_FAR))
    for step in (1, 2, 4, 8, 16):  # after which one knows of rims twice as far away
        before = along.copy()
        np.minimum(along[:, step:], before[:, :-step] + np.uint8(step), out=along[:, step:])
        np.minimum(along[:, :-step], before[:, step:] + np.uint8(step), out=along[:, :-step])
    nearest = np.square(along, dtype=np.uint16)
    tall = np.pad(nearest, ((_FAR, _FAR), (0, 0)), constant_values=_FAR**2)
    for top in range(0, len(nearest), _STRIP):
        part = nearest[top : top + _STRIP]
        for away in range(1, _FAR):
            first = top + _FAR - away
            nearer = np.minimum(tall[first : first + len(part)], tall[first + 2 * away : first + 2 * away + len(part)])
            nearer += np.uint16(away**2)
            np.minimum(part, nearer, out=part)
    return torch.from_numpy(np.sqrt(nearest.astype(np.float32)))


def _mean(plane: Tensor) -> Tensor:
    """Return means over squares of 3 pixels a side."""
    return _weighted(plane, ((1, 1, 1),) * 3).div_(9)


def _weighted(plane: Tensor, weights: Sequence[Sequence[int]]) -> Tensor:
    """Return what 3x3 pixels around each pixel of a plane (H, W) sum up to; edges are mirrored."""
    height, width = plane.shape
    wide = F.pad(plane[None, None], (1,) * 4, mode="reflect")[0, 0]
    total = torch.zeros_like(plane)
    for row, line in enumerate(weights):
        for column, weight in enumerate(line):
            if weight:
                total.add_(wide[row : row + height, column : column + width], alpha=weight)
    return total


def _even(plane: Tensor) -> Tensor:
    """Return whole numbers from 0 to 255 with their histogram made even."""
    below = plane.byte().flatten().bincount(minlength=256).cumsum(0).float()
    least = below[int(plane.min())]
    table = ((below - least) * (255 / (below[-1] - least).clamp_min(1))).round_().clamp_(0, 255)
    return table[plane.long()]
