"""The von Mises-Fisher distribution on the unit sphere, and a running estimate of one for each class.

Notation: d channels, mean direction μ, concentration κ; density C_d(κ) exp(κ <μ, z>), with
C_d(κ) = κ^(d/2-1) / ((2π)^(d/2) I_(d/2-1)(κ)).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lidar2d.losses.pooling import sum_by_class
from lidar2d.losses.precision import full_precision
from lidar2d.processes import sum_over_processes, world_size

_FIRM = 40.0  # from this order on the first terms of the uniform expansion leave less than 1e-9


def log_bessel(order: float, kappa: Tensor) -> Tensor:
    """Return log I_ν(κ), the modified Bessel function of the first kind, in float64.

    Orders of 40 and more come from the expansion that is uniform in κ (Abramowitz and Stegun, 9.7.7); lower ones from
    two of those by the recurrence I_(ν-1) = I_(ν+1) + 2ν/κ I_ν, downwards, where all of its terms are positive.

    Args:
        order: ν, at least 0.
        kappa: any shape, positive.
    """
    kappa = kappa.double()
    steps = max(0, math.ceil(_FIRM - order))
    high = order + steps
    current = _uniform(high, kappa)
    if not steps:
        return current
    above = _uniform(high + 1, kappa)
    for step in range(steps):
        below = torch.logaddexp(above, current + math.log(2 * (high - step)) - kappa.log())
        above, current = current, below
    return current


def _uniform(order: float, kappa: Tensor) -> Tensor:
    z = kappa / order
    root = torch.sqrt(1 + z.square())
    t = 1 / root
    eta = root + torch.log(z / (1 + root))
    total = torch.ones_like(t)
    for power, coefficients in enumerate(_U, 1):
        total = total + sum(c * t**e for e, c in coefficients.items()) / order**power
    return order * eta - 0.5 * math.log(2 * math.pi * order) - 0.5 * root.log() + total.log()


# u_1 to u_4, by the exponent of t (Abramowitz and Stegun, 9.3.9)
_U: tuple[dict[int, float], ...] = (
    {1: 3 / 24, 3: -5 / 24},
    {2: 81 / 1152, 4: -462 / 1152, 6: 385 / 1152},
    {3: 30375 / 414720, 5: -369603 / 414720, 7: 765765 / 414720, 9: -425425 / 414720},
    {
        4: 4465125 / 39813120,
        6: -94121676 / 39813120,
        8: 349922430 / 39813120,
        10: -446185740 / 39813120,
        12: 185910725 / 39813120,
    },
)


def log_normaliser(channels: int, kappa: Tensor, order: float | None = None) -> Tensor:
    """Return log C_d(κ) for unit vectors of d channels; at κ = 0 that of the uniform distribution.

    Args:
        channels: d.
        kappa: κ, any shape, at least 0.
        order: of the Bessel function; d/2 - 1 unless another, wrong one is asked for.
    """
    safe = kappa.double().clamp_min(1e-12)
    bessel = log_bessel(channels / 2 - 1 if order is None else order, safe)
    found = (channels / 2 - 1) * safe.log() - channels / 2 * math.log(2 * math.pi) - bessel
    uniform = math.lgamma(channels / 2) - math.log(2) - channels / 2 * math.log(math.pi)
    return torch.where(kappa > 1e-9, found, torch.full_like(found, uniform))


def concentration(length: Tensor, channels: int) -> Tensor:
    """Return κ = R (d - R²) / (1 - R²) of a mean of unit vectors of length R (Banerjee et al., JMLR 2005, eq. 4.4)."""
    length = length.clamp(0, 1 - 1e-6)
    return length * (channels - length.square()) / (1 - length.square())


class VonMisesFisher(nn.Module):
    """One distribution for each class, from running means of its unit vectors; and how unlikely vectors are under it.

    A class is known once it has shown d vectors: fewer tell nothing of how they spread in d directions, and the mean of
    a single one has length 1, for which κ has no bound.

    Args:
        classes: number of them.
        channels: of a unit vector.
        rate: share that a step's mean has in the running mean.
        legacy: as OLIVINE's released code: running means begin at zero and are not corrected for it, each process
            averages its own rows, the normaliser has I_0 in place of I_(d/2-1), and a class is known from its first
            vector on.
    """

    def __init__(self, classes: int, channels: int, rate: float = 1e-4, legacy: bool = False) -> None:
        super().__init__()
        self.rate = rate
        self.legacy = legacy
        self.register_buffer("mean", torch.zeros(classes, channels))
        self.register_buffer("weight", torch.zeros(classes, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))
        self.mean: Tensor  # (K, d) running, towards zero by what it began with
        self.weight: Tensor  # (K,) how much of each running mean is not what it began with
        self.seen: Tensor  # (K,) vectors

    @full_precision
    @torch.no_grad()
    def update(self, vectors: Tensor, labels: Tensor) -> None:
        """Take the means of the vectors (P, d) of each label (P,) of all processes into the running means.

        Labels below zero name no class; classes without a vector stay as they are.
        """
        sums, count = sum_by_class(vectors.to(self.mean), labels, len(self.mean))
        total = sum_over_processes(torch.cat([sums, count[:, None]], dim=1))
        occurs = total[:, -1] > 0
        self.seen += total[:, -1].long()
        if self.legacy:
            step = self.rate * (sums / count.clamp_min(1)[:, None] - self.mean) * (count > 0)[:, None]
            self.mean += sum_over_processes(step) / world_size()
            return
        share = self.rate * occurs.to(self.mean)
        self.mean.lerp_(total[:, :-1] / total[:, -1:].clamp_min(1), share[:, None])
        self.weight.lerp_(torch.ones_like(self.weight), share.to(self.weight))

    def known(self) -> Tensor:
        """Tell of which classes (K,) enough vectors were seen."""
        return self.seen >= (1 if self.legacy else self.mean.shape[1])

    def parameters_of_classes(self) -> tuple[Tensor, Tensor]:
        """Return μ (K, d) and κ (K,); both zero for a class that is not known."""
        mean = self.mean if self.legacy else self.mean / self.weight.clamp_min(1e-12)[:, None].to(self.mean)
        mean = torch.where(self.known()[:, None], mean, 0.0)
        length = mean.norm(dim=1)
        return nn.functional.normalize(mean, dim=1), concentration(length, mean.shape[1])

    @full_precision
    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over classes of -log C_d(κ) - κ <μ, mean of the class's vectors>; 0 where there is no class.

        Classes count that are known, and that occur among the labels (P,) of any process. The gradient goes to the
        vectors (P, d) alone.
        """
        directions, kappa = (value.detach() for value in self.parameters_of_classes())
        sums, count = sum_by_class(vectors, labels, len(self.mean))
        total = sum_over_processes(count)
        present = (total > 0) & self.known()
        normaliser = log_normaliser(self.mean.shape[1], kappa, order=0.0 if self.legacy else None).to(sums)
        unlikely = -normaliser * count - kappa * (sums * directions).sum(1)
        each = torch.where(present, unlikely / total.clamp_min(1), 0.0)
        return each.sum() / present.sum().clamp_min(1) * world_size()
