"""PPKT: a 3D network learns from a frozen image network by point-pixel contrast (arXiv 2104.04687)."""

from __future__ import annotations

from torch import Tensor

from lidar2d.frame import Batch
from lidar2d.methods.base import PAIRING, Pairing, Stage
from lidar2d.methods.family import ImageToPoint
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


class PPKT(ImageToPoint):
    """Each sampled point finds its own pixel among all sampled pixels; arguments as in :class:`ImageToPoint`."""

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        dim: int = 64,
        temperature: float = 0.07,
        matches: int = 4096,
        pairing: Pairing = PAIRING,
        align_corners: bool = True,
    ) -> None:
        super().__init__(points, images, pretrain, dim, temperature, matches, pairing, align_corners)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast the sampled points with their pixels."""
        found = self.paired(batch)
        found = found[self.draw(found, batch)]
        maps = self.teach(batch)
        return {"contrast": self.point_contrast(self.points(batch, found.point), maps, found, batch)}
