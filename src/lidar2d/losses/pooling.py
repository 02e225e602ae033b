"""Means of rows over segments, such as superpixels."""

from __future__ import annotations

import torch
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
