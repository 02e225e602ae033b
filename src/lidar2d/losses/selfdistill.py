"""Self-distillation of images: soft clusters that an average of past networks names, and a student that agrees."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lidar2d.losses.precision import full_precision
from lidar2d.processes import gather, sum_over_processes


@full_precision
@torch.no_grad()
def sinkhorn(scores: Tensor, temperature: float, rounds: int = 3) -> Tensor:
    """Share rows (B, K) of all processes out among clusters so that clusters get alike; each row sums to one.

    Sinkhorn and Knopp's alternating scaling of exp(scores / temperature), in log space: SwAV (arXiv 2006.09882), and
    DINOv2 (arXiv 2304.07193), which makes three rounds.
    """
    share = scores.double() / temperature
    for _ in range(rounds):
        highest = _largest(share)
        total = sum_over_processes((share - highest).exp().sum(0))
        share = share - (total.clamp_min(1e-300).log() + highest)
        share = share.log_softmax(1)
    return share.exp().to(scores.dtype)


def _largest(values: Tensor) -> Tensor:
    """Return the largest value of each column over all processes."""
    own = values.amax(0) if len(values) else values.new_full(values.shape[1:], -math.inf)
    return gather(own[None]).amax(0)


@full_precision
def agreement(scores: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy (B,) of a student's scores (B, K) to targets that sum to one."""
    return -(targets * (scores / temperature).log_softmax(-1)).sum(-1)


@full_precision
def spread(features: Tensor) -> Tensor:
    """Return how near rows (B, C) of all processes lie to their nearest others on the unit sphere: KoLeo's entropy.

    The mean of -log of the distance to the nearest other row (Sablayrolles et al., arXiv 1806.03198).
    """
    rows = nn.functional.normalize(gather(features), dim=-1)
    if len(rows) < 2:
        return rows.sum() * 0
    with torch.no_grad():
        near = (rows @ rows.T).fill_diagonal_(-2).argmax(1)
    return -((rows - rows[near]).square().sum(1) + 1e-8).sqrt().log().mean()


class Head(nn.Module):
    """A perceptron onto the unit sphere, and the cosine to each of K clusters' directions: DINO's head.

    Args:
        channels: that come in.
        hidden: width of its two hidden layers.
        bottleneck: channels on the sphere.
        clusters: K.
    """

    def __init__(self, channels: int, hidden: int, bottleneck: int, clusters: int) -> None:
        super().__init__()
        self.onto_sphere = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.directions = nn.Parameter(torch.empty(clusters, bottleneck))
        nn.init.trunc_normal_(self.directions, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        """Return scores (..., K) in -1..1 for features (..., C)."""
        place = nn.functional.normalize(self.onto_sphere(features).float(), dim=-1)
        return place @ nn.functional.normalize(self.directions, dim=1).T
