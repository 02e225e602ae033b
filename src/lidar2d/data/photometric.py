"""Photometric distortion of images: light, colour, sharpness and noise change, geometry does not."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.frame import Batch


def distort(images: Tensor, rng: Generator, strength: float = 1.0) -> Tensor:
    """Change each image's gamma, brightness, tint, contrast, saturation and sharpness, and add noise.

    Args:
        images: (V, 3, H, W) RGB 0..1.
        rng: every image gets draws of its own.
        strength: 0 changes nothing; at 1 brightness and contrast change by up to a factor 1.5 either way.

    Returns:
        images of the same shape, 0..1.
    """
    if not len(images):
        return images

    def factor(spread: float, channels: int = 1) -> Tensor:
        draws = np.exp(strength * rng.uniform(-spread, spread, size=(len(images), channels, 1, 1)))
        return torch.from_numpy(draws).to(images)

    out = images.clamp(0, 1) ** factor(0.4) * factor(0.4) * factor(0.1, channels=3)
    mean = out.mean((1, 2, 3), keepdim=True)
    out = mean + (out - mean) * factor(0.4)
    grey = out.mean(1, keepdim=True)
    out = grey + (out - grey) * factor(0.7)
    sigmas = strength * rng.uniform(-1.0, 1.0, size=len(images))  # pixels; half of the images stay sharp
    out = torch.stack([_blur(i, float(s)) if s > 0.1 else i for i, s in zip(out, sigmas, strict=True)])
    deviation = 0.05 * strength * rng.random((len(images), 1, 1, 1), dtype=np.float32)
    noise = rng.standard_normal(images.shape, dtype=np.float32) * deviation
    return (out + torch.from_numpy(noise).to(images)).clamp(0, 1)


def distort_share(batch: Batch, share: float, strength: float, among: Tensor | None = None) -> Tensor:
    """Return a batch's images with a share of them distorted, drawn from the seeds of their frames.

    Args:
        batch: its ``seeds`` decide which images are distorted, and how.
        share: probability that an image is distorted.
        strength: of the distortion.
        among: (ΣV,) mask of the views that may be distorted; all by default.
    """
    images = batch.images.clone()
    if share == 0:
        return images
    for frame, seed in enumerate(batch.seeds.tolist()):
        rng = np.random.default_rng([seed, 1])  # a stream apart from the one that augmented the frame
        views = torch.nonzero(batch.view_frame == frame)[:, 0]
        chosen = torch.from_numpy(rng.random(len(views)) < share).to(views.device)
        if among is not None:
            chosen &= among[views]
        images[views[chosen]] = distort(images[views[chosen]], rng, strength)
    return images


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Blur an image (3, H, W) with a Gaussian of the given standard deviation in pixels."""
    radius = min(max(1, round(3 * sigma)), min(image.shape[-2:]) - 1)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.softmax(-0.5 * (x / sigma) ** 2, dim=0)
    padded = F.pad(image[:, None], (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1))[:, 0]
