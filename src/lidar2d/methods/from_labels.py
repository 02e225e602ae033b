"""Networks trained with labels: the ceilings that distilled features are held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.data.card import Card, load_card
from lidar2d.errors import UsageError
from lidar2d.frame import Batch
from lidar2d.methods.base import Method, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.task import Task


class _FromLabels(Method):
    """An encoder learns a task from labels, through the head that would probe it.

    Args:
        points: reads the sweeps.
        images: reads the images.
        task: what is learnt.
        card: of the data set whose classes and boxes the task is about.
        learn: the one stage.
    """

    needs_points: ClassVar[bool] = False

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        task: Callable[[Card], Task],
        learn: Stage,
        card: str = "synthetic",
    ) -> None:
        super().__init__(points, images)
        self.task = task(load_card(card))
        if self.task.reads != self.student:
            raise UsageError(f"{type(self.task).__name__} reads {self.task.reads}, and {self.student} are taught here")
        self.learn = learn
        self.head = self.task.head(self._encoder.channels)

    @property
    def _encoder(self) -> PointEncoder | ImageEncoder:
        return self.points if self.student == "points" else self.images

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"learn": self.learn}

    def trained(self) -> list[nn.Module]:
        """Return the student, or what is tuned of it, and the head."""
        tuned = [self.points] if self.student == "points" else self.images.tuned()
        return [*tuned, self.head]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss of the task.

        Raises:
            UsageError: if the frames do not tell the truth.
        """
        features = self.task.features(self._encoder, batch)
        with torch.autocast(batch.points.device.type, enabled=False):
            return {"labels": self.task.loss(self.head(features), self.task.truth(batch))}


class PointsFromLabels(_FromLabels):
    """A point network learns a task from labels; arguments as of the class above."""

    student: ClassVar[Literal["points", "images"]] = "points"


class ImagesFromLabels(_FromLabels):
    """An image network learns a task from labels; arguments as of the class above."""

    student: ClassVar[Literal["points", "images"]] = "images"
