"""Segmentation: the class of every point, or of every pixel, from frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from lidar2d.data.card import Card
from lidar2d.errors import UsageError, within
from lidar2d.frame import Batch
from lidar2d.geometry import labels_seen
from lidar2d.losses.lovasz import lovasz_softmax
from lidar2d.metrics.confusion import Absent, ConfusionMatrix, mean_iou
from lidar2d.nets.sparse.voxels import cylindrical, voxelise
from lidar2d.tasks.task import Task


class Scores(ConfusionMatrix):
    """The pooled confusion matrix as numbers in percent: the mean IoU, each class's, and the share that is right.

    Args:
        names: of the classes.
        absent: whether a class that neither truth nor answer holds is skipped in the mean, or counts as 0.
    """

    def __init__(self, names: tuple[str, ...], absent: Absent = "skip") -> None:
        super().__init__(len(names))
        self.names = names
        self.absent: Absent = absent

    def compute(self) -> dict[str, float]:  # type: ignore[override]
        """Return the numbers by name; a class that neither truth nor answer holds has none."""
        each = 100 * super().compute()
        found = {"miou": float(100 * mean_iou(self.matrix, self.absent))}
        found["accuracy"] = float(100 * self.matrix.diagonal().sum() / self.matrix.sum())  # NaN where nothing is judged
        found |= {f"iou/{name}": float(value) for name, value in zip(self.names, each, strict=True) if value == value}
        return found

    def scores(self, scenes: Sequence[Scores], times: Tensor) -> Tensor:
        """Return the mean IoU (R,) of S scenes that count so often (R, S)."""
        pooled = torch.einsum("rs,scd->rcd", times, torch.stack([scene.matrix for scene in scenes]).double())
        return torch.stack([mean_iou(matrix, self.absent) for matrix in pooled])


class _Segmentation(Task):
    headline: ClassVar[tuple[str, int]] = ("miou", 1)

    def __init__(self, card: Card, lovasz: float = 0.0, absent: Absent = "skip") -> None:
        within(0, 100, lovasz=lovasz)
        if len(card.classes) < 2:
            raise UsageError(f"{card.name} has no classes to tell apart")
        super().__init__(card)
        self.lovasz = lovasz
        self.absent: Absent = absent

    def metric(self) -> Scores:
        """Make the pooled confusion matrix."""
        return Scores(self.card.classes, self.absent)

    def _wrong(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of rows (P, C) with labels (P,)."""
        known = labels >= 0
        if not known.any():
            return logits[:0].sum()
        loss = cross_entropy(logits, labels, ignore_index=-1)
        if not self.lovasz:
            return loss
        return loss + self.lovasz * lovasz_softmax(logits[known].softmax(1), labels[known])


@dataclass(frozen=True)
class VoxelGrid:
    """Voxels that count once in a loss, however many points they hold, by the label of the first of these.

    Args:
        size: metres.
        cylindrical: voxels in (rho, phi, z), phi in bins of one degree, rather than in (x, y, z).
    """

    size: float = 0.1
    cylindrical: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes that have no meaning."""
        within(1e-3, 100, size=self.size)

    def first(self, batch: Batch) -> Tensor:
        """Return which points (N,) are the first of their voxel."""
        xyz = batch.points[:, :3]
        around = (self.size, 1.0 if self.cylindrical else self.size, self.size)
        voxels = voxelise(cylindrical(xyz) if self.cylindrical else xyz, batch.point_frame, around)
        chosen = torch.zeros(len(xyz), dtype=torch.bool, device=xyz.device)
        chosen[voxels.first] = True
        return chosen


class PointSegmentation(_Segmentation):
    """The class of every point; the head is linear.

    Args:
        card: of the data set.
        lovasz: weight of the Lovász-softmax loss beside cross-entropy: 1 in SLidR's protocol, 2 in SuperFlow's.
        absent: whether a class that neither truth nor answer holds is skipped in the mean IoU, as nuScenes' benchmark
            does, or counts as 0, as SemanticKITTI's does.
        voxels: count once in the loss, as in SLidR's protocol; without them every point does. All points are judged.
        batch_norm: normalise features by the batch before a linear layer that begins at zero, as in ScaLR's protocol.
    """

    reads: ClassVar[Literal["points", "images"]] = "points"

    def __init__(
        self,
        card: Card,
        lovasz: float = 0.0,
        absent: Absent = "skip",
        voxels: VoxelGrid | None = None,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(card, lovasz, absent)
        self.voxels, self.batch_norm = voxels, batch_norm

    def truth(self, batch: Batch) -> Tensor:
        """Return the class (N, 2) of each point as it is judged, and as it counts in the loss; -1 to ignore.

        Raises:
            UsageError: if the frames have no labels of points.
        """
        if batch.labels is None:
            raise UsageError(f"{self.card.name} has no labels of points to segment by")
        learnt = batch.labels
        if self.voxels is not None:
            learnt = torch.where(self.voxels.first(batch), learnt, -1)
        return torch.stack([batch.labels, learnt], 1)

    def head(self, channels: int) -> nn.Module:
        """Make a linear head."""
        linear = nn.Linear(channels, len(self.card.classes))
        if not self.batch_norm:
            return linear
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        return nn.Sequential(nn.BatchNorm1d(channels), linear)

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return cross-entropy, and the Lovász-softmax loss where it has a weight."""
        return self._wrong(output, truth[:, 1])

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the likeliest class of each point."""
        return output.argmax(1), truth[:, 0]


class PixelSegmentation(_Segmentation):
    """The class of every labelled pixel; the head is linear in each cell, and its scores are enlarged to the labels.

    Where the data set has no labels of pixels, those of the LiDAR points that a camera sees stand for them.

    Args:
        card: of the data set.
        lovasz: weight of the Lovász-softmax loss beside cross-entropy.
        batch_norm: normalise features by the batch before the linear layer, as DINOv2's and DINOv3's protocols do.
    """

    reads: ClassVar[Literal["points", "images"]] = "images"

    def __init__(self, card: Card, lovasz: float = 0.0, batch_norm: bool = True) -> None:
        super().__init__(card, lovasz)
        self.batch_norm = batch_norm

    def truth(self, batch: Batch) -> Tensor:
        """Return the class (V, H, W) of each pixel, -1 to ignore.

        Raises:
            UsageError: if the frames have no labels of pixels.
        """
        if batch.pixel_labels is not None:
            return batch.pixel_labels
        if batch.labels is None:
            raise UsageError(f"{self.card.name} has labels neither of pixels nor of points that stand for them")
        return labels_seen(batch, batch.labels)

    def head(self, channels: int) -> nn.Module:
        """Make a linear head over cells."""
        linear = nn.Conv2d(channels, len(self.card.classes), 1)
        return nn.Sequential(nn.BatchNorm2d(channels), linear) if self.batch_norm else linear

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return cross-entropy over pixels, and the Lovász-softmax loss where it has a weight."""
        scores = _enlarged(output, truth).permute(0, 2, 3, 1)
        return self._wrong(scores.flatten(0, 2), truth.flatten())

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the likeliest class of each pixel."""
        return _enlarged(output, truth).argmax(1), truth


def _enlarged(maps: Tensor, truth: Tensor) -> Tensor:
    """Return maps (V, C, h, w) at the resolution of the truth (V, H, W)."""
    maps = maps.contiguous(memory_format=torch.channels_last)  # so that losses have a pixel's scores side by side
    return interpolate(maps, truth.shape[-2:], mode="bilinear", align_corners=False)
