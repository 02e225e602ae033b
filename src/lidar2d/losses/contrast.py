"""Contrastive losses over pairs, with negatives from every process."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d.processes import gather, mean_over_processes, rank


def info_nce(anchors: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """Find, for each anchor, its own positive among the positives of all anchors of all processes.

    L = mean_n -log( exp(<k_n, q_n> / τ) / Σ_m exp(<k_n, q_m> / τ) ), eq. (1) of PPKT (arXiv 2104.04687).

    Args:
        anchors: (M, C) unit rows k.
        positives: (M, C) unit rows q, in the same order.
        temperature: τ.
    """
    everyone = gather(positives)
    counts = gather(torch.tensor([len(anchors)], device=anchors.device))
    first = int(counts[: rank()].sum())
    target = torch.arange(len(anchors), device=anchors.device) + first
    # n anchors, m candidates, c channels
    logits = torch.einsum("nc,mc->nm", anchors, everyone) / temperature
    return mean_over_processes(nn.functional.cross_entropy(logits, target, reduction="none"))
