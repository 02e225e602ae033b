"""One pooled confusion matrix over the split, as the LiDAR segmentation papers use it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


def confusion(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count (target, prediction) pairs into a (classes, classes) int64 matrix; targets below 0 are ignored."""
    valid = target >= 0
    index = target[valid] * classes + prediction[valid]
    return torch.bincount(index, minlength=classes * classes).view(classes, classes)


def iou(matrix: Tensor) -> Tensor:
    """Intersection over union of each class (C,), NaN for a class that neither target nor prediction holds."""
    matrix = matrix.double()
    hit = matrix.diagonal()
    return hit / (matrix.sum(0) + matrix.sum(1) - hit)


def mean_iou(matrix: Tensor) -> Tensor:
    """Mean IoU over the classes that occur; an absent class does not count."""
    return iou(matrix).nanmean()


class ConfusionMatrix(Metric):
    """A confusion matrix whose counts are summed over processes; ``compute`` gives the IoU of each class."""

    full_state_update = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.add_state("matrix", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.matrix: Tensor

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add predictions and targets of equal shape (class indices; targets below 0 are ignored)."""
        self.matrix += confusion(prediction.flatten(), target.flatten(), len(self.matrix))

    def compute(self) -> Tensor:
        """Return the IoU of each class (C,)."""
        return iou(self.matrix)
