"""Images of files: augmented by their calibration alone, and read last, straight into their final windows."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from lidar2d.data.files import BadFileError, must_exist, read_bytes
from lidar2d.data.windows import fit_maps
from lidar2d.frame import Frame, ImageFile
from lidar2d.geometry import in_view, project

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

_JPEG = b"\xff\xd8"
_REDUCTIONS = (8, 4, 2)  # scales that a JPEG is decoded at for less than its whole
_EXACT = 1e-6  # what is nearer to a whole number is one
_NO_IMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow says of one
_SAMPLED = 16  # every so many points tell whether an image sees any


def not_read(files: Sequence[ImageFile]) -> Tensor:
    """Return images (V, 3, H, W) without memory, as a frame has them whose pixels are not read yet.

    Raises:
        BadFileError: if they differ in size.
    """
    sizes = [file.size for file in files] or [(1, 1)]
    for file in files:
        if file.size != sizes[0]:
            raise BadFileError(file.path, f"is {file.size[1]}x{file.size[0]} pixels; {files[0].path} has another size")
    return torch.empty(len(files), 3, *sizes[0], device="meta")


def read_pixels(frame: Frame) -> Frame:
    """Read the images of a frame's files as its calibration sees them: cut, resized and mirrored at once.

    What became of a file's pixels is u <- A u with A = K K_file^-1, so that however many steps have led to K, each
    image is decoded once, at the smallest scale that will do, and interpolated once.

    Args:
        frame: as a source's ``unread`` gives it, augmented or not.

    Raises:
        BadFileError: if a file is missing, truncated, no image, or of another size than was said.
        ValueError: if an image was turned or sheared.
    """
    if not frame.images.is_meta:
        return fit_maps(frame)
    height, width = frame.images.shape[-2:]
    images = torch.empty(len(frame.files), 3, height, width)
    own = torch.stack([file.intrinsics for file in frame.files]) if frame.files else frame.intrinsics
    matrices = frame.intrinsics @ torch.linalg.inv(own)
    for image, file, matrix in zip(images, frame.files, matrices.tolist(), strict=True):
        box, mirrored = window(matrix, (height, width))
        pixels = read_window(file.path, (height, width), box, file.size)
        image.copy_(pixels.flip(-1) if mirrored else pixels)
    return fit_maps(replace(frame, images=images.div_(255)))


def window(matrix: Sequence[Sequence[float]], size: tuple[int, int]) -> tuple[Box, bool]:
    """Return the box of the pixels that A (3, 3) carries onto an image of (height, width), and whether it is mirrored.

    Raises:
        ValueError: if A is more than a crop, a resize and a mirroring.
    """
    (sx, across, tx), (down, sy, ty), _ = matrix
    if max(abs(across), abs(down)) > _EXACT or sy <= 0 or sx == 0:
        raise ValueError(f"pixels cannot be read through {matrix}; only crops, resizes and mirrors can")
    left, right = sorted((-tx / sx, (size[1] - tx) / sx))
    return (left, -ty / sy, right, (size[0] - ty) / sy), sx < 0


def read_whole(file: ImageFile) -> Tensor:
    """Read an image (3, H, W) uint8 RGB as it is.

    Raises:
        BadFileError: if it is missing, truncated, no image, or of another size than was said.
    """
    height, width = file.size
    return read_window(file.path, file.size, (0, 0, width, height), file.size)


def read_window(path: Path, size: tuple[int, int], box: Box, expected: tuple[int, int]) -> Tensor:
    """Read a box of an image, resized to (height, width) with antialiasing, as (3, height, width) uint8 RGB.

    JPEGs are decoded at the smallest of their built-in scales that is large enough.

    Args:
        path: JPEG or PNG.
        size: (height, width) of what is returned.
        box: in the file's own pixels.
        expected: (height, width) that the file must have.

    Raises:
        BadFileError: if it is missing, truncated, no image, or of another size than expected.
    """
    raw = read_bytes(path)
    try:
        if raw.startswith(_JPEG):
            height, width, _, _ = simplejpeg.decode_jpeg_header(raw)
            _must_be((height, width), expected, path)
            most = min((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]) + _EXACT
            reduced = next((scale for scale in _REDUCTIONS if scale <= most), 1)
            least = {"min_height": height // reduced, "min_width": width // reduced, "min_factor": 1}
            pixels = simplejpeg.decode_jpeg(raw, **least)
            left, top, right, bottom = (edge / reduced for edge in box)
            return _resize(pixels, (left, top, right, bottom), size)
        with Image.open(io.BytesIO(raw)) as image:
            _must_be((image.size[1], image.size[0]), expected, path)
            if image.mode[0] in "IF":
                raise BadFileError(path, f"has pixels of mode {image.mode}; images have 8 bits a colour")
            return _resize(np.asarray(image.convert("RGB")), box, size)
    except BadFileError:
        raise
    except _NO_IMAGE as error:
        raise BadFileError(path, f"unreadable image{_why(error)}") from None


def _why(error: Exception) -> str:
    """Say more, unless Pillow knows no more than that it is none."""
    return "" if isinstance(error, UnidentifiedImageError) else f": {error}"


def _must_be(size: tuple[int, int], expected: tuple[int, int], path: Path) -> None:
    if size != tuple(expected):
        fault = f"is {size[1]}x{size[0]} pixels; its calibration is for {expected[1]}x{expected[0]}"
        raise BadFileError(path, fault)


def _resize(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Box, size: tuple[int, int]) -> Tensor:
    """Cut a box out of pixels (H, W, 3) and resize it; both libraries weigh pixels by the same triangle."""
    whole = [round(edge) for edge in box]
    if max(abs(edge - at) for edge, at in zip(box, whole, strict=True)) > _EXACT:
        box = _inside(box, pixels)
        picture = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    left, top, right, bottom = whole
    cut = torch.from_numpy(pixels[top:bottom, left:right].copy()).permute(2, 0, 1)
    if cut.shape[1:] == size:
        return cut
    return F.interpolate(cut[None], size, mode="bilinear", antialias=True)[0]  # on bytes, four times as fast


def _inside(box: Box, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Box:
    """Cut off what rounding put beyond the border."""
    height, width = pixels.shape[:2]
    return max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3])


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of an image file, without decoding it.

    Raises:
        BadFileError: if it is missing or no image.
    """
    must_exist(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
    except _NO_IMAGE as error:
        raise BadFileError(path, f"unreadable image{_why(error)}") from None
    return height, width


def check_seen(frame: Frame) -> Frame:
    """Return the frame, unless an image sees none of its points: then its calibration belongs to another one.

    Raises:
        BadFileError: naming the first such image.
    """
    for points in (frame.points[::_SAMPLED, :3], frame.points[:, :3]):
        pixels, depth = project(points, frame.intrinsics, frame.cam_from_lidar)
        seen = in_view(pixels, depth, *frame.images.shape[-2:]).any(1)
        if seen.all():
            return frame
    blind = frame.files[int((~seen).nonzero()[0])].path
    raise BadFileError(blind, f"shows none of the scan's {len(frame.points)} points; scan or calibration is wrong")


def read_numbers(path: Path, modes: Collection[str], needed: str) -> NDArray[Any]:
    """Read an image (H, W) of one number a pixel.

    Args:
        path: PNG.
        modes: of Pillow, that it may have.
        needed: what is said of another one.

    Raises:
        BadFileError: if it is missing, truncated, no image, or of another mode.
    """
    raw = read_bytes(path)
    try:
        with Image.open(io.BytesIO(raw)) as image:
            if image.mode not in modes:
                raise BadFileError(path, f"has pixels of mode {image.mode}; {needed}")
            return np.array(image)
    except BadFileError:
        raise
    except _NO_IMAGE as error:
        raise BadFileError(path, f"unreadable image{_why(error)}") from None


def read_depth(path: Path, scale: float) -> NDArray[np.float32]:
    """Read depth (H, W) in metres from an image of 16 bits, 0 where it is unknown.

    Args:
        path: PNG.
        scale: per metre.

    Raises:
        BadFileError: if it is missing, truncated, or no image of 16 bits.
    """
    values = read_numbers(path, ("I", "I;16", "I;16B"), "depth has 16 bits")
    return values.astype(np.float32) / np.float32(scale)


def must_fit(values: NDArray[np.generic], path: Path, size: tuple[int, int]) -> None:
    """Refuse labels or depth (H, W) of another size than their image.

    Raises:
        BadFileError: naming their file.
    """
    if values.shape != size:
        fault = f"is {values.shape[1]}x{values.shape[0]} pixels; its image has {size[1]}x{size[0]}"
        raise BadFileError(path, fault)
