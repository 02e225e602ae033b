"""How much oriented boxes overlap, seen from above and in space."""

from __future__ import annotations

import torch
from torch import Tensor

_CORNERS = ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))  # counter-clockwise, of a unit square


def shared_area(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the area (P,) that pairs of boxes (P, 7) and (P, 7) share, seen from above, in square metres.

    The outline of one box is carried into the axes of the other, and every point outside of the other's sides is put on
    the nearest of them, first along x, then along y. An outline runs back and forth on a side without enclosing
    anything, so what the new outline encloses is the shared area: no case has to be told from another.
    """
    angle = boxes[:, 6] - others[:, 6]
    corners = boxes.new_tensor(_CORNERS) * boxes[:, None, 3:5]
    outline = _turned(corners, angle[:, None]) + _turned(boxes[:, :2] - others[:, :2], -others[:, 6])[:, None]
    for axis in (0, 1):
        outline = _clamped(outline, axis, others[:, 3 + axis] / 2)
    x, y = outline.unbind(-1)
    twice: Tensor = (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(1)
    return twice.clamp_min(0) / 2


def overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intersection over union of all boxes (M, 7) with all others (N, 7).

    Args:
        boxes: x y z, length width height in metres, yaw in radians, in float64 for exactness.
        others: the same.

    Returns:
        (M, N) seen from above, and (M, N) in space.
    """
    above, space = boxes.new_zeros(2, len(boxes), len(others))
    reach = boxes[:, 3:5].norm(dim=1)[:, None] + others[:, 3:5].norm(dim=1)
    near = torch.cdist(boxes[:, :2], others[:, :2], compute_mode="donot_use_mm_for_euclid_dist") < reach / 2
    row, column = near.nonzero(as_tuple=True)
    one, other = boxes[row], others[column]
    area = shared_area(one, other)
    top = torch.minimum(one[:, 2] + one[:, 5] / 2, other[:, 2] + other[:, 5] / 2)
    bottom = torch.maximum(one[:, 2] - one[:, 5] / 2, other[:, 2] - other[:, 5] / 2)
    volume = area * (top - bottom).clamp_min(0)
    both = one[:, 3:5].prod(1) + other[:, 3:5].prod(1) - area
    filled = one[:, 3:6].prod(1) + other[:, 3:6].prod(1) - volume
    above[row, column] = area / both
    space[row, column] = volume / filled
    return above, space


def _turned(points: Tensor, angle: Tensor) -> Tensor:
    """Turn points (..., 2) counter-clockwise."""
    cos, sin = angle.cos(), angle.sin()
    x, y = points.unbind(-1)
    return torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1)


def _clamped(outline: Tensor, axis: int, half: Tensor) -> Tensor:
    """Put what lies outside of -half..half (P,) of an axis on that border; each edge (of P, K, 2) becomes three."""
    start, end = outline, outline.roll(-1, 1)
    along = (end - start)[..., axis]
    # where an edge crosses the two borders; an edge along them crosses none
    safe = torch.where(along == 0, torch.ones_like(along), along)
    at = torch.stack([(-half[:, None] - start[..., axis]) / safe, (half[:, None] - start[..., axis]) / safe])
    first, second = at.clamp(0, 1).sort(0).values
    found = torch.stack([start, torch.lerp(start, end, first[..., None]), torch.lerp(start, end, second[..., None])], 2)
    limit = half[:, None, None]
    found[..., axis] = found[..., axis].clamp(-limit, limit)
    return found.flatten(1, 2)
