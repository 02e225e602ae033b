"""Small heads on frozen or trained features, for points (last dimension) and for maps (dimension 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn


class LinearHead(nn.Module):
    """A linear map of features: (N, C) points or (V, C, h, w) maps."""

    def __init__(self, channels: int, out: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, out) for (N, C), and (V, out, h, w) for (V, C, h, w)."""
        if features.ndim == 4:  # a 1x1 convolution is this linear map at every cell
            mapped: Tensor = self.linear(features.permute(0, 2, 3, 1))
            return mapped.permute(0, 3, 1, 2)
        point: Tensor = self.linear(features)
        return point

    if TYPE_CHECKING:

        def __call__(self, features: Tensor) -> Tensor:
            """Call :meth:`forward` and its hooks."""


class MLPHead(nn.Sequential):
    """Two linear maps with a GELU between them: (N, C) points or (V, C, h, w) maps."""

    def __init__(self, channels: int, out: int, hidden: int) -> None:
        super().__init__(LinearHead(channels, hidden), nn.GELU(), LinearHead(hidden, out))
