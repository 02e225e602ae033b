"""Several processes that train one network: the only place that speaks to torch.distributed.

Every function is the plain, exact answer when there is one process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if _several() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if _several() else 0


class _Sum(torch.autograd.Function):
    """Sum over processes; each process's gradient is the sum of the gradients of all."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """Lay the rows of all processes end to end; gradients go back, summed, to the process that owns the rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        # collective calls want equal sizes: fill up with rows that are cut off again
        filled = x.new_zeros(max(counts), *x.shape[1:])
        filled[: len(x)] = x.detach()
        parts = [torch.empty_like(filled) for _ in counts]
        dist.all_gather(parts, filled)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        start = sum(ctx.counts[: dist.get_rank()])
        return total[start : start + ctx.counts[dist.get_rank()]], None


def sum_over_processes(x: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; it must have the same shape on each.

    Differentiable: if every process goes on to compute a loss, each receives the gradient of the sum of all losses.
    """
    if not _several():
        return x
    total: Tensor = _Sum.apply(x)
    return total


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes end to end, in the order of their ranks; each may bring another number of rows.

    Differentiable: gradients are summed back to the process that owns the rows.
    """
    if not _several():
        return x
    count = torch.tensor([len(x)], device=x.device)
    counts = [torch.empty_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    rows: Tensor = _Gather.apply(x, [int(c) for c in counts])
    return rows


def mean_over_processes(values: Tensor) -> Tensor:
    """Return this process's share of the mean of all values (n,) of all processes; n may differ, and may be 0.

    Data-parallel training averages gradients over processes. The share is scaled so that this average is the gradient
    of the global mean, and so that the average of the shares is the global mean. No value anywhere gives 0.
    """
    count = torch.tensor(values.numel(), device=values.device)
    if _several():
        dist.all_reduce(count)
    # the count stays a tensor: reading it would make a GPU wait
    return values.sum() * world_size() / count.clamp(min=1).to(values.dtype)
