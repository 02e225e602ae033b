"""Codebooks: descriptors become classes without a label, by k-means on a sample that was collected while training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d.losses.distill import Standardise
from lidar2d.losses.precision import full_precision
from lidar2d.processes import gather

_LARGEST = 4.0  # standard deviations: farther values would own codes of their own


class Codebook(nn.Module):
    """Standardises descriptors, keeps a sample of them, and sorts them into codes once :meth:`fit` has run.

    Args:
        channels: of a descriptor.
        codes: clusters.
        kept: rows of the sample; the first ones shown are kept.
    """

    def __init__(self, channels: int, codes: int, kept: int) -> None:
        super().__init__()
        self.standardise = Standardise(channels)
        self.register_buffer("sample", torch.zeros(kept, channels))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("codes", torch.zeros(codes, channels))
        self.sample: Tensor
        self.filled: Tensor
        self.codes: Tensor

    @torch.no_grad()
    def collect(self, rows: Tensor) -> None:
        """Add rows (P, C) of every process to the statistics, and to the sample while it has room."""
        self.standardise.update(rows)
        first = int(self.filled)
        everyone = gather(rows)[: len(self.sample) - first]
        self.sample[first : first + len(everyone)] = everyone
        self.filled += len(everyone)

    def units(self, rows: Tensor) -> Tensor:
        """Return rows (P, C) in standard deviations from the mean, cut off far out."""
        standardised: Tensor = self.standardise(rows)
        return standardised.clamp(-_LARGEST, _LARGEST)

    @torch.no_grad()
    def fit(self, generator: torch.Generator, rounds: int = 20) -> None:
        """Place the codes by k-means on the sample."""
        if self.filled == 0:
            return
        rows = self.units(self.sample[: int(self.filled)])
        self.codes.copy_(k_means(rows, len(self.codes), generator, rounds))

    @torch.no_grad()
    def sort(self, rows: Tensor) -> Tensor:
        """Return the nearest code (P,) of each row (P, C)."""
        return nearest_code(self.units(rows), self.codes)


def far_apart(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return rows (count, C) drawn one by one, each with odds of its squared distance to those drawn before.

    The seeding of k-means++ (Arthur and Vassilvitskii, 2007): rare kinds of rows get centres of their own.
    """
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    odds = (rows - rows[chosen[0]]).square().sum(1)
    for _ in range(count - 1):
        # where all rows are drawn already, any row does
        drawn = torch.multinomial((odds + 1e-12).cpu(), 1, generator=generator)
        chosen.append(int(drawn))
        odds = torch.minimum(odds, (rows - rows[chosen[-1]]).square().sum(1))
    return rows[chosen]


@full_precision
def k_means(rows: Tensor, codes: int, generator: torch.Generator, rounds: int, start: Tensor | None = None) -> Tensor:
    """Return centres (codes, C) of Lloyd's algorithm, started at the given centres or at rows drawn at random.

    A centre that nothing is nearest to moves to another random row.
    """
    random = rows[torch.randint(len(rows), (codes,), generator=generator).to(rows.device)]
    centres = random if start is None else start
    for _ in range(rounds):
        code = nearest_code(rows, centres)
        count = torch.bincount(code, minlength=codes)
        total = torch.zeros_like(centres).index_add_(0, code, rows)
        spare = rows[torch.randint(len(rows), (codes,), generator=generator).to(rows.device)]
        centres = torch.where((count > 0)[:, None], total / count.clamp_min(1)[:, None], spare)
    return centres


@full_precision
def nearest_code(rows: Tensor, centres: Tensor) -> Tensor:
    """Return the nearest centre (P,) of each row (P, C)."""
    # |r - c|^2 without the |r|^2 that all centres share
    return (centres.square().sum(1) - 2 * rows @ centres.T).argmin(1)
