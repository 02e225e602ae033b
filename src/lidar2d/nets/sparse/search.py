"""Finds the voxels around voxels, by binary search in sorted keys.

Keys are sorted with the last axis lowest, so after a column's first voxel the others of the column follow it: where a
kernel reads neighbours along the last axis, one search serves the whole column.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lidar2d.nets.sparse.kernel import Kernel, Triple
from lidar2d.nets.sparse.keys import step

Found = list[tuple[Tensor, Tensor]]  # for each place of the kernel, rows of the sources and of the targets


def between(sources: Tensor, targets: Tensor, stride: Triple, kernel: Kernel) -> Found:
    """Find which source each target reads at each place of a kernel.

    Args:
        sources: (M,) keys, ascending.
        targets: (N,) keys, ascending.
        stride: of the sources.
        kernel: its places are counted in strides.
    """
    first, second, third = kernel.places()
    found: Found = [(sources, sources)] * kernel.volume
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            for k, pair in enumerate(_column(sources, targets, (a, b), third, stride)):
                found[i + len(first) * (j + len(second) * k)] = pair
    return found


def around(keys: Tensor, stride: Triple, kernel: Kernel) -> Found:
    """Find the neighbours of voxels among themselves, for a symmetric kernel; the centre is left empty.

    Only places after the centre are looked up; the opposite place holds the same pairs, turned round.
    """
    first, second, third = kernel.places()
    empty = keys.new_zeros(0)
    found: Found = [(empty, empty)] * kernel.volume
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if (a, b) < (0, 0):
                continue
            skipped = len(third) // 2 + 1 if (a, b) == (0, 0) else 0
            for k, pair in enumerate(_column(keys, keys, (a, b), third[skipped:], stride), start=skipped):
                place = i + len(first) * (j + len(second) * k)
                found[place] = pair
                found[kernel.volume - 1 - place] = pair[::-1]
    return found


def _column(sources: Tensor, targets: Tensor, at: tuple[int, int], third: list[int], stride: Triple) -> Found:
    """Find the sources at places that share their first two axes."""
    if not third or not len(sources):
        return [(sources[:0], targets[:0])] * len(third)
    a, b = at
    apart = third[1] - third[0] if len(third) > 1 else 1
    wanted = targets + step(a * stride[0], b * stride[1], third[0] * stride[2])
    place = torch.searchsorted(sources, wanted)
    found = []
    for _ in third:
        hit = sources[place.clamp(max=len(sources) - 1)] == wanted
        here = hit.nonzero()[:, 0]
        found.append((place[here], here))
        wanted = wanted + apart * stride[2]
        place = place + hit if apart == 1 else torch.searchsorted(sources, wanted)
    return found
