"""Displayed values as shares of white, and back to eight bits as the published sets were stored."""

from __future__ import annotations

from torch import Tensor

_GUARD = 1 / 256  # of a step: what is a whole step but for rounding stays one


def shares(image: Tensor) -> Tensor:
    """Return an image of eight bits as shares of white, 0..1."""
    return image.float().div_(255)


def stored(values: Tensor) -> Tensor:
    """Return shares of white as eight bits, cut off at both ends and rounded down; the shares are used up."""
    return values.mul_(255).add_(_GUARD).clamp_(0, 255).byte()
