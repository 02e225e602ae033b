"""One pooled confusion matrix over the split, as the LiDAR segmentation papers use it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

Absent = Literal["skip", "zero"]


def confusion(prediction: Tensor, target: Tensor, classes: int) -> Tensor:
    """Count (target, prediction) pairs into a (classes, classes + 1) int64 matrix.

    Targets below 0 are ignored, whatever is predicted there. Predictions below 0 are no answer: the last column counts
    them, so that they are misses.

    Args:
        prediction: (P,) class of each row.
        target: (P,) its true class.
        classes: how many there are.

    Raises:
        ValueError: if the shapes differ, or a class that counts is not below ``classes``.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"predictions are {tuple(prediction.shape)}, but targets {tuple(target.shape)}")
    # one bincount of everything is several times as fast as leaving rows out first: codes have a place for each
    # ignored target (row -1), answer that is none (column -1) and class that does not exist (row and column C)
    side = classes + 2
    row, column = (value.long().clamp(-1, classes).int() + 1 for value in (target, prediction))
    counts = torch.bincount(row * side + column, minlength=side * side).view(side, side)[1:]
    if counts[classes:].any() or counts[:, -1].any():
        where = "targets" if counts[classes:].any() else "predictions"
        raise ValueError(f"{where} hold a class that is not below {classes}; ignored ones are -1")
    return torch.cat([counts[:classes, 1:-1], counts[:classes, :1]], 1)


def iou(matrix: Tensor) -> Tensor:
    """Intersection over union of each class (C,), NaN for a class that neither target nor prediction holds.

    Args:
        matrix: (C, C), or (C, C + 1) with a column for what has no answer.
    """
    matrix = matrix.double()
    hit = matrix.diagonal()
    return hit / (matrix.sum(0)[: len(matrix)] + matrix.sum(1) - hit)


def mean_iou(matrix: Tensor, absent: Absent = "skip") -> Tensor:
    """Mean IoU over the classes.

    Args:
        matrix: as of :func:`iou`.
        absent: a class that neither target nor prediction holds does not count, as in nuScenes' benchmark, or counts
            as 0, as in SemanticKITTI's.
    """
    each = iou(matrix)
    return each.nanmean() if absent == "skip" else each.nan_to_num(0.0).mean()


class ConfusionMatrix(Metric):
    """A confusion matrix whose counts are summed over processes; ``compute`` gives the IoU of each class."""

    full_state_update = False

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.add_state("matrix", torch.zeros(classes, classes + 1, dtype=torch.int64), dist_reduce_fx="sum")
        self.matrix: Tensor

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add predictions and targets of equal shape, as :func:`confusion` takes them."""
        self.matrix += confusion(prediction.flatten(), target.flatten(), len(self.matrix))

    def compute(self) -> Tensor:
        """Return the IoU of each class (C,)."""
        return iou(self.matrix)
