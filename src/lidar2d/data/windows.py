"""What happens to images, Frame -> Frame: where u <- A u, intrinsics follow by K <- A K."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.pairing import enough, seen_by
from lidar2d.frame import Frame

Window = tuple[int, int, int, int]  # top, left, height, width in pixels

_BLOCK = 8  # pixels
_TRIES = 20  # draws of a crop before the one that keeps most pairs is taken
_WINDOW_TRIES = 10  # draws of a window's shape before the central one is taken


def resize(frame: Frame, size: tuple[int, int] | None) -> Frame:
    """Resize all images, and all maps on them, to (height, width); None leaves them."""
    height, width = frame.images.shape[-2:]
    if size is None or (height, width) == tuple(size):
        return frame
    return crop(frame, [(0, 0, height, width)] * len(frame.images), size)


def fit_maps(frame: Frame) -> Frame:
    """Bring labels, regions and depth to the images' resolution."""
    size = frame.images.shape[-2], frame.images.shape[-1]
    whole = [(0, 0, *size)] * len(frame.images)

    def fit(values: Tensor | None) -> Tensor | None:
        return values if values is None or values.shape[-2:] == size else _crop_map(values, whole, size, size)

    def number(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.long()

    return replace(
        frame,
        pixel_labels=number(fit(frame.pixel_labels)),
        depth=fit(frame.depth),
        regions=number(fit(frame.regions)),
        weak_labels=number(fit(frame.weak_labels)),
    )


def crop(frame: Frame, windows: Sequence[Window], size: tuple[int, int]) -> Frame:
    """Cut one window out of each image and resize it to (height, width).

    Colours are interpolated with antialiasing; labels, regions and depth take the nearest pixel.
    """
    matrices = frame.intrinsics.new_zeros(len(windows), 3, 3)
    for matrix, (top, left, height, width) in zip(matrices, windows, strict=True):
        sx, sy = size[1] / width, size[0] / height
        matrix[:] = matrix.new_tensor([[sx, 0, -left * sx], [0, sy, -top * sy], [0, 0, 1]])
    within = frame.images.shape[-2], frame.images.shape[-1]
    return replace(
        frame,
        images=_crop_images(frame.images, windows, size),
        intrinsics=matrices @ frame.intrinsics,
        pixel_labels=_crop_map(frame.pixel_labels, windows, size, within),
        depth=_crop_map(frame.depth, windows, size, within),
        regions=_crop_map(frame.regions, windows, size, within),
        weak_labels=_crop_map(frame.weak_labels, windows, size, within),
    )


def _crop_images(images: Tensor, windows: Sequence[Window], size: tuple[int, int]) -> Tensor:
    if images.is_meta or not len(images):  # there are no pixels yet
        return images.new_empty(len(images), 3, *size)
    cropped = [
        F.interpolate(image[None, :, top : top + h, left : left + w], size, mode="bilinear", antialias=True)
        for image, (top, left, h, w) in zip(images, windows, strict=True)
    ]
    return torch.cat(cropped)


def _crop_map(
    values: Tensor | None, windows: Sequence[Window], size: tuple[int, int], within: tuple[int, int]
) -> Tensor | None:
    """Crop maps, which may have another resolution than the (height, width) of images that windows are ``within``."""
    if values is None:
        return None
    rows, columns = values.shape[-2] / within[0], values.shape[-1] / within[1]
    out = values.new_empty(len(windows), *size)
    for view, (top, left, height, width) in enumerate(windows):
        # the pixel under the centre of each new pixel
        row = (rows * (top + (torch.arange(size[0]) + 0.5) * (height / size[0]))).long()
        column = (columns * (left + (torch.arange(size[1]) + 0.5) * (width / size[1]))).long()
        out[view] = values[view][row[:, None], column]
    return out


def crop_resize(
    frame: Frame,
    rng: Generator,
    size: tuple[int, int] | None = None,
    area: tuple[float, float] = (0.3, 1.0),
    ratio: tuple[float, float] = (14 / 9, 17 / 9),
) -> Frame:
    """Cut a random window out of each image and resize it; None keeps the image size."""
    height, width = frame.images.shape[-2:]
    return crop(frame, draw_windows(frame, rng, area, ratio), size or (height, width))


def draw_windows(
    frame: Frame, rng: Generator, area: tuple[float, float] = (0.3, 1.0), ratio: tuple[float, float] = (14 / 9, 17 / 9)
) -> list[Window]:
    """Draw a window for each image that keeps most of what pairs it with points.

    A window must keep more than 1024 of its view's pairs, or three quarters of them. It is drawn again where it does
    not, at most 20 times; then the draw that kept most is taken. Windows of files lie on whole blocks of 8 pixels, so
    that JPEGs decoded at a reduced scale are cut between pixels.

    Args:
        frame: its points decide which windows will do.
        rng: source of the draws.
        area: smallest and largest share of the image.
        ratio: smallest and largest width / height.
    """
    height, width = frame.images.shape[-2:]
    pixels, seen = seen_by(frame)
    windows = []
    for pixel, mask in zip(pixels, seen, strict=True):
        inside = pixel[mask]
        best, most = (0, 0, height, width), -1
        for _ in range(_TRIES):
            window = _window(rng, height, width, area, ratio)
            if frame.files:
                window = _on_blocks(window)
            kept = _count(inside, window)
            if kept > most:
                best, most = window, kept
            if enough(kept, len(inside)):
                break
        windows.append(best)
    return windows


def _on_blocks(window: Window) -> Window:
    """Put a window on whole blocks of a JPEG, towards the upper left; it stays in the image."""
    top, left, height, width = (edge // _BLOCK * _BLOCK for edge in window)
    return top, left, height or window[2], width or window[3]


def _window(rng: Generator, height: int, width: int, area: tuple[float, float], ratio: tuple[float, float]) -> Window:
    """Draw a window: area uniform, log of width / height uniform; the largest central one where none fits."""
    for _ in range(_WINDOW_TRIES):
        pixels = height * width * rng.uniform(*area)
        aspect = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1])))
        w, h = round(np.sqrt(pixels * aspect)), round(np.sqrt(pixels / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    aspect = min(max(width / height, ratio[0]), ratio[1])
    w, h = max(1, min(width, round(height * aspect))), max(1, min(height, round(width / aspect)))
    return (height - h) // 2, (width - w) // 2, h, w


def flip_image(frame: Frame, rng: Generator, probability: float = 0.5) -> Frame:
    """Mirror images left to right, each with the given probability."""
    flipped = torch.from_numpy(rng.random(len(frame.images)) < probability)
    mirror = torch.eye(3, dtype=frame.intrinsics.dtype).repeat(len(flipped), 1, 1)
    mirror[flipped, 0, 0] = -1
    mirror[flipped, 0, 2] = frame.images.shape[-1]

    def flip(values: Tensor) -> Tensor:
        return torch.where(flipped.view(len(values), *[1] * (values.ndim - 1)), values.flip(-1), values)

    def flip_map(values: Tensor | None) -> Tensor | None:
        return None if values is None else flip(values)

    return replace(
        frame,
        images=frame.images if frame.images.is_meta else flip(frame.images),
        intrinsics=mirror @ frame.intrinsics,
        pixel_labels=flip_map(frame.pixel_labels),
        depth=flip_map(frame.depth),
        regions=flip_map(frame.regions),
        weak_labels=flip_map(frame.weak_labels),
    )


def _count(pixels: Tensor, window: Window) -> int:
    top, left, height, width = window
    u, v = pixels.unbind(-1)
    return int(((u >= left) & (u < left + width) & (v >= top) & (v < top + height)).sum())
