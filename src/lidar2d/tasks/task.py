"""What a task is: what it reads of frozen features, what its head should say, and how that is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from lidar2d.data.card import Card
from lidar2d.errors import UsageError
from lidar2d.frame import Batch
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


@dataclass(frozen=True)
class Sample:
    """What a head reads of one or several frames, laid end to end, and what it should say."""

    features: Tensor  # (rows, C) of points, (V, C, h, w) of images
    truth: Tensor  # as the task has it, laid end to end like the features


def join(samples: Sequence[Sample]) -> Sample:
    """Lay samples end to end."""
    return Sample(torch.cat([s.features for s in samples]), torch.cat([s.truth for s in samples]))


class Task(ABC):
    """A question that heads answer from frozen features.

    Args:
        card: of the data set, whose classes and sensors it asks about.
    """

    reads: ClassVar[Literal["points", "images"]]
    headline: ClassVar[tuple[str, int]]  # the number that heads are chosen by; 1 where more is better, -1 where less is

    def __init__(self, card: Card) -> None:
        self.card = card

    @abstractmethod
    def truth(self, batch: Batch) -> Tensor:
        """Return what heads should say of a batch.

        Raises:
            UsageError: if the frames do not tell.
        """

    @abstractmethod
    def head(self, channels: int) -> nn.Module:
        """Make a fresh head over features of so many channels."""

    @abstractmethod
    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return how wrong a head's output is, as it is trained."""

    @abstractmethod
    def metric(self) -> Metric:
        """Make what counts how right heads are; its ``compute`` gives numbers by name."""

    @abstractmethod
    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return a head's answers and the truth, as the metric takes them."""

    def features(self, encoder: PointEncoder | ImageEncoder, batch: Batch) -> Tensor:
        """Return what heads read of a batch."""
        found = encoder(batch) if isinstance(encoder, PointEncoder) else encoder(batch.images)
        return found.float()

    @torch.no_grad()
    def sample(self, encoder: PointEncoder | ImageEncoder, batch: Batch) -> Sample:
        """Compute the frozen features of a batch.

        Raises:
            UsageError: if the frames do not tell the truth, or the features are not finite.
        """
        truth, features = self.truth(batch), self.features(encoder, batch)
        if features.numel() and not torch.stack(features.aminmax()).isfinite().all():  # NaN is either; one pass
            raise UsageError(f"features of {', '.join(batch.tokens)} are not finite; the network's weights are broken")
        return Sample(features, truth)
