"""What PPKT, SLidR, OLIVINE and HVDistill share: a frozen image network teaches points, by contrast."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lidar2d.errors import within
from lidar2d.frame import Batch, Pairs
from lidar2d.losses.contrast import info_nce
from lidar2d.losses.pooling import pool
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import Method, Pairing, Stage
from lidar2d.nets.decoder import Decoder
from lidar2d.nets.encoder import ImageEncoder, PointEncoder

ALL = 2**62  # as many matches as there are pairs


class ImageToPoint(Method):
    """A student of points, a frozen teacher of images, and a linear head on each into a space of ``dim`` channels.

    Args:
        points: the student.
        images: the teacher; frozen.
        pretrain: the one stage.
        dim: channels of the common space.
        temperature: τ of the contrast.
        matches: pairs sampled over the global batch; all of them where there are fewer.
        pairing: which points are brought together with which pixels.
        align_corners: the centres of the image head's corner cells lie on those of corner pixels, as published;
            otherwise their corners do.
    """

    student: ClassVar[Literal["points", "images"]] = "points"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        dim: int,
        temperature: float,
        matches: int,
        pairing: Pairing,
        align_corners: bool,
    ) -> None:
        super().__init__(points, images)
        within(2, dim=dim, matches=matches)  # a pair is told from others
        within(1e-3, temperature=temperature)
        self.pretrain = pretrain
        self.temperature = temperature
        self.matches = matches
        self.pairing = pairing
        self.point_head = nn.Linear(points.channels, dim)
        self.image_head = Decoder(images.channels, dim, align_corners)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"pretrain": self.pretrain}

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and both heads."""
        return [self.points, self.point_head, self.image_head]

    @torch.no_grad()
    def teach(self, batch: Batch) -> Tensor:
        """Return the teacher's maps (V, C, h, w)."""
        return self.images(batch.images)

    def draw(self, found: Pairs, batch: Batch, odds: Tensor | None = None) -> Tensor:
        """Draw as many pairs as are wanted, uniformly or with odds (P,), and return which (P,)."""
        return sample(batch.view_frame[found.view], batch.seeds, self.matches, odds)

    def point_contrast(self, features: Tensor, maps: Tensor, found: Pairs, batch: Batch) -> Tensor:
        """Each point finds its own pixel among those of all pairs: PPKT's equation (1).

        Args:
            features: (P, C) of the student, at the points of the pairs.
            maps: of the teacher.
            found: the pairs.
            batch: of the images' size.
        """
        anchors = unit(self.point_head(features))
        positives = unit(self.image_head.at(maps, found, batch.image_size))
        return info_nce(anchors, positives, self.temperature)

    def superpixel_contrast(self, features: Tensor, maps: Tensor, found: Pairs, batch: Batch) -> Tensor:
        """Each superpixel's mean point finds the superpixel's mean pixel among those of all: SLidR's equation (2).

        Means of unit vectors are not brought to unit length again. Of the pixels all count that the image shows, of the
        points those that are paired, once for each pair; superpixels without a pair do not count.

        Raises:
            UsageError: if the frames have no superpixels.
        """
        regions = batch.need("regions")
        column, row = found.pixel.floor().long().unbind(1)
        largest = int(regions.max()) + 1 if regions.numel() else 1
        of_image = torch.where(regions >= 0, regions + largest * _count_views(regions), -1)
        of_pair = of_image[found.view, row, column]
        kept = torch.unique(of_pair[of_pair >= 0])
        anchors, _ = pool(unit(self.point_head(features)), _among(kept, of_pair), len(kept))
        positives = self.image_head.pooled(maps, _among(kept, of_image), len(kept))
        return info_nce(anchors, positives, self.temperature)


def unit(rows: Tensor) -> Tensor:
    """Bring rows (P, C) to unit length, in float32."""
    return normalize(rows.float(), dim=-1)


def _count_views(regions: Tensor) -> Tensor:
    return torch.arange(len(regions), device=regions.device)[:, None, None]


def _among(kept: Tensor, values: Tensor) -> Tensor:
    """Return the place of each value among the kept ones, which ascend; -1 where it is not one of them."""
    if not len(kept):
        return torch.full_like(values, -1)
    place = torch.searchsorted(kept, values).clamp_max(len(kept) - 1)
    return torch.where(kept[place] == values, place, -1)
