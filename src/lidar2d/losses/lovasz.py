"""The Lovász-softmax loss: a convex surrogate of one minus the Jaccard index (Berman et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the classes that occur of the Lovász extension of their Jaccard loss.

    With the errors of a class sorted from the largest, e_1 >= e_2 >= ..., the loss is the sum of e_i times what the
    Jaccard loss grows by when the i-th element becomes wrong, the first i-1 being wrong already (equations 8 and 9).

    Args:
        probabilities: (P, C), rows sum to 1.
        labels: (P,) class of each row.

    Returns:
        A scalar; 0 where there is no row.
    """
    if not len(labels):
        return probabilities.sum()
    truth = torch.nn.functional.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    errors, order = (truth - probabilities).abs().sort(0, descending=True)
    hits = truth.gather(0, order)
    total = hits.sum(0)
    left = total - hits.cumsum(0)  # of the class, still right
    joined = total + (1 - hits).cumsum(0)
    jaccard = 1 - left / joined
    growth = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    each = (errors * growth).sum(0)
    return each[total > 0].mean()
