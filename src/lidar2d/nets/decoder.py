"""A light decoder of image features: one matrix for every cell, then bilinear upsampling to the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.frame import Pairs
from lidar2d.nets.encoder import read

_PART = 128  # pixels whose features are held at once


class Decoder(nn.Module):
    """Read it at pixels, or as a whole: the same numbers, the first without making the map of the image's size.

    A 1x1 convolution, because larger ones leak context between the two sides of a pair (SLidR, arXiv:2203.16258).

    Args:
        channels: that come in.
        out: channels that come out.
        align_corners: how cells lie on pixels, as in :func:`~lidar2d.nets.encoder.read`; the published code of this
            family has it true.
    """

    def __init__(self, channels: int, out: int, align_corners: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(channels, out)
        self.align_corners = align_corners

    def forward(self, maps: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Return (V, out, H, W) for maps (V, channels, h, w)."""
        return F.interpolate(self._cells(maps), image_size, mode="bilinear", align_corners=self.align_corners)

    def at(self, maps: Tensor, pairs: Pairs, image_size: tuple[int, int]) -> Tensor:
        """Return (P, out) at the pixels of the pairs, for maps (V, channels, h, w) and images of a size in pixels."""
        cells = maps.numel() // maps.shape[1]
        if maps.requires_grad or 4 * len(pairs) >= cells:
            return read(self._cells(maps), pairs, image_size, self.align_corners)
        # few pixels of a frozen network's map: a matrix and a weighted mean may change places
        parts = torch.split(torch.arange(len(pairs), device=maps.device), _PART)
        return torch.cat([self.project(read(maps, pairs[part], image_size, self.align_corners)) for part in parts])

    def _cells(self, maps: Tensor) -> Tensor:
        cells: Tensor = self.project(maps.permute(0, 2, 3, 1))
        return cells.permute(0, 3, 1, 2)
