"""BatchNorm over points, whose statistics are those of all processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d import processes


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (N, C) features; with several processes the N points of all of them are one batch.

    The same names and meaning as torch's, CPU included, where ``nn.SyncBatchNorm`` refuses.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features (N, C)."""
        if not self.training or processes.world_size() == 1:
            return super().forward(x)
        kind = x.dtype
        if kind in (torch.float16, torch.bfloat16):
            x = x.float()
        statistics = torch.cat([x.sum(0), x.new_tensor([len(x)])])
        statistics = processes.sum_over_processes(statistics)
        count = statistics[-1].detach()
        mean = statistics[:-1] / count
        # deviations from the common mean rather than E[x²] - E[x]², which cancels
        variance = processes.sum_over_processes((x - mean).square().sum(0)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        normal = (x - mean) * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, normal, self.weight).to(kind)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class PointNorm(nn.Module):
    """A :class:`BatchNorm` one level down, as released weights of this family name it (``bn0.bn.weight``)."""

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.bn = BatchNorm(channels, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise features (N, C)."""
        normal: Tensor = self.bn(x)
        return normal
