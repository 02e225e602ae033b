"""Feature distillation: distances between features and their targets, one value a row."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lidar2d.losses.precision import full_precision
from lidar2d.processes import sum_over_processes

Distance = Literal["mse", "cosine", "l2"]


@full_precision
def distance(features: Tensor, targets: Tensor, kind: Distance) -> Tensor:
    """Distance of each row of features (P, C) to its target (P, C), as (P,).

    * ``mse``: mean of squared differences over channels; 1.0 is what predicting the mean of standardised targets costs.
    * ``cosine``: 1 - cosine similarity.
    * ``l2``: length of the difference of the normalised rows, sqrt(2 - 2 cos); the loss of ScaLR (arXiv 2310.17504).
    """
    if kind == "mse":
        return (features - targets).square().mean(-1)
    if kind == "cosine":
        return 1 - nn.functional.cosine_similarity(features, targets, dim=-1)
    difference = nn.functional.normalize(features, dim=-1) - nn.functional.normalize(targets, dim=-1)
    return difference.square().sum(-1).clamp_min(1e-12).sqrt()  # the clamp keeps the gradient finite at zero


_STILL = 1e-4  # of the mean deviation; below it a channel counts as constant


class Standardise(nn.Module):
    """Bring features to zero mean and unit variance a channel, by statistics over all features it was shown.

    Features of foundation models differ in scale by orders of magnitude between channels; a plain squared error
    would then learn a few channels only.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sums", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(channels, dtype=torch.float64))
        self.count: Tensor
        self.sums: Tensor
        self.squares: Tensor

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Add rows (P, C) of every process to the statistics."""
        rows = features.detach().float()
        # summed in float64: the squares of many rows would drown in float32
        count = torch.tensor([len(rows)], dtype=torch.float64, device=rows.device)
        parts = [count, rows.sum(0, dtype=torch.float64), rows.square().sum(0, dtype=torch.float64)]
        total = sum_over_processes(torch.cat(parts))
        self.count += total[0]
        self.sums += total[1 : 1 + rows.shape[1]]
        self.squares += total[1 + rows.shape[1] :]

    def forward(self, features: Tensor) -> Tensor:
        """Standardise rows (..., C); the identity until the first update."""
        if self.count == 0:
            return features
        mean = self.sums / self.count
        deviation = (self.squares / self.count - mean.square()).clamp_min(0).sqrt()
        # a channel that never moved tells nothing of its scale: it gets that of the others, and cannot blow up later
        usual = deviation.mean()
        deviation = torch.where(deviation > _STILL * usual, deviation, usual.clamp_min(1e-6))
        return (features - mean.to(features.dtype)) / deviation.to(features.dtype)
