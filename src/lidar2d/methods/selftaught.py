"""What the baselines on the image side share: a network tuned to what its own frozen copy sees otherwise."""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

from torch import nn

from lidar2d.losses.distill import Distance, Standardise
from lidar2d.methods.base import Method, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


class SelfTaught(Method):
    """One stage, which tunes the image network; its state at the start, frozen, is the teacher.

    Args:
        points: unused; every method has both encoders, so that recipes differ only where methods do.
        images: the image network.
        tune: the one stage.
        distance: how far a feature is from its target, in units of the teacher's features.
    """

    student: ClassVar[Literal["points", "images"]] = "images"

    def __init__(self, points: PointEncoder, images: ImageEncoder, tune: Stage, distance: Distance) -> None:
        super().__init__(points, images)
        self.tune = tune
        self.distance: Distance = distance
        self.teacher = copy.deepcopy(images)
        self.standardise = Standardise(images.channels)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"tune": self.tune}

    def trained(self) -> list[nn.Module]:
        """Return what is tuned of the image network."""
        return self.images.tuned()
