"""Photometric augmentation alone: the row that shows what the LiDAR anchor is worth. No LiDAR, no adverse image."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lidar2d.data.photometric import distort_share
from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.losses.distill import Distance, distance
from lidar2d.methods.base import Stage
from lidar2d.methods.selftaught import SelfTaught
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.processes import mean_over_processes


class Photometric(SelfTaught):
    """The image network gives distorted clear images the features that its frozen copy gives the undistorted ones.

    Other arguments as in :class:`SelfTaught`.

    Args:
        distorted: share of the images that are distorted; the others keep the clear features in place.
        strength: of the distortion.
    """

    needs_points: ClassVar[bool] = False

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        tune: Stage,
        distance: Distance = "mse",
        distorted: float = 0.5,
        strength: float = 1.0,
    ) -> None:
        super().__init__(points, images, tune, distance)
        within(0, 1, distorted=distorted)
        within(0, 10, strength=strength)
        self.distorted = distorted
        self.strength = strength

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the distance between features of the distorted images and of the undistorted ones."""
        with torch.no_grad():
            kept = self.teacher(batch.images).float().permute(0, 2, 3, 1).flatten(0, 2)
            if self.training:
                self.standardise.update(kept)
            shown = distort_share(batch, self.distorted, self.strength)
        features = self.images(shown).float().permute(0, 2, 3, 1).flatten(0, 2)
        far = distance(self.standardise(features), self.standardise(kept), self.distance)
        return {"consistency": mean_over_processes(far)}
