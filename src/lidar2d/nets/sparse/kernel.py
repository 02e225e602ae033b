"""The geometry of a convolution: which places around a voxel it reads."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Self

from lidar2d.nets.sparse.keys import MARGIN

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Kernel:
    """Size, stride, dilation and padding of a convolution along the three axes of the coordinates.

    Output voxel o, counted in output voxels, reads input voxels ``o * stride - padding + k * dilation``, counted in
    input voxels, for k from 0 to size - 1. Offsets are numbered as MinkowskiEngine numbers them, the first axis
    fastest, so that released weights fit.

    Raises:
        ValueError: if a number is too small, or the kernel reaches further than neighbours are looked for.
    """

    size: Triple
    stride: Triple = (1, 1, 1)
    dilation: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("stride", 1), ("dilation", 1), ("padding", 0)):
            given = getattr(self, name)
            if min(given) < least:
                raise ValueError(f"the {name} of a kernel is at least {least}, not {given}")

    @classmethod
    def centred(cls, size: int | Triple, stride: int | Triple = 1, dilation: int | Triple = 1) -> Self:
        """Make a kernel as MinkowskiEngine places it: odd sizes around the voxel, even ones from the voxel on."""
        size, stride, dilation = triple(size), triple(stride), triple(dilation)
        padding = tuple(s // 2 * d if s % 2 else 0 for s, d in zip(size, dilation, strict=True))
        return cls(size, stride, dilation, triple(padding))

    @property
    def volume(self) -> int:
        """How many places are read."""
        return math.prod(self.size)

    @property
    def is_symmetric(self) -> bool:
        """Whether the voxel itself is read, and with every place its opposite."""
        centred = all(axis[0] == -axis[-1] and len(axis) % 2 for axis in self.places())
        return centred and self.stride == (1, 1, 1)

    @property
    def tiles(self) -> bool:
        """Whether every input voxel is read by exactly one output voxel."""
        return self.size == self.stride and self.dilation == (1, 1, 1) and self.padding == (0, 0, 0)

    def offsets(self) -> list[Triple]:
        """Return the places (input voxels) that are read, seen from ``o * stride``, in the order of the weights."""
        first, second, third = self.places()
        return [(a, b, c) for c, b, a in itertools.product(third, second, first)]

    def places(self) -> list[list[int]]:
        """Return what is read along each axis."""
        axes = zip(self.size, self.dilation, self.padding, strict=True)
        return [[k * dilation - padding for k in range(size)] for size, dilation, padding in axes]

    def check_reach(self, stride: Triple) -> None:
        """Refuse a kernel that, on a grid of this stride, leaves the margin that packed coordinates keep.

        Raises:
            ValueError: with the reach in finest voxels.
        """
        axes = zip(self.places(), self.stride, stride, strict=True)
        far = max((max(abs(place) for place in axis) + up) * step for axis, up, step in axes)
        if far >= MARGIN:
            raise ValueError(f"{self} on voxels of {stride} reaches {far} finest voxels; fewer than {MARGIN} can be")


def triple(value: int | tuple[int, ...]) -> Triple:
    """Return a number for each of the three axes, from one for all or from three.

    Raises:
        ValueError: if there are neither one nor three.
    """
    if isinstance(value, int):
        return value, value, value
    if len(value) != 3:
        raise ValueError(f"one number or three are needed, not {value}")
    return value[0], value[1], value[2]
