"""BatchNorm over points, whose statistics are those of all processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d import processes


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (N, C) features; with several processes the N points of all of them are one batch.

    The same names and meaning as torch's, CPU included, where ``nn.SyncBatchNorm`` refuses. A batch of one point, where
    torch's refuses, is all mean: it becomes the bias, and the running statistics, which need two, stay as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features (N, C)."""
        if not self.training:
            return super().forward(x)
        if processes.world_size() == 1:
            if len(x) > 1:
                return super().forward(x)
            return torch.addcmul(self.bias, x - x, self.weight).to(x.dtype)
        kind = x.dtype
        if kind in (torch.float16, torch.bfloat16):
            x = x.float()
        statistics = torch.cat([x.sum(0), x.new_tensor([len(x)])])
        statistics = processes.sum_over_processes(statistics)
        count = statistics[-1].detach()
        some = count.clamp(min=1)
        mean = statistics[:-1] / some
        # deviations from the common mean rather than E[x²] - E[x]², which cancels
        variance = processes.sum_over_processes((x - mean).square().sum(0)) / some
        self._remember(mean.detach(), variance.detach(), count)
        normal = (x - mean) * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, normal, self.weight).to(kind)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        # the count stays a tensor: reading it would make a GPU wait
        several = count > 1
        share = several.to(self.running_mean.dtype) * self.momentum
        unbiased = variance * count / (count - 1).clamp(min=1)
        self.num_batches_tracked += several
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class PointNorm(nn.Module):
    """A :class:`BatchNorm` one level down, as released weights of this family name it (``bn0.bn.weight``)."""

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.bn = BatchNorm(channels, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features (N, C)."""
        normal: Tensor = self.bn(x)
        return normal
