"""What every network here is: an encoder of points or of images; and how a feature map is read at pixels."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import SettingError
from lidar2d.frame import Batch, Pairs
from lidar2d.nets.checkpoints import File, Loaded, match, open_file
from lidar2d.paths import expanded


class Encoder(nn.Module, ABC):
    """What encoders of points and of images share: where their weights came from."""

    channels: int
    head: ClassVar[str | None] = None  # beginning of the names that files may lack, or have in another size
    loaded: Loaded | None = None  # what became of the file that it was filled from

    @property
    def origin(self) -> str:
        """Say where its first weights came from."""
        return "random weights" if self.loaded is None else self.loaded.summary()

    def load(self, path: Path) -> None:
        """Fill the network from weights that someone released, or that a run left.

        Raises:
            UsageError: if the file is missing or unreadable, holds another network, or was trained with other settings.
        """
        path = expanded(path)
        if not path.is_file():
            raise SettingError("weights", path, "there is no such file; docs/weights.md says where released ones are")
        values, self.loaded = self.match(open_file(path))
        self.load_state_dict(values, strict=False)

    def match(self, file: File) -> tuple[dict[str, Tensor], Loaded]:
        """Find the network's weights in a file, and what becomes of every name in it.

        Raises:
            UsageError: if it holds another network, or was trained with other settings.
        """
        return match(self, file, self.head, self.settings())

    def settings(self) -> dict[str, object]:
        """Return the settings, by name, that weights depend on beside their shapes; runs keep them in their files."""
        return {}


class PointEncoder(Encoder):
    """A network that gives every LiDAR point a feature.

    How it does so (voxels, range images, ...) is its own affair: no grid and no sparse type leaves it.
    """

    head: ClassVar[str | None] = "final."

    def advice(self, beams: int, elevation: tuple[float, float]) -> str:  # noqa: ARG002 for subclasses
        """Say how to fit the settings to a sensor of so many beams between two elevations (degrees), or nothing."""
        return ""

    def sees(self, points: Tensor) -> Tensor | None:  # noqa: ARG002 for subclasses
        """Tell which points (N, 4) the network sees (N,), or nothing if all; the others are paired with no pixel."""
        return None

    def from_above(self, batch: Batch, xy: Tensor) -> Tensor | None:  # noqa: ARG002 for subclasses
        """Return features (B, Q, channels) at places (Q, 2) on the ground, metres, if the network maps it."""
        return None

    @abstractmethod
    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows`` (P,), or of all points in their order.

        All points are seen either way; a loss over sampled points need not pay for features of the others.
        """

    if TYPE_CHECKING:

        def __call__(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
            """Call :meth:`forward` and its hooks."""


class ImageEncoder(Encoder):
    """A network that gives every image a map of features, normalising its input itself."""

    stride: int  # pixels of the image to one cell of the map, in either direction
    frozen: bool = False  # it never trains, whatever the method

    @property
    def multiple(self) -> int:
        """Pixels; images are resized to the nearest multiples of it before the network sees them."""
        return self.stride

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return maps (V, channels, h, w) that cover the images (V, 3, H, W), RGB 0..1, from border to border."""

    def tuned(self) -> list[nn.Module]:
        """Return the modules that training changes; the rest of the network stays as it was."""
        return [self]

    def merge(self) -> None:
        """Fold what was learnt beside the weights into them; the maps stay the same."""

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Tensor:
            """Call :meth:`forward` and its hooks."""


def whole_cells(images: Tensor, stride: int) -> Tensor:
    """Resize images (V, 3, H, W) to the nearest multiples of the stride, so that a map covers them exactly.

    Padding would make the map reach beyond the image, and every read-out drift with it.
    """
    size = whole_size(images, stride)
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def whole_size(images: Tensor, stride: int) -> tuple[int, int]:
    """Return the multiples of the stride that are nearest to the height and width of images (V, 3, H, W)."""
    height, width = (max(1, round(pixels / stride)) * stride for pixels in images.shape[-2:])
    return height, width


def read(features: Tensor, pairs: Pairs, image_size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """Read feature maps at the pixels of the pairs, bilinearly, as if they had been enlarged to the image first.

    Equal to ``interpolate(features, image_size, mode="bilinear", align_corners=align_corners)`` at pixel centres, at a
    fraction of its memory; pixels outside the outermost cell centres take the border's value.

    Args:
        features: (V, C, h, w) maps that cover the images from border to border.
        pairs: P pairs; ``pairs.view`` counts the V maps, ``pairs.pixel`` is in pixels of the image.
        image_size: (height, width) of the images, pixels.
        align_corners: the centres of corner cells lie on those of corner pixels, as in the published code of this
            family; otherwise their corners do.

    Returns:
        (P, C) features.
    """
    height, width = features.shape[-2:]
    column, right, across = neighbours(pairs.pixel[:, 0], width, image_size[1], align_corners)
    row, below, down = neighbours(pairs.pixel[:, 1], height, image_size[0], align_corners)
    corners = torch.stack([row * width + column, row * width + right, below * width + column, below * width + right], 1)
    weights = torch.stack([(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across], 1)
    weights = weights.to(features.dtype)
    if not features.requires_grad and 4 * len(corners) < len(features) * height * width:
        # few pixels of a map that does not train: it is not worth turning the whole map round
        flat = features.flatten(2)
        parts = (flat[pairs.view, :, corners[:, k]] * weights[:, k, None] for k in range(4))
        return functools.reduce(torch.add, parts)
    cells = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    # one fused weighted sum: no (P, 4, C) tensor is ever made
    corners = corners + (pairs.view * (height * width))[:, None]
    return F.embedding_bag(corners, cells, mode="sum", per_sample_weights=weights)


def neighbours(pixel: Tensor, cells: int, pixels: int, align_corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cell before a pixel, the cell after it, and how far (0..1) the pixel lies between their centres."""
    shift, scale = (0.5, (cells - 1) / max(1, pixels - 1)) if align_corners else (0.0, cells / pixels)
    place = ((pixel - shift) * scale - (0.5 - shift)).clamp(0, cells - 1)
    before = place.floor().long()
    return before, (before + 1).clamp(max=cells - 1), place - torch.floor(place)
