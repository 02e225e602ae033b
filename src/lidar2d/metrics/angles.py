"""Angles between directions, in degrees."""

from __future__ import annotations

import torch
from torch import Tensor


def angle(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle (...) in degrees between directions (..., 3) of any length; exact for small ones too."""
    cross = torch.linalg.cross(first, second).norm(dim=-1)
    return torch.rad2deg(torch.atan2(cross, (first * second).sum(-1)))
