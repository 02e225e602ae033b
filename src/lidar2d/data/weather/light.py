"""Light as it is and as it is displayed: what happens in the air and on the sensor happens in linear light."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_FINE = 65535  # steps of light that are displayed apart
_REC709 = (0.2126, 0.7152, 0.0722)


def linear(image: Tensor) -> Tensor:
    """Return the light (3, H, W), 0..1, of an image in sRGB of eight bits."""
    return torch.from_numpy(np.take(_light(), image.numpy(), mode="clip"))


def displayed(light: Tensor) -> Tensor:
    """Return the image of eight bits in sRGB of light, which is cut off at 1."""
    steps = (light * _FINE).clamp_(0, _FINE).numpy().astype(np.uint16)
    return torch.from_numpy(np.take(_shown(), steps, mode="clip"))


def brightness(light: Tensor) -> Tensor:
    """Return the luminance (H, W) of light (3, H, W)."""
    return torch.einsum("chw,c->hw", light, light.new_tensor(_REC709))


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (..., h, w) at a larger size, between pixels by lines."""
    if maps.shape[-2:] == size:
        return maps
    rows = maps.reshape(1, -1, *maps.shape[-2:])
    return F.interpolate(rows, size, mode="bilinear", align_corners=False).view(*maps.shape[:-2], *size)


@lru_cache(maxsize=1)
def _light() -> NDArray[np.float32]:
    x = np.arange(256) / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=1)
def _shown() -> NDArray[np.uint8]:
    light = np.arange(_FINE + 1) / _FINE
    x = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    shown: NDArray[np.uint8] = np.round(x * 255).astype(np.uint8)
    return shown
