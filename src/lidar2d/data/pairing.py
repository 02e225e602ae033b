"""Which points each view sees, and whether what is left of them will do."""

from __future__ import annotations

from torch import Tensor

from lidar2d.frame import Frame
from lidar2d.geometry import in_view, project


def seen_by(frame: Frame) -> tuple[Tensor, Tensor]:
    """Return pixels (V, N, 2) and the mask (V, N) of the points that are seen in each view, to a thousandth pixel."""
    pixels, depth = project(frame.points[:, :3], frame.intrinsics.float(), frame.cam_from_lidar.float())
    return pixels, in_view(pixels, depth, *frame.images.shape[-2:])


def enough(kept: int, total: int) -> bool:
    """Say whether a view still has more than 1024 of its pairs, or three quarters of them: the published rule."""
    return kept > 1024 or kept >= 0.75 * total
