"""SmallConv: an image encoder of about a million weights that trains in minutes on a CPU."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import within
from lidar2d.nets.encoder import ImageEncoder, whole_cells
from lidar2d.nets.weights import shipped

# mean and spread of RGB 0..1 in outdoor photographs, rounded; constants rather than statistics of the batch,
# so that a dark image stays dark
_MEAN = 0.45
_SPREAD = 0.25


def _norm(channels: int) -> nn.GroupNorm:
    # groups of 16 channels: no statistics over images, so weather in one image does not shift another
    return nn.GroupNorm(max(1, channels // 16), channels)


class _Block(nn.Module):
    """Two 3x3 convolutions around a short cut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = _norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = _norm(channels)
        nn.init.zeros_(self.norm2.weight)  # begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(inner)))


def _down(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False), _norm(out), nn.ReLU())


class SmallConv(ImageEncoder):
    """Residual blocks at a quarter, an eighth and a sixteenth of the image, merged from coarse to fine.

    Args:
        width: channels at a quarter; half as many at a half, 1.5 times at an eighth and twice at a sixteenth.
        channels: of the features that come out.
        stride: pixels per cell of the features: 2 follows edges more closely, and takes half as long again.
        place: the network is told where in the image each pixel lies; flat ground is far where it is high.
        weights: a shipped name (``town-supervised``), a file of a run, or None for random weights.
    """

    def __init__(
        self,
        width: int = 64,
        channels: int = 64,
        stride: Literal[2, 4] = 4,
        place: bool = False,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        within(1, channels=channels)
        within(2, width=width)
        self.channels, self.stride, self.place = channels, stride, place
        narrow, wide, wider = width // 2, width * 3 // 2, width * 2
        self.stem = nn.Sequential(_down(5 if place else 3, narrow), _down(narrow, width))
        self.quarter = _Block(width)
        self.eighth = nn.Sequential(_down(width, wide), _Block(wide))
        self.sixteenth = nn.Sequential(_down(wide, wider), _Block(wider), _Block(wider))
        self.merge_eighth = nn.Conv2d(wider, wide, 1)
        self.merge_quarter = nn.Conv2d(wide, width, 1)
        self.refine = _Block(width)
        if stride == 2:
            self.merge_half = nn.Conv2d(width, narrow, 1)
            self.refine_half = _Block(narrow)
        self.out = nn.Conv2d(narrow if stride == 2 else width, channels, 1)
        if weights is not None:
            self.load(shipped(weights))

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (V, channels, H/stride, W/stride) for images (V, 3, H, W), RGB 0..1."""
        x = (whole_cells(images, self.stride) - _MEAN) / _SPREAD
        if self.place:
            x = torch.cat([x, _places(x)], 1)
        # convolutions and GroupNorm on a CPU are faster with the channels innermost
        x = x.contiguous(memory_format=torch.channels_last)
        half = self.stem[0](x)
        quarter = self.quarter(self.stem[1](half))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = eighth + _enlarge(self.merge_eighth(sixteenth), eighth)
        quarter = quarter + _enlarge(self.merge_quarter(eighth), quarter)
        finest = self.refine(quarter)
        if self.stride == 2:
            finest = self.refine_half(half + _enlarge(self.merge_half(finest), half))
        features: Tensor = self.out(finest)
        return features


def _places(images: Tensor) -> Tensor:
    """Return how far down and how far right (V, 2, H, W) each pixel of images lies, from -1 to 1."""
    count, _, height, width = images.shape
    down, right = (torch.linspace(-1, 1, size, dtype=images.dtype, device=images.device) for size in (height, width))
    return torch.stack(torch.meshgrid(down, right, indexing="ij")).expand(count, 2, height, width)


def _enlarge(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
