"""Light as it is and as it is displayed: what happens in the air and on the sensor happens in linear light."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_FINE = 65535  # steps of light that are displayed apart
_REC709 = (0.2126, 0.7152, 0.0722)


def linear(image: Tensor) -> Tensor:
    """Return the light (3, H, W), 0..1, of an image in sRGB of eight bits."""
    return _looked_up(_light(), image)


def displayed(light: Tensor) -> Tensor:
    """Return the image of eight bits in sRGB of light, which is cut off at 1."""
    return _looked_up(_shown(), (light * _FINE).clamp_(0, _FINE))


def brightness(light: Tensor) -> Tensor:
    """Return the luminance (H, W) of light (3, H, W)."""
    return torch.einsum("chw,c->hw", light, light.new_tensor(_REC709))


def reduced(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return means of maps (C, H, W) at a smaller size."""
    across = maps.shape[-2] // size[0], maps.shape[-1] // size[1]
    if (size[0] * across[0], size[1] * across[1]) == maps.shape[-2:]:
        return F.avg_pool2d(maps[None], across)[0]  # the same, and faster
    return F.adaptive_avg_pool2d(maps, size)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (..., h, w) at a larger size, between pixels by lines."""
    if maps.shape[-2:] == size:
        return maps
    rows = maps.reshape(-1, 1, *maps.shape[-2:])  # as a batch it is faster than as channels
    return F.interpolate(rows, size, mode="bilinear", align_corners=False).view(*maps.shape[:-2], *size)


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    """Return a table's values; half the time of numpy's take, whose indices are of 64 bits."""
    return table.index_select(0, places.int().flatten()).view(places.shape)


@lru_cache(maxsize=1)
def _light() -> Tensor:
    x = np.arange(256) / 255
    return torch.from_numpy(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32))


@lru_cache(maxsize=1)
def _shown() -> Tensor:
    light = np.arange(_FINE + 1) / _FINE
    x = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return torch.from_numpy(np.round(x * 255).astype(np.uint8))
