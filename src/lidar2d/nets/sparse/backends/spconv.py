"""Sparse convolution by spconv, on NVIDIA GPUs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.nets.sparse.grid import KernelMap


@dataclass(frozen=True)
class _Pairs:
    """A map as spconv takes it."""

    rows: Tensor  # (2, K, most) int32 source and target of each pair; -1 behind a place's last
    counts: Tensor  # (K,) int32


class SpconvBackend:
    """Hands the pairs to spconv, which gathers, multiplies and adds.

    Raises:
        UsageError: if spconv is not installed, or there is no GPU.
    """

    def __init__(self) -> None:
        try:
            import spconv.pytorch  # noqa: F401
        except ImportError:
            raise UsageError(
                "spconv is not installed: pip install 'lidar2d[spconv]', or leave --method.points.backend at torch"
            ) from None
        _require(torch.cuda.is_available())

    def convolve(self, features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
        """Return (targets, C_out) for features (sources, C_in) and a kernel (K, C_in, C_out).

        Raises:
            UsageError: if the features are not on a GPU.
        """
        _require(features.is_cuda)
        return convolve(features, kernel, pairs)


def convolve(features: Tensor, kernel: Tensor, pairs: KernelMap) -> Tensor:
    """Convolve on any device, without a warning."""
    from spconv.core import ConvAlgo
    from spconv.pytorch.functional import indice_conv

    known = pairs.prepared(_pairs)
    weights = kernel.permute(2, 0, 1)[:, :, None, None].contiguous()  # (C_out, K, 1, 1, C_in)
    out: Tensor = indice_conv(features, weights, known.rows, known.counts, pairs.targets, ConvAlgo.Native)
    return out


def _pairs(pairs: KernelMap) -> _Pairs:
    table = pairs.neighbours  # with the centre, which is left out of the lists
    counts = (table >= 0).sum(1)
    place, target = (table >= 0).nonzero(as_tuple=True)
    rank = torch.arange(len(place), device=place.device) - (counts.cumsum(0) - counts)[place]
    rows = table.new_full((2, len(table), max(1, int(counts.max()))), -1)
    rows[0, place, rank] = table[place, target]
    rows[1, place, rank] = target.int()
    return _Pairs(rows, counts.int())


def _require(gpu: bool) -> None:
    if not gpu:
        raise UsageError(
            "spconv is refused on a CPU, where it is wrong with more than one thread\n"
            "(relative errors of 0.15 to 0.36 were measured); use --method.points.backend torch"
        )
