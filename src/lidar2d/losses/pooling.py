"""Means of rows over segments, such as superpixels, and sums over few classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pool(rows: Tensor, segment: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    """Return the mean (S, C) of the rows (P, C) of each segment (P,), and the number of its rows (S,).

    Segments without a row have a mean of zero. Rows whose segment is below zero belong to none.
    """
    inside = segment >= 0
    if not bool(inside.all()):
        rows, segment = rows[inside], segment[inside]
    count = torch.bincount(segment, minlength=segments)
    sums = rows.new_zeros(segments, rows.shape[1]).index_add(0, segment, rows)
    return sums / count.clamp_min(1).to(rows.dtype)[:, None], count


def sum_by_class(rows: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the sum (K, C) of the rows (P, C) of each label (P,) below K, and the number of its rows (K,).

    For few classes and many rows, several times as fast as adding each row to its class. Rows whose label is below zero
    belong to none.
    """
    # both read each row once; a GPU would read the rows of a class one after another
    return _product(rows, labels, classes) if rows.is_cuda else _bags(rows, labels, classes)


def _bags(rows: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Put the rows of a class side by side, and sum each bag."""
    none = classes  # the last bag, for rows of no class
    labels = torch.where(labels < 0, none, labels).to(torch.uint8 if classes < 256 else torch.int64)  # quicker to sort
    count = torch.bincount(labels, minlength=classes + 1)
    begins = F.pad(count[:-1].cumsum(0), (1, 0))
    sums = F.embedding_bag(labels.sort().indices, rows, begins, mode="sum")
    return sums[:none], count[:none].to(rows.dtype)


def _product(rows: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Multiply with a row of zeros and ones for each class."""
    of_class = (labels == torch.arange(classes, device=labels.device)[:, None]).to(rows.dtype)
    return of_class @ rows, of_class.sum(1)
