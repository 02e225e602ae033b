"""Supervised segmentation: how an image encoder is made where labels are dense and no pretrained weights can be had."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.errors import within
from lidar2d.frame import Annotation, Batch
from lidar2d.methods.base import Method, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.processes import sum_over_processes


class Supervised(Method):
    """The image network learns the pixels' classes through one linear head.

    Args:
        points: unused; every method has both encoders, so that recipes differ only where methods do.
        images: the student.
        classes: classes of the data set.
        learn: the one stage.
        balance: a class counts as much as its frequency to the power ``1 - balance``.
    """

    student: ClassVar[Literal["points", "images"]] = "images"
    needs_points: ClassVar[bool] = False

    def __init__(
        self, points: PointEncoder, images: ImageEncoder, classes: int, learn: Stage, balance: float = 0.5
    ) -> None:
        super().__init__(points, images)
        within(2, classes=classes)
        within(0, 1, balance=balance)
        self.learn = learn
        self.balance = balance
        self.head = nn.Linear(images.channels, classes)
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.float64))
        self.seen: Tensor

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"learn": self.learn}

    def trained(self) -> list[nn.Module]:
        """Return what is tuned of the image network, and the head."""
        return [*self.images.tuned(), self.head]

    def wants(self) -> frozenset[Annotation]:
        """Return labels of pixels."""
        return frozenset({"pixel_labels"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy over the cells of the feature map, each with the class of the pixel at its centre.

        Raises:
            UsageError: if the frames have no labels of pixels.
        """
        truth = batch.need("pixel_labels")
        features = self.images(batch.images)
        height, width = features.shape[-2:]
        cells = nn.functional.interpolate(truth[:, None].double(), size=(height, width), mode="nearest-exact")
        labels = cells.long()[:, 0]
        labelled = labels >= 0
        logits = self.head(features.permute(0, 2, 3, 1)[labelled]).float()
        target = labels[labelled]
        if self.training:
            self.seen += sum_over_processes(torch.bincount(target, minlength=len(self.seen)).double())
        share = (self.seen / self.seen.sum().clamp_min(1)).clamp_min(1e-9)
        weight = (share**-self.balance).to(logits)[target]
        each = nn.functional.cross_entropy(logits, target, reduction="none")
        total = sum_over_processes(weight.detach().sum())
        world = sum_over_processes(torch.ones_like(total))  # gradients are averaged over processes
        return {"cross_entropy": (each * weight).sum() / total.clamp_min(1e-9) * world}
