"""Contrastive losses over pairs, with candidates from every process."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d.losses.precision import full_precision
from lidar2d.processes import gather, mean_over_processes, rank


@full_precision
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


@full_precision
def weak_contrast(anchors: Tensor, candidates: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Find, for each anchor, any candidate of its own label among the candidates of all processes.

    L = mean_i -log( Σ_{j: y_j = y_i} exp(<k_i, q_j> / τ) / Σ_j exp(<k_i, q_j> / τ) ), OLIVINE's (arXiv 2405.14271): one
    good candidate is enough, where the supervised contrast of Khosla et al. wants all of them.

    Args:
        anchors: (M, C) unit rows k.
        candidates: (M, C) unit rows q, in the same order.
        labels: (M,) y; each anchor has at least its own candidate.
        temperature: τ.
    """
    logits = torch.einsum("nc,mc->nm", anchors, gather(candidates)) / temperature
    own = gather(labels)[None] == labels[:, None]
    positive = logits.masked_fill(~own, -torch.inf).logsumexp(1)
    return mean_over_processes(logits.logsumexp(1) - positive)
