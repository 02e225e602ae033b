"""Draws of pairs that do not depend on how frames are spread over processes."""

from __future__ import annotations

import torch
from torch import Tensor

from lidar2d.processes import gather


def sample(frame: Tensor, seeds: Tensor, count: int, odds: Tensor | None = None) -> Tensor:
    """Draw ``count`` rows without replacement among the rows of all processes.

    Each row gets a random number from the seed of its frame; the smallest numbers win. So the draw does not
    depend on how frames are spread over processes.

    Args:
        frame: (P,) ascending index of the frame of each row.
        seeds: (B,) one seed a frame.
        count: rows to draw over all processes; all rows where there are fewer.
        odds: (P,) positive odds at which rows are drawn; None draws uniformly.

    Returns:
        A mask (P,) of the rows of this process that were drawn.
    """
    lengths = torch.bincount(frame, minlength=len(seeds)).tolist()
    draws = [
        torch.rand(n, generator=torch.Generator().manual_seed(int(s)), dtype=torch.float64)
        for n, s in zip(lengths, seeds.tolist(), strict=True)
    ]
    keys = torch.cat(draws).to(frame.device)
    if odds is not None:
        keys = -keys.log() / odds  # clocks that ring at these rates: the earliest are a draw with these odds
    everyone = gather(keys)
    if len(everyone) <= count:
        return torch.ones_like(frame, dtype=torch.bool)
    return keys <= everyone.kthvalue(count).values


def drawn_rows(rows: Tensor, frame: Tensor, seeds: Tensor, count: int) -> Tensor:
    """Return about ``count`` of the rows (P, C) of all processes, drawn as :func:`sample` draws, on every process."""
    return gather(rows[sample(frame, seeds, count)])


def common_seed(seeds: Tensor, device: torch.device) -> int:
    """Return one seed for all processes from those of the frames (B,) of a batch."""
    return int(gather(seeds.to(device)).min())
