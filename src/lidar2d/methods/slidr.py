"""SLidR: a 3D network learns from a frozen image network by contrast of superpixels (arXiv 2203.16258)."""

from __future__ import annotations

from torch import Tensor

from lidar2d.frame import Annotation, Batch
from lidar2d.methods.base import PAIRING, Pairing, Stage
from lidar2d.methods.family import ALL, ImageToPoint
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


class SLidR(ImageToPoint):
    """Each superpixel's points find the superpixel's pixels; arguments as in :class:`ImageToPoint`."""

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        dim: int = 64,
        temperature: float = 0.07,
        pairing: Pairing = PAIRING,
        align_corners: bool = True,
    ) -> None:
        super().__init__(points, images, pretrain, dim, temperature, ALL, pairing, align_corners)

    def wants(self) -> frozenset[Annotation]:
        """Return superpixels."""
        return frozenset({"regions"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast the superpixels."""
        found = self.paired(batch)
        features = self.points(batch)[found.point]
        return {"contrast": self.superpixel_contrast(features, self.teach(batch), found, batch)}
