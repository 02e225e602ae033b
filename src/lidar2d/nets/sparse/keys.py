"""Voxel coordinates packed into one int64 each, so that a voxel is found by binary search.

A key has 9 bits of frame and 18 bits for each of the three axes, the last axis lowest. Keys are linear: the key of a
neighbour is the key plus a constant, as long as no axis leaves its 18 bits; :func:`pack` keeps a margin for that.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BITS = 18
_HALF = 1 << (_BITS - 1)
MARGIN = 1024  # no kernel reaches as far, in finest voxels
LIMIT = _HALF - MARGIN  # coordinates stay below, so that no neighbour leaves its bits
FRAMES = 512


def pack(coordinates: Tensor) -> Tensor:
    """Return the keys (M,) of coordinates (M, 4): frame and three axes within ±``LIMIT``, which is not checked."""
    frame, a, b, c = coordinates.unbind(1)
    return (((frame << _BITS) + a + _HALF << _BITS) + b + _HALF << _BITS) + c + _HALF


def unpack(keys: Tensor) -> Tensor:
    """Return the coordinates (M, 4) of keys (M,)."""
    mask = (1 << _BITS) - 1
    axes = [((keys >> (shift * _BITS)) & mask) - _HALF for shift in (2, 1, 0)]
    return torch.stack([keys >> (3 * _BITS), *axes], dim=1)


def step(a: int, b: int, c: int) -> int:
    """Return what to add to a key to move by (a, b, c)."""
    return (((a << _BITS) + b) << _BITS) + c
