"""Depth as a choice between bins, as the lift from images to the ground plane learns it (BEVDepth, HVDistill)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.processes import mean_over_processes


@dataclass(frozen=True)
class DepthBins:
    """Bins of equal width.

    Args:
        nearest: metres, where the first bin begins.
        farthest: metres, where the last bin ends.
        width: metres.
    """

    nearest: float = 1.0
    farthest: float = 60.0
    width: float = 0.5

    @property
    def count(self) -> int:
        """Number of bins; 118 of HVDistill's."""
        return round((self.farthest - self.nearest) / self.width)

    def of(self, depth: Tensor) -> Tensor:
        """Return the bin of each depth, metres; -1 outside."""
        place = ((depth - self.nearest) / self.width).floor().long()
        return torch.where((place >= 0) & (place < self.count), place, -1)

    def starts(self, like: Tensor) -> Tensor:
        """Return where each bin begins (D,), metres."""
        return self.nearest + self.width * torch.arange(self.count, device=like.device, dtype=like.dtype)


def depth_loss(odds: Tensor, bins: Tensor) -> Tensor:
    """Return the binary cross-entropy of odds (P, D), rows that sum to one, against the true bins (P,).

    The mean over P x D, as HVDistill takes it (arXiv 2403.11817).
    """
    truth = F.one_hot(bins, odds.shape[1]).to(odds.dtype)
    with torch.autocast(odds.device.type, enabled=False):  # refused there, for what half precision does to logarithms
        each = F.binary_cross_entropy(odds.float(), truth.float(), reduction="none")
    return mean_over_processes(each)
