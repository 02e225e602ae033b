"""How densely points lie around the sensor, and the odds at which OLIVINE draws pairs (arXiv 2405.14271)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.processes import gather


def density(rings: Tensor) -> Tensor:
    """Return the density of whole numbers (P,) from 0 on at each, estimated by Gaussian kernels.

    d(r) = 1/N Σ_m N(r; r_m, h²), h = 1.06 σ N^(-1/5) (Silverman's rule), over the numbers of all processes; σ is their
    unbiased standard deviation. They are counted first, so that the kernel is but convolved with a histogram: the cost
    does not grow with the square of how many there are.
    """
    everyone = gather(rings)
    if not len(everyone):
        return rings.double()
    share = torch.bincount(everyone).double() / len(everyone)
    places = torch.arange(len(share), dtype=torch.float64, device=share.device)
    mean = (share * places).sum()
    spread = (share * (places - mean).square()).sum() * len(everyone) / max(1, len(everyone) - 1)
    width = (1.06 * spread.sqrt() * len(everyone) ** -0.2).clamp_min(1e-6)
    half = torch.exp(-0.5 * (places / width).square()) / (width * math.sqrt(2 * math.pi))
    kernel = torch.cat([half.flip(0), half[1:]])
    found: Tensor = F.conv1d(share[None, None], kernel[None, None], padding=len(share) - 1)[0, 0]
    return found[rings]


def pair_odds(rings: Tensor, labels: Tensor) -> Tensor:
    """Return the odds (P,) at which pairs are drawn: 1 / (density of its ring x number of pairs of its label).

    Args:
        rings: (P,) whole number that grows with the distance from the sensor.
        labels: (P,) at least 0.
    """
    everyone = gather(labels)
    count = torch.bincount(everyone)[labels] if len(labels) else labels
    return 1 / (density(rings) * count)
