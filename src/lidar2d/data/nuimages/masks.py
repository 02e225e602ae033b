"""Masks as the COCO tools write them: run lengths, column by column, in letters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ZERO = 48  # the letter of a group of bits that are all 0
_MORE = 32  # the bit of a group that says: another one follows, with higher bits
_SIGN = 16  # the highest of a last group's five bits
_LONGEST = 6  # groups of five bits: runs have 2^30 pixels at most


def decode_mask(letters: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask (height, width) that a compressed run-length code stands for.

    The code is a list of numbers, each in groups of five bits, the lowest first. From the fourth on, a number is the
    difference between a run's length and that of the run two before it. Runs go down the columns, the first is outside.

    Args:
        letters: the code (N,).
        size: (height, width).

    Raises:
        ValueError: if this is no code of a mask of that size.
    """
    runs = _runs(letters)
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"its runs are no {size[1]}x{size[0]} pixels")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[1], size[0]).T


def _runs(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    groups = letters.astype(np.int64) - _ZERO
    if not len(groups) or groups.min() < 0 or groups.max() >= 2 * _MORE or groups[-1] & _MORE:
        raise ValueError("it is no run-length code")
    ends = np.flatnonzero(groups & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST:
        raise ValueError("a run is longer than any image")
    place = np.arange(len(groups)) - np.repeat(starts, lengths)
    values = np.add.reduceat((groups & (_MORE - 1)) << (5 * place), starts)
    values -= np.where(groups[ends] & _SIGN, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
