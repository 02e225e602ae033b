"""Photometric augmentation alone: the row that shows what the LiDAR anchor is worth. No LiDAR, no adverse image."""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.data.photometric import distort_share
from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.losses.distill import Distance, Standardise, distance
from lidar2d.methods.base import Method, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.processes import mean_over_processes


class Photometric(Method):
    """The image network gives distorted clear images the features that its frozen copy gives the undistorted ones.

    Args:
        points: unused; every method has both encoders, so that recipes differ only where methods do.
        images: the image network; its state at the start, frozen, is the teacher.
        tune: the one stage, on clear frames.
        distance: how far a feature is from its target.
        distorted: share of the images that are distorted; the others keep the clear features in place.
        strength: of the distortion.
    """

    student: ClassVar[Literal["points", "images"]] = "images"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        tune: Stage,
        distance: Distance = "mse",
        distorted: float = 0.5,
        strength: float = 1.0,
    ) -> None:
        super().__init__(points, images)
        within(0, 1, distorted=distorted)
        within(0, 10, strength=strength)
        self.tune = tune
        self.distance: Distance = distance
        self.distorted = distorted
        self.strength = strength
        self.teacher = copy.deepcopy(images)
        self.standardise = Standardise(images.channels)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"tune": self.tune}

    def trained(self) -> list[nn.Module]:
        """Return what is tuned of the image network."""
        return self.images.tuned()

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
