"""Blur: out of focus, through frosted glass, by motion, by zooming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.imagenet_c.values import shares, stored
from lidar2d.errors import within

Kernel = NDArray[np.float64]
_STRIP, _LINES = 64, 4  # rows that are blurred, or scattered, at a time: they stay in the processor's cache


@dataclass(frozen=True)
class Defocus(Corruption):
    """Out of focus: a disc.

    Args:
        radius: pixels.
        soft: pixels, standard deviation that the disc's edge is smoothed with.
    """

    radius: int
    soft: float

    def __post_init__(self) -> None:
        """Refuse what is no disc."""
        within(1, 100, radius=self.radius)
        within(1e-3, 10, soft=self.soft)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Fold with the disc."""
        return stored(folded(shares(view.image), disc(self.radius, self.soft), "reflect"))


@dataclass(frozen=True)
class Glass(Corruption):
    """Through frosted glass: blurred, pixels replaced by neighbours, blurred again.

    Neighbours were meant to swap places; the published code, and so the published pictures, copy one over the other.

    Args:
        soft: pixels, standard deviation of either blur.
        reach: pixels that a neighbour may be away.
        rounds: of replacements.
    """

    soft: float
    reach: int
    rounds: int

    def __post_init__(self) -> None:
        """Refuse what is no blur and no neighbour."""
        within(0.1, 20, soft=self.soft)
        within(1, 20, reach=self.reach)
        within(1, 20, rounds=self.rounds)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Blur, replace and blur."""
        blurred = stored(gaussian(shares(view.image), self.soft))
        places = scattered(view.size, self.reach, self.rounds, rng)
        mixed = torch.from_numpy(blurred.flatten(1).numpy().take(places, axis=1)).view_as(blurred)
        return stored(gaussian(shares(mixed), self.soft))


@dataclass(frozen=True)
class Motion(Corruption):
    """A camera that moves by so many pixels, whatever its lens: half a bell along a straight way.

    Args:
        radius: pixels, half of the way's length.
        soft: pixels along the way, standard deviation of the bell.
    """

    radius: int
    soft: float

    def __post_init__(self) -> None:
        """Refuse what is no way."""
        within(1, 500, radius=self.radius)
        within(0.1, 500, soft=self.soft)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Fold with a way that leads to the side, up to 45 degrees up or down."""
        way = streak(self.radius, self.soft, np.radians(rng.uniform(-45, 45)))
        return stored(folded(shares(view.image), way, "replicate"))


@dataclass(frozen=True)
class Zoom(Corruption):
    """A camera that zooms in while its shutter is open.

    Args:
        most: the largest factor, itself left out.
        step: from one factor to the next, from 1 on.
    """

    most: float
    step: float

    def __post_init__(self) -> None:
        """Refuse what is no zoom."""
        within(1, 10, most=self.most)
        within(1e-3, 1, step=self.step)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Return the mean of the picture and of itself at each factor."""
        factors = np.arange(1, self.most, self.step)  # itself, and the factor of 1
        image = view.image[None].contiguous(memory_format=torch.channels_last)  # eight bits a colour: twice as quick
        total = 2 * image.int()
        for factor in factors[1:]:
            total += enlarged(image, float(factor))
        return stored(total[0] / (255 * (len(factors) + 1)))


def disc(radius: int, soft: float) -> Kernel:
    """Return a disc, smoothed by a bell that is cut off after one pixel, after two for large discs."""
    reach, cut = (8, 1) if radius <= 8 else (radius, 2)
    row = np.square(np.arange(-reach, reach + 1))
    whole = (row[:, None] + row <= radius**2).astype(np.float64)
    bell = np.exp(-0.5 * np.square(np.arange(-cut, cut + 1) / soft))
    bell /= bell.sum()
    for axis in (0, 1):
        # the array ends in a mirror, as in the published kernels
        wide = np.pad(whole, [(cut, cut) if each == axis else (0, 0) for each in (0, 1)], mode="reflect")
        whole = np.apply_along_axis(np.convolve, axis, wide, bell, mode="valid")
    found: NDArray[np.float64] = whole / (row[:, None] + row <= radius**2).sum()
    return found


def streak(radius: int, soft: float, angle: float) -> Kernel:
    """Return half a bell of 2 radius + 1 pixels along a way at an angle to the right, radians, downward."""
    places = np.arange(2 * radius + 1)
    weight = np.exp(-0.5 * np.square(places / soft))
    down, right = (-np.ceil(places * turn - 0.5).astype(np.int64) for turn in (np.sin(angle), np.cos(angle)))
    kernel = np.zeros((4 * radius + 1, 4 * radius + 1))
    np.add.at(kernel, (2 * radius + down, 2 * radius + right), weight / weight.sum())
    return kernel


def folded(planes: Tensor, kernel: Kernel, edge: str) -> Tensor:
    """Fold planes (C, H, W) with a kernel of odd sides, by their spectra.

    Args:
        planes: of shares.
        kernel: (2 a + 1, 2 b + 1); what it has right of its middle moves a picture to the right.
        edge: what is beyond the edges, as ``torch.nn.functional.pad`` calls it.
    """
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    height, width = planes.shape[-2:]
    wide = F.pad(planes[None], (across, across, down, down), mode=edge)[0]
    size = next_fast_len(height + 2 * down, real=True), next_fast_len(width + 2 * across, real=True)
    spectrum = torch.fft.rfft2(wide, s=size)
    spectrum *= torch.fft.rfft2(torch.from_numpy(kernel).float(), s=size)
    whole: Tensor = torch.fft.irfft2(spectrum, s=size)
    return whole[:, 2 * down : 2 * down + height, 2 * across : 2 * across + width]


def gaussian(planes: Tensor, soft: float) -> Tensor:
    """Blur planes (C, H, W) by a bell that is cut off at four standard deviations; edges go on as they are."""
    reach = int(4 * soft + 0.5)
    middle = np.zeros(2 * reach + 1)
    middle[reach] = 1
    bell = gaussian_filter1d(middle, soft, mode="constant").tolist()
    wider = F.pad(planes[None], (reach, reach, reach, reach), mode="replicate")[0]
    found = torch.empty_like(planes)
    for plane, whole in zip(wider, found, strict=True):
        for top in range(0, len(whole), _STRIP):
            part = whole[top : top + _STRIP]
            weighted(weighted(plane[top : top + len(part) + 2 * reach], bell, 0), bell, 1, part)
    return found


def weighted(plane: Tensor, weights: Sequence[float], axis: int, out: Tensor | None = None) -> Tensor:
    """Return what a plane (H, W) and its neighbours along an axis sum up to, where it has all of them."""
    size = plane.shape[axis] - len(weights) + 1
    total = torch.mul(plane.narrow(axis, 0, size), weights[0], out=out)
    for place, weight in enumerate(weights[1:], 1):
        total.add_(plane.narrow(axis, place, size), alpha=weight)
    return total


def scattered(size: tuple[int, int], reach: int, rounds: int, rng: Generator) -> NDArray[np.intp]:
    """Return which pixel (H W,) is seen where after each was replaced by a random one near it, one after the other.

    The published loop goes from the lower right to the upper left, line by line. A pixel that was replaced before is
    itself a copy: so begins a chain, at whose end stands one that still looks as it did. Chains are followed in a few
    lines at a time, which stay in the processor's cache; lines below are done. No place is beyond the picture: to clip,
    which never happens, is quicker than to look whether one is.
    """
    height, width = size
    places = np.arange(height * width)
    rows, columns = height - 2 * reach, width - 2 * reach  # that have all neighbours, but for the first of each
    if rows < 1 or columns < 1:
        return places
    near = np.add.outer(np.arange(-reach, reach) * width, np.arange(-reach, reach)).ravel()
    for _ in range(rounds):
        drawn = rng.integers(near.size, size=(rows, columns), dtype=np.min_scalar_type(near.size - 1))[::-1, ::-1]
        for bottom in range(rows, 0, -_LINES):
            top = max(bottom - _LINES, 0)
            first = (top + reach + 1) * width
            own = np.arange((bottom - top) * width)
            other = own.copy()
            other.reshape(-1, width)[:, reach + 1 : width - reach + 1] += near.take(drawn[top:bottom], mode="clip")
            last = np.where((other > own) & (other < len(own)), other, own)
            while not np.array_equal(further := last.take(last, mode="clip"), last):
                last = further
            places[first : first + len(own)] = places.take(other.take(last, mode="clip") + first, mode="clip")
    return places


def enlarged(images: Tensor, factor: float) -> Tensor:
    """Return the middle of images (N, C, H, W), enlarged by a factor of at least 1, between pixels by lines."""
    height, width = images.shape[-2:]
    rows, columns = (int(np.ceil(size / factor)) for size in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = images[..., top : top + rows, left : left + columns]
    wide = F.interpolate(middle, (round(rows * factor), round(columns * factor)), mode="bilinear", align_corners=True)
    return wide[..., :height, :width]
