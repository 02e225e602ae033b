"""A light decoder of image features: one matrix for every cell, then bilinear upsampling to the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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

    def pooled(self, maps: Tensor, segment: Tensor, segments: int) -> Tensor:
        """Return the mean (S, out) over the pixels of each segment of what the decoder gives them, at unit length.

        One image is enlarged at a time, and again for its gradient, so that no more than that one is ever held.

        Args:
            maps: (V, channels, h, w).
            segment: (V, H, W) of each pixel of the images; below zero belongs to none.
            segments: number S of them; one without a pixel has a mean of zero.
        """
        cells = self._cells(maps)
        sums = cells.new_zeros(segments, cells.shape[1], dtype=torch.float32)
        for view, places in enumerate(segment.flatten(1)):
            inside = torch.nonzero(places >= 0)[:, 0]
            rows = checkpoint(self._unit_rows, cells[view : view + 1], segment.shape[1:], inside, use_reentrant=False)
            sums = sums.index_add(0, places[inside], rows)
        count = torch.bincount(segment[segment >= 0], minlength=segments)
        return sums / count.clamp_min(1)[:, None]

    def _unit_rows(self, cells: Tensor, size: tuple[int, int], pixels: Tensor) -> Tensor:
        image = F.interpolate(cells.float(), tuple(size), mode="bilinear", align_corners=self.align_corners)
        return F.normalize(image[0].flatten(1).T[pixels], dim=1)

    def _cells(self, maps: Tensor) -> Tensor:
        cells: Tensor = self.project(maps.permute(0, 2, 3, 1))
        return cells.permute(0, 3, 1, 2)
