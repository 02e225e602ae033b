"""Coarse pixels, and pictures bent like rubber."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.imagenet_c.blur import folded
from lidar2d.data.weather.imagenet_c.values import shares, stored
from lidar2d.errors import within

_SMOOTH = 0.01  # of the height and of the width: standard deviation of what bends neighbours alike
_WILD = 0.005  # of the height: the most that a pixel is moved before it is smoothed


@dataclass(frozen=True)
class Pixelate(Corruption):
    """Fewer pixels.

    Args:
        kept: share of the rows and of the columns.
    """

    kept: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0.01, 1, kept=self.kept)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Take means over rectangles, and show each as one."""
        height, width = view.size
        picture = Image.fromarray(view.image.permute(1, 2, 0).contiguous().numpy())
        small = picture.resize((int(width * self.kept), int(height * self.kept)), Image.Resampling.BOX)
        coarse = small.resize((width, height), Image.Resampling.NEAREST)
        return torch.from_numpy(np.array(coarse)).permute(2, 0, 1)


@dataclass(frozen=True)
class Elastic(Corruption):
    """A picture on rubber.

    Args:
        strength: of the displacements.
    """

    strength: float

    def __post_init__(self) -> None:
        """Refuse what is no strength."""
        within(0, 1000, strength=self.strength)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Move pixels by random amounts that change slowly from place to place."""
        height, width = view.size
        moved = 2 * rng.random((2, height, width), dtype=np.float32) - 1
        bells = [_bell(_SMOOTH * size) for size in (height, width)]
        smooth = folded(torch.from_numpy(moved), np.outer(*bells), "replicate") * (_WILD * height * self.strength)
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack([(u + smooth[0]) * (2 / (width - 1)) - 1, (v + smooth[1]) * (2 / (height - 1)) - 1], -1)
        bent = F.grid_sample(shares(view.image)[None], grid[None], padding_mode="reflection", align_corners=True)
        return stored(bent[0])


def _bell(soft: float) -> NDArray[np.float64]:
    """Return a bell that is cut off at three standard deviations."""
    reach = int(3 * soft + 0.5)
    weight = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / soft))
    found: NDArray[np.float64] = weight / weight.sum()
    return found
