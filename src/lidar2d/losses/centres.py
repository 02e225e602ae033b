"""Objects as points: heat maps of their centres, and what is regressed there (CenterNet, CenterPoint)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

_OVERLAP = 0.1  # that a box shifted by the radius still has with the true one


def gaussian_radius(length: Tensor, width: Tensor, overlap: float = _OVERLAP) -> Tensor:
    """Return how many cells (M,) a box of these sides, in cells, may be shifted along both and overlap that much.

    A box shifted by r along both sides shares (l - r)(w - r) with itself, and fills 2 l w less that.
    """
    total, product = length + width, length * width
    # (l - r)(w - r) = 2 o / (1 + o) l w
    inner = total.square() - 4 * product * (1 - 2 * overlap / (1 + overlap))
    return (total - inner.clamp_min(0).sqrt()) / 2


def heat(row: Tensor, column: Tensor, radius: Tensor, size: tuple[int, int]) -> Tensor:
    """Paint one map (H, W): 1 at each object's cell, a Gaussian of a third of its radius around it; the highest counts.

    Args:
        row: (M,) cell of each object.
        column: (M,) cell of each object.
        radius: (M,) cells.
        size: (H, W).
    """
    if not len(row):
        return radius.new_zeros(size)
    spread = 2 * ((2 * radius + 1) / 6).square()[:, None]

    def along(cell: Tensor, cells: int) -> Tensor:
        apart = torch.arange(cells, device=cell.device) - cell[:, None]
        return torch.where(apart.abs() <= radius[:, None], torch.exp(-apart.square() / spread), 0.0)

    return (along(row, size[0])[:, :, None] * along(column, size[1])[:, None, :]).amax(0)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss of heat maps, divided by the number of objects (CornerNet, equation 1).

    Args:
        logits: of any shape.
        target: of the same shape: 1 at objects, less around them.
    """
    odds = logits.sigmoid()
    objects = target == 1
    # logarithms of the odds themselves would need a clamp, behind which an object that is lost stays lost
    right = (1 - odds).square() * logsigmoid(logits)
    wrong = (1 - target) ** 4 * odds.square() * logsigmoid(-logits)
    return -torch.where(objects, right, wrong).sum() / objects.sum().clamp_min(1)
