"""Which voxels exist, and which of them a convolution brings together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from lidar2d.nets.sparse import search
from lidar2d.nets.sparse.kernel import Kernel, Triple
from lidar2d.nets.sparse.keys import LIMIT, pack, unpack

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class KernelMap:
    """For each place that a kernel reads, which source voxel is added to which target voxel.

    Within one place no target and no source occurs twice.
    """

    source: Tensor  # (P,) int64, place after place, as Kernel.offsets numbers them
    target: Tensor  # (P,) int64
    counts: tuple[int, ...]  # pairs of each of the K places; their sum is P
    kernel: Kernel
    of: Grid  # the kernel's own direction: of these voxels it reads,
    onto: Grid  # and onto these it writes
    centre: int | None = None  # a place that pairs every voxel with itself and is left out of the lists
    is_turned: bool = False  # transposed: from `onto` back to `of`
    _prepared: dict[Callable[[KernelMap], Any], Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def turned(self) -> KernelMap:
        """The map that goes back: of the transposed convolution, and of gradients."""
        return replace(self, source=self.target, target=self.source, is_turned=not self.is_turned)

    @property
    def targets(self) -> int:
        """Number of target voxels."""
        return len(self.of if self.is_turned else self.onto)

    def prepared(self, prepare: Callable[[KernelMap], T]) -> T:
        """Return what a backend derives from the map, derived once and shared by all layers."""
        if prepare not in self._prepared:
            self._prepared[prepare] = prepare(self)
        found: T = self._prepared[prepare]
        return found

    @cached_property
    def neighbours(self) -> Tensor:
        """Source voxel of each target voxel at each place, (K, targets) int32; -1 where there is none."""
        table = self.source.new_full((len(self.counts), self.targets), -1, dtype=torch.int32)
        place = torch.repeat_interleave(torch.tensor(self.counts, device=self.source.device))
        table[place, self.target] = self.source.int()
        if self.centre is not None:
            table[self.centre] = torch.arange(self.targets, device=table.device)
        return table

    def by_place(self) -> list[tuple[Tensor, Tensor]]:
        """Return source and target rows of each place."""
        counts = list(self.counts)
        return list(zip(torch.split(self.source, counts), torch.split(self.target, counts), strict=True))


class Grid:
    """A set of voxels, sorted by key, whose neighbourhoods are found once and shared by all layers.

    Args:
        keys: (M,) int64 of :func:`~lidar2d.nets.sparse.keys.pack`, ascending, each once.
        stride: coordinates are multiples of it, in finest voxels.
        shape: number of voxels along each axis, counted from coordinate 0; None where there is no border.
    """

    def __init__(self, keys: Tensor, stride: Triple = (1, 1, 1), shape: Triple | None = None) -> None:
        self.keys, self.stride, self.shape = keys, stride, shape
        self._onto: dict[tuple[Kernel, Grid], KernelMap] = {}
        self._coarser: dict[tuple[Kernel, bool], tuple[Grid, KernelMap]] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def coordinates(self) -> Tensor:
        """Frame and three axes (M, 4) int64, in finest voxels."""
        return unpack(self.keys)

    def onto(self, target: Grid, kernel: Kernel) -> KernelMap:
        """Return the map of a kernel from this grid onto any grid: itself, a coarser one, or one of other voxels.

        Raises:
            ValueError: if the target's stride is not this grid's times the kernel's.
        """
        wanted = _times(self.stride, kernel.stride)
        if target.stride != wanted:
            raise ValueError(f"{kernel} goes from voxels of {self.stride} onto voxels of {wanted}, not {target.stride}")
        if (kernel, target) not in self._onto:
            kernel.check_reach(self.stride)
            if target is self and kernel.is_symmetric:
                pairs = search.around(self.keys, self.stride, kernel)
                centre = kernel.volume // 2
            else:
                pairs = search.between(self.keys, target.keys, self.stride, kernel)
                centre = None
            source, onto = (torch.cat(rows) for rows in zip(*pairs, strict=True))
            counts = tuple(len(rows) for rows, _ in pairs)
            self._onto[kernel, target] = KernelMap(source, onto, counts, kernel, self, target, centre)
        return self._onto[kernel, target]

    def coarser(self, kernel: Kernel, spread: bool = False) -> tuple[Grid, KernelMap]:
        """Return the grid that a strided kernel leads onto, and the map from this grid.

        Args:
            kernel: with a stride.
            spread: the output voxels are all that read an input voxel (spconv's), within the shape; otherwise those
                that hold one (MinkowskiEngine's).

        Raises:
            ValueError: if the voxels spread beyond what keys hold.
        """
        spread = spread and not (kernel.tiles and self.shape is None)  # otherwise the same voxels come out
        if (kernel, spread) not in self._coarser:
            kernel.check_reach(self.stride)
            self._coarser[kernel, spread] = self._spread(kernel) if spread else self._held(kernel)
        return self._coarser[kernel, spread]

    def _held(self, kernel: Kernel) -> tuple[Grid, KernelMap]:
        stride = _times(self.stride, kernel.stride)
        step = self.coordinates.new_tensor(stride)
        places = self.coordinates[:, 1:].div(step, rounding_mode="floor") * step
        keys, target = torch.unique(pack(torch.cat([self.coordinates[:, :1], places], 1)), return_inverse=True)
        shape = None if self.shape is None else _ceil(self.shape, kernel.stride)
        grid = Grid(keys, stride, shape)
        if not kernel.tiles:
            return grid, self.onto(grid, kernel)
        first, second, third = ((self.coordinates[:, 1:] - places) // places.new_tensor(self.stride)).unbind(1)
        place = first + kernel.size[0] * (second + kernel.size[1] * third)
        order = torch.argsort(place, stable=True)
        counts = torch.bincount(place, minlength=kernel.volume).tolist()
        return grid, KernelMap(order, target[order], tuple(counts), kernel, self, grid)

    def _spread(self, kernel: Kernel) -> tuple[Grid, KernelMap]:
        stride = _times(self.stride, kernel.stride)
        shape = None if self.shape is None else _shape_after(self.shape, kernel)
        own, step = self.coordinates.new_tensor(self.stride), self.coordinates.new_tensor(stride)
        rows, keys = [], []
        for offset in kernel.offsets():
            places = self.coordinates[:, 1:] - own * own.new_tensor(offset)
            reads = (places % step == 0).all(1)
            if shape is not None:
                reads &= ((places >= 0) & (places < step * step.new_tensor(shape))).all(1)
            elif bool((places.abs() > LIMIT).any()):
                raise ValueError(f"voxels have spread beyond {LIMIT} finest voxels; give the grid a shape")
            row = reads.nonzero()[:, 0]
            rows.append(row)
            keys.append(pack(torch.cat([self.coordinates[row, :1], places[row]], 1)))
        found, target = torch.unique(torch.cat(keys), return_inverse=True)
        grid = Grid(found, stride, shape)
        return grid, KernelMap(torch.cat(rows), target, tuple(map(len, rows)), kernel, self, grid)


def _shape_after(shape: Triple, kernel: Kernel) -> Triple:
    """Return how many outputs read only places of the padded input, along each axis."""
    axes = zip(shape, kernel.size, kernel.stride, kernel.dilation, kernel.padding, strict=True)
    first, second, third = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in axes)
    return first, second, third


def _times(stride: Triple, by: Triple) -> Triple:
    return stride[0] * by[0], stride[1] * by[1], stride[2] * by[2]


def _ceil(shape: Triple, by: Triple) -> Triple:
    return -(-shape[0] // by[0]), -(-shape[1] // by[1]), -(-shape[2] // by[2])
