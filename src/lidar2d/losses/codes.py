"""Distillation by sorting: features become clusters, and a student that names the cluster knows the feature.

A squared error spends itself on what features vary most in, and a student that sees little of that (LiDAR sees no
colour) learns their mean. Naming a feature's cluster, rare clusters weighted up, teaches what tells things apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError
from lidar2d.losses.codebook import far_apart, k_means, nearest_code
from lidar2d.losses.precision import full_precision

KEPT = 2048  # features of each batch or frame that clusters are sought among


class Codes(nn.Module):
    """Clusters of features, found once by k-means.

    Args:
        channels: of a feature.
        count: clusters.
        whiten: power of the whitening before clusters are sought: 0 keeps the features' own distances, 1 makes all
            directions count alike.
        balance: a cluster counts as much as its share of the features to the power ``1 - balance``.
    """

    def __init__(self, channels: int, count: int, whiten: float = 0.5, balance: float = 0.5) -> None:
        super().__init__()
        self.whiten = whiten
        self.balance = balance
        self.register_buffer("unfold", torch.eye(channels))
        self.register_buffer("centres", torch.zeros(count, channels))
        self.register_buffer("means", torch.zeros(count, channels))
        self.register_buffer("share", torch.zeros(count))
        self.unfold: Tensor  # (C, C) from features to the space in which clusters are sought
        self.centres: Tensor  # (K, C) in that space
        self.means: Tensor  # (K, C) of the features of each cluster
        self.share: Tensor  # (K,) of all features

    @property
    def found(self) -> bool:
        """Tell whether the clusters have been sought."""
        return bool(self.share.sum() > 0)

    @full_precision
    @torch.no_grad()
    def seek(self, rows: Tensor, generator: torch.Generator, rounds: int = 15) -> None:
        """Find the clusters of features (P, C).

        Raises:
            UsageError: if there are fewer features than clusters, or all are alike.
        """
        if len(rows) < len(self.centres):
            raise UsageError(
                f"{len(rows)} features were seen, too few for {len(self.centres)} clusters\n"
                "set a longer survey, or fewer clusters"
            )
        if bool((rows == rows[0]).all()):
            raise UsageError(f"all {len(rows)} features that were seen are alike; is the image network trained?")
        centred = (rows - rows.mean(0)).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
        # directions of almost no variance are noise, which whitening would blow up
        stretch = values.clamp_min(1e-4 * float(values.max())) ** (-0.5 * self.whiten)
        self.unfold.copy_(vectors @ stretch.diag() @ vectors.T)
        unfolded = rows @ self.unfold
        start = far_apart(unfolded, len(self.centres), generator)
        self.centres.copy_(k_means(unfolded, len(self.centres), generator, rounds, start))
        code = nearest_code(unfolded, self.centres)
        count = torch.bincount(code, minlength=len(self.centres)).to(rows)
        self.share.copy_(count / count.sum())
        self.means.zero_().index_add_(0, code, rows)
        self.means.div_(count.clamp_min(1)[:, None])

    @full_precision
    def sort(self, rows: Tensor) -> Tensor:
        """Return the cluster (P,) of each feature (P, C)."""
        return nearest_code(rows @ self.unfold, self.centres)

    def weight(self) -> Tensor:
        """Return how much each cluster counts (K,); 1 on average over the features."""
        power = torch.where(self.share > 0, self.share.clamp_min(1e-4) ** -self.balance, 0.0)
        return power / (power * self.share).sum()

    @full_precision
    def expected(self, logits: Tensor) -> Tensor:
        """Return the mean feature (P, C) under the clusters' probabilities, given as logits (P, K)."""
        return logits.softmax(-1) @ self.means
