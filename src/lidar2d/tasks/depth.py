"""Depth of every pixel from frozen image features, as an expectation over bins."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lidar2d.data.card import Card
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch
from lidar2d.geometry import measured_depth
from lidar2d.losses.log_depth import gradient_matching, scale_invariant
from lidar2d.metrics.depth import Crop, DepthErrors
from lidar2d.tasks.task import Task

_LEAST = 0.1  # of a bin's weight, so that none ever leaves the expectation


class DepthHead(nn.Module):
    """Weights of bins by one linear layer, and the depth that they expect.

    Args:
        channels: of the features.
        low: metres: the nearest bin.
        high: metres: the farthest bin.
        bins: how many, evenly spaced in metres or, if ``logarithmic``, in their logarithm.
        logarithmic: near depths have more bins.
        enlarge: features are enlarged so many times first.
        batch_norm: normalise features by the batch.
    """

    def __init__(
        self,
        channels: int,
        low: float,
        high: float,
        bins: int = 256,
        logarithmic: bool = False,
        enlarge: int = 1,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        even = torch.linspace(0, 1, bins, dtype=torch.float64)
        centres = low * (high / low) ** even if logarithmic else low + (high - low) * even
        self.register_buffer("centres", centres.float())
        self.centres: Tensor
        self.enlarge = enlarge
        self.norm = nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
        self.linear = nn.Conv2d(channels, bins, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return depth (V, h, w) in metres of maps (V, C, h, w)."""
        if self.enlarge > 1:
            features = interpolate(features, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        weights = self.linear(self.norm(features)).relu() + _LEAST
        return torch.einsum("vbhw,b->vhw", weights / weights.sum(1, keepdim=True), self.centres)


class Depth(Task):
    """The depth of every measured pixel along the optical axis, in metres.

    Where the data set has no depth of pixels, the LiDAR points that a camera sees measure it.

    Args:
        card: of the data set.
        low: metres: nearer pixels do not count.
        high: metres: farther pixels do not count: 10 on NYUv2, 80 on KITTI.
        bins: of the head.
        logarithmic: space the bins evenly in the logarithm of depth.
        enlarge: features before the head: 4 in DINOv2's protocol, 1 in DINOv3's.
        batch_norm: normalise features by the batch: DINOv3's protocol does, DINOv2's does not.
        gradient: weight of the loss of edges: 0.5 in DINOv2's protocol, 0 in DINOv3's.
        crop: which pixels of an image are judged.
    """

    headline: ClassVar[tuple[str, int]] = ("abs_rel", -1)
    reads: ClassVar[Literal["points", "images"]] = "images"

    def __init__(
        self,
        card: Card,
        low: float = 0.001,
        high: float = 80.0,
        bins: int = 256,
        logarithmic: bool = False,
        enlarge: int = 1,
        batch_norm: bool = False,
        gradient: float = 0.0,
        crop: Crop = "none",
    ) -> None:
        super().__init__(card)
        within(1e-6, 1e4, low=low, high=high)
        if low >= high:
            raise SettingError("high", high, f"it must be more than low, {low}")
        within(2, 4096, bins=bins)
        within(1, 16, enlarge=enlarge)
        within(0, 100, gradient=gradient)
        self.low, self.high, self.bins, self.logarithmic = low, high, bins, logarithmic
        self.enlarge, self.batch_norm, self.gradient = enlarge, batch_norm, gradient
        self.crop: Crop = crop

    def truth(self, batch: Batch) -> Tensor:
        """Return depth (V, H, W) in metres, 0 where it is not measured or does not count.

        Raises:
            UsageError: if the frames have no depth.
        """
        depth = self._measured(batch)
        return torch.where((depth > self.low) & (depth < self.high), depth, 0.0)

    def _measured(self, batch: Batch) -> Tensor:
        if batch.depth is not None:
            return batch.depth
        if not len(batch.points):
            raise UsageError(f"{self.card.name} has neither depth of pixels nor LiDAR points that measure it")
        return measured_depth(batch)

    def head(self, channels: int) -> nn.Module:
        """Make a head of bins."""
        return DepthHead(channels, self.low, self.high, self.bins, self.logarithmic, self.enlarge, self.batch_norm)

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return the scale-invariant loss of log-depth and, where it has a weight, that of edges."""
        depth = _enlarged(output, truth)
        loss = scale_invariant(depth, truth)
        return loss if not self.gradient else loss + self.gradient * gradient_matching(depth, truth)

    def metric(self) -> DepthErrors:
        """Make the errors of each image, averaged over images."""
        return DepthErrors(self.low, self.high, self.crop)

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return depth (V, H, W) at the resolution of the truth."""
        return _enlarged(output, truth), truth


def _enlarged(depth: Tensor, truth: Tensor) -> Tensor:
    return interpolate(depth[:, None], truth.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
