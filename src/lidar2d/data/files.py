"""Reads single files, trusting none: what is wrong with one is said by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lidar2d.data.source import Problem
from lidar2d.errors import DataError
from lidar2d.frame import Frame
from lidar2d.geometry import in_view, project

_FARTHEST = 1e4  # metres; no LiDAR sees farther, so larger numbers are no coordinates


class BadFileError(DataError):
    """One file of a data set that is missing, unreadable or wrong."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path
        self.fault = fault

    def __reduce__(self) -> tuple[type[BadFileError], tuple[Path, str]]:
        """Travel from a loader's worker to the training process."""
        return BadFileError, (self.path, self.fault)


def problems(whole: Callable[[], object], parts: Iterable[Callable[[], object]], named: set[Path]) -> list[Problem]:
    """List the bad files of a frame that are not named yet.

    Args:
        whole: reads the frame; where it succeeds there is no problem.
        parts: each reads one file; tried in turn where ``whole`` fails, which stops at the first bad file.
        named: files that earlier frames listed; the new ones are added.
    """
    try:
        whole()
        return []
    except BadFileError as first:
        bad = [first]
    for read in parts:
        try:
            read()
        except BadFileError as another:
            bad.append(another)
    found = {one.path: Problem(one.path, one.fault) for one in bad if one.path not in named}
    named.update(found)
    return list(found.values())


def read_text(path: Path) -> str:
    """Read a small text file.

    Raises:
        BadFileError: if it is missing or not text.
    """
    _must_exist(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadFileError(path, "not text") from None
    except OSError as error:
        raise BadFileError(path, f"unreadable: {error.strerror}") from None


def read_binary(path: Path, dtype: type[np.generic]) -> NDArray[np.generic]:
    """Read a headerless file of numbers.

    Raises:
        BadFileError: if it is missing, empty, or no whole number of numbers.
    """
    _must_exist(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFileError(path, f"unreadable: {error.strerror}") from None
    if not raw:
        raise BadFileError(path, "empty")
    size = np.dtype(dtype).itemsize
    if len(raw) % size:
        raise BadFileError(path, f"truncated: {len(raw)} bytes are no whole number of {size}-byte values")
    return np.frombuffer(raw, dtype=dtype)


def read_points(path: Path, columns: int, intensity_scale: float) -> NDArray[np.float32]:
    """Read a scan of float32 rows (x, y, z, intensity, ...) as (N, 4), intensity divided to 0..1.

    Raises:
        BadFileError: if it is missing, empty or truncated, or holds numbers that no scan holds.
    """
    values = read_binary(path, np.float32)
    if values.size % columns:
        raise BadFileError(path, f"truncated: {values.nbytes} bytes are no whole number of {columns * 4}-byte points")
    points = values.reshape(-1, columns)[:, :4].astype(np.float32)
    if bad := int((~np.isfinite(points)).any(1).sum()):
        raise BadFileError(path, f"{bad} of {len(points)} points have NaN or infinite values")
    if (farthest := float(np.abs(points[:, :3]).max())) > _FARTHEST:
        raise BadFileError(path, f"a coordinate of {farthest:.3g} m; are its rows {columns} float32 values?")
    points[:, 3] /= np.float32(intensity_scale)
    low, high = float(points[:, 3].min()), float(points[:, 3].max())
    if not 0 <= low <= high <= 1:
        raise BadFileError(
            path, f"intensities from {low:.3g} to {high:.3g} after dividing by {intensity_scale:g}; not 0..1"
        )
    return points


def read_image(
    path: Path, size: tuple[int, int] | None = None, expected: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor]:
    """Read an image (3, H, W) of RGB 0..1, resized to ``size``, with the matrix A (3, 3) that carried its pixels there.

    JPEGs are decoded at the smallest of their built-in scales that is large enough.

    Args:
        path: JPEG or PNG.
        size: (height, width); None keeps the image's own.
        expected: (height, width) that the file must have, because its calibration says so.

    Raises:
        BadFileError: if it is missing, truncated, no image, or of another size than expected.
    """
    _must_exist(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            if expected is not None and (height, width) != tuple(expected):
                raise BadFileError(
                    path, f"is {width}x{height} pixels; its calibration is for {expected[1]}x{expected[0]}"
                )
            box: tuple[float, float, float, float] = (0, 0, width, height)
            if size is not None:
                drafted = image.draft("RGB", (size[1], size[0]))
                box = drafted[1] if drafted else box  # where the original's corners lie in the smaller decoding
            picture = image.convert("RGB")
    except BadFileError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadFileError(path, f"unreadable image: {error}") from None
    rows, columns = size or (height, width)
    if size is not None:
        picture = picture.resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    resize = torch.tensor([columns / width, rows / height, 1], dtype=torch.float64)
    return pixels.to(torch.float32) / 255, torch.diag(resize)


def check_seen(frame: Frame, images: Sequence[Path]) -> Frame:
    """Return the frame, unless an image sees none of its points: then its calibration belongs to another one.

    Raises:
        BadFileError: naming the first such image.
    """
    height, width = frame.images.shape[-2:]
    pixels, depth = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    seen = in_view(pixels, depth, height, width).any(1)
    for path, any_seen in zip(images, seen.tolist(), strict=True):
        if not any_seen:
            raise BadFileError(
                path, f"shows none of the scan's {len(frame.points)} points; scan or calibration is wrong"
            )
    return frame


def _must_exist(path: Path) -> None:
    # a pipe or a device must not make reading wait for ever
    if not path.is_file():
        raise BadFileError(path, "not a file" if path.exists() else "missing")
