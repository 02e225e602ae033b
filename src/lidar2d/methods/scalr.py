"""ScaLR: a 3D network learns to give each point the feature of its pixel (arXiv 2310.17504)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.frame import Batch
from lidar2d.losses.distill import Distance, distance
from lidar2d.methods.base import PAIRING, Method, Pairing, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.processes import mean_over_processes


class ScaLR(Method):
    """No negatives and no head on the images: the student's linear head comes near the teacher's own features.

    Args:
        points: the student.
        images: the teacher; frozen.
        pretrain: the one stage.
        distance: how far a point's feature is from its pixel's; ``l2`` of unit vectors is the paper's.
        pairing: which points are brought together with which pixels.
        align_corners: the centres of the teacher's corner cells lie on those of corner pixels, as published;
            otherwise their corners do.
    """

    student: ClassVar[Literal["points", "images"]] = "points"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        distance: Distance = "l2",
        pairing: Pairing = PAIRING,
        align_corners: bool = True,
    ) -> None:
        super().__init__(points, images)
        self.pretrain = pretrain
        self.distance: Distance = distance
        self.pairing = pairing
        self.align_corners = align_corners
        self.point_head = nn.Linear(points.channels, images.channels)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"pretrain": self.pretrain}

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and its head."""
        return [self.points, self.point_head]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compare every paired point with its pixel."""
        found = self.paired(batch)
        with torch.no_grad():
            seen = read(self.images(batch.images), found, batch.image_size, self.align_corners).float()
        features = self.point_head(self.points(batch)[found.point]).float()
        return {"distance": mean_over_processes(distance(features, seen, self.distance))}
