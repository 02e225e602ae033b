"""A light decoder of image features: one matrix for every cell, then bilinear upsampling to the image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.frame import Pairs
from lidar2d.nets.encoder import neighbours, read

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

        No pixel's channels are ever made: a pixel is a weighted sum of four cells, and its length follows from their
        products; so its segment's mean is a weighted sum of cells, too.

        Args:
            maps: (V, channels, h, w).
            segment: (V, H, W) of each pixel of the images; below zero belongs to none.
            segments: number S of them; one without a pixel has a mean of zero.
        """
        cells = self._cells(maps).float().permute(0, 2, 3, 1)
        corners = _Corners(tuple(maps.shape[-2:]), tuple(segment.shape[1:]), self.align_corners, maps.device)  # type: ignore[arg-type]
        count = torch.bincount(segment[segment >= 0], minlength=segments).clamp_min(1)
        sums = cells.new_zeros(segments, cells.shape[-1])
        with torch.autocast(maps.device.type, enabled=False):  # lengths and means want all digits
            for places, view in zip(segment, cells, strict=True):
                own, local = torch.unique(places, return_inverse=True)
                shares = corners.shares(view)
                flat = view.flatten(0, 1)
                # what each cell adds to each segment of this image
                parts = flat.new_zeros(len(own) * len(flat))
                for index, share in zip(corners.cells, shares, strict=True):
                    parts = parts.index_add(0, (local * len(flat) + index).flatten(), share.flatten())
                inside = own >= 0
                sums = sums.index_add(0, own[inside], parts.view(len(own), len(flat))[inside] @ flat)
        return sums / count[:, None]

    def _cells(self, maps: Tensor) -> Tensor:
        cells: Tensor = self.project(maps.permute(0, 2, 3, 1))
        return cells.permute(0, 3, 1, 2)


class _Corners:
    """The four cells around each pixel of an enlarged map, and the weights with which they enter it."""

    def __init__(
        self, size: tuple[int, int], pixels: tuple[int, int], align_corners: bool, device: torch.device
    ) -> None:
        rows = neighbours(torch.arange(pixels[0], device=device) + 0.5, size[0], pixels[0], align_corners)
        columns = neighbours(torch.arange(pixels[1], device=device) + 0.5, size[1], pixels[1], align_corners)
        (self.top, self.bottom, down), (self.left, self.right, across) = rows, columns
        down, across = down[:, None], across[None]
        self.weights = (1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across
        places = [(row, column) for row in (self.top, self.bottom) for column in (self.left, self.right)]
        self.cells = [row[:, None] * size[1] + column for row, column in places]  # (H, W) each

    def shares(self, view: Tensor) -> list[Tensor]:
        """Return with which weight each corner enters a pixel at unit length, (H, W) each, for cells (h, w, C)."""
        right, below = _shifted(view, 1), _shifted(view, 0)
        products = {
            (0, 0): view.square().sum(2),
            (0, 1): (view * right).sum(2),
            (0, 2): (view * below).sum(2),
            (0, 3): (view * _shifted(below, 1)).sum(2),
            (1, 2): (right * below).sum(2),
        }
        of = {name: self._at(value) for name, value in products.items()}
        of[1, 1] = self._at(products[0, 0], right=True)
        of[2, 2] = self._at(products[0, 0], below=True)
        of[3, 3] = self._at(products[0, 0], right=True, below=True)
        of[1, 3] = self._at(products[0, 2], right=True)
        of[2, 3] = self._at(products[0, 1], below=True)
        terms = [(1 if a == b else 2) * self.weights[a] * self.weights[b] * value for (a, b), value in of.items()]
        length = torch.stack(terms).sum(0).clamp_min(1e-24).sqrt()
        return [weight / length for weight in self.weights]

    def _at(self, values: Tensor, right: bool = False, below: bool = False) -> Tensor:
        rows, columns = self.bottom if below else self.top, self.right if right else self.left
        return values[rows[:, None], columns]


def _shifted(view: Tensor, axis: int) -> Tensor:
    """Return the next cell along an axis; the last stays, where its weight is zero."""
    last = view.narrow(axis, view.shape[axis] - 1, 1)
    return torch.cat([view.narrow(axis, 1, view.shape[axis] - 1), last], dim=axis)
