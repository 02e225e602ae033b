"""Depth as a choice between bins, as the lift from images to the ground plane learns it (BEVDepth, HVDistill)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lidar2d.losses.precision import full_precision
from lidar2d.processes import mean_over_processes


@full_precision
def depth_loss(odds: Tensor, bins: Tensor) -> Tensor:
    """Return the binary cross-entropy of odds (P, D), rows that sum to one, against the true bins (P,).

    The mean over P x D, as HVDistill takes it (arXiv 2403.11817).
    """
    truth = F.one_hot(bins, odds.shape[1]).to(odds.dtype)
    return mean_over_processes(F.binary_cross_entropy(odds, truth, reduction="none"))
