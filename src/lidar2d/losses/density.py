"""How densely points lie around the sensor, and the odds at which OLIVINE draws pairs (arXiv 2405.14271)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lidar2d.processes import gather


def density(rings: Tensor) -> Tensor:
    """Return the density of whole numbers (P,), estimated over those of all processes by Gaussian kernels, at each.

    d(r) = 1/N Σ_m N(r; r_m, h²), h = 1.06 σ N^(-1/5) (Silverman's rule); σ is the unbiased standard deviation. Equal
    numbers are counted once, so that the cost grows with how many differ and not with the square of how many there are.
    """
    everyone = gather(rings)
    values, count = torch.unique(everyone, return_counts=True)
    places, share = values.double(), count.double() / max(1, len(everyone))
    mean = (share * places).sum()
    spread = (share * (places - mean).square()).sum() * len(everyone) / max(1, len(everyone) - 1)
    width = (1.06 * spread.sqrt() * max(1, len(everyone)) ** -0.2).clamp_min(1e-6)
    apart = (places[:, None] - places[None]) / width
    at = (torch.exp(-0.5 * apart.square()) * share).sum(1) / (width * math.sqrt(2 * math.pi))
    found: Tensor = at[torch.searchsorted(values, rings)]
    return found


def pair_odds(rings: Tensor, labels: Tensor) -> Tensor:
    """Return the odds (P,) at which pairs are drawn: 1 / (density of its ring x number of pairs of its label).

    Args:
        rings: (P,) whole number that grows with the distance from the sensor.
        labels: (P,) at least 0.
    """
    everyone = gather(labels)
    count = torch.bincount(everyone)[labels] if len(labels) else labels
    return 1 / (density(rings) * count)
