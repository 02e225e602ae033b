"""The Lovász-softmax loss: a convex surrogate of one minus the Jaccard index (Berman et al., CVPR 2018)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over the classes that occur of the Lovász extension of their Jaccard loss.

    With the errors of a class sorted from the largest, e_1 >= e_2 >= ..., the loss is the sum of e_i times what the
    Jaccard loss grows by when the i-th element becomes wrong, the first i-1 being wrong already (equations 8 and 9).
    After the class's own last element that is nothing, so the many smaller errors need no sorting.

    Args:
        probabilities: (P, C), rows sum to 1.
        labels: (P,) class of each row.

    Returns:
        A scalar; 0 where there is no row.
    """
    if not len(labels):
        return probabilities.sum()
    classes = probabilities.shape[1]
    count = torch.bincount(labels, minlength=classes)
    place = _mattering(probabilities.detach(), labels, count)
    number, hit = place % classes, place % classes == labels[place // classes]
    chance = probabilities.flatten().gather(0, place)
    error = torch.where(hit, 1 - chance, chance)
    growth = _growth(error.detach(), number, hit, count)
    return (error * growth).sum() / count.count_nonzero()


def _mattering(probabilities: Tensor, labels: Tensor, count: Tensor) -> Tensor:
    """Return where (n,) in (P, C), laid flat, errors are no smaller than the least of their class's own elements."""
    own = probabilities.gather(1, labels[:, None])[:, 0]
    best = torch.zeros_like(probabilities[0]).scatter_reduce(0, labels, own, "amax")
    least = torch.where(count > 0, 1 - best, torch.inf)
    return (probabilities >= least).scatter(1, labels[:, None], True).flatten().nonzero()[:, 0]


def _growth(error: Tensor, number: Tensor, hit: Tensor, count: Tensor) -> Tensor:
    """Return what the Jaccard loss of each element's class grows by at it, in the order of falling errors.

    Args:
        error: (n,) of elements.
        number: (n,) class that each is an element of.
        hit: (n,) whether it is of that class in truth.
        count: (C,) elements of each class in truth; all of them are given.
    """
    order = _argsort(2 * number - error.double())  # class by class, the largest error first
    hits, size = hit[order], torch.bincount(number, minlength=len(count))
    # what came in classes before is taken off; all of their own elements did
    end, before = torch.stack([count.cumsum(0), size.cumsum(0) - size]).repeat_interleave(size, 1)
    left = (end - hits.cumsum(0)).double()  # of the class, still right
    joined = left + torch.arange(1, len(order) + 1, device=order.device) - before  # of the class, or taken for it
    # from left + 1 to left of joined, or from joined - 1 to joined; differences of quotients would lose digits
    growth = torch.where(hits, 1 / joined, left / (joined * (joined - 1)))
    return torch.empty_like(error).scatter(0, order, growth.to(error.dtype))


def _argsort(values: Tensor) -> Tensor:
    """Return the indices (n,) that sort values (n,); on a processor NumPy is several times as fast."""
    return torch.from_numpy(np.argsort(values.numpy())) if values.device.type == "cpu" else values.argsort()
