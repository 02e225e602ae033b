"""Augmentation, Frame -> Frame: what happens to images changes K, what happens to points changes T.

Points and pixels stay paired by construction, because pairs are found last (:func:`lidar2d.geometry.pairs`).
Poses are float64, so they are exact to 1e-9 px; points keep the dtype they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.photometric import distort
from lidar2d.errors import SettingError, within
from lidar2d.frame import Frame
from lidar2d.geometry import in_view, project, transform, transform_boxes

Window = tuple[int, int, int, int]  # top, left, height, width in pixels

_BLOCK = 8  # pixels
_TRIES = 20  # draws of a crop before the one that keeps most pairs is taken
_WINDOW_TRIES = 10  # draws of a window's shape before the central one is taken


@dataclass(frozen=True)
class Augment:
    """What is random about a training frame; everything is off unless it is asked for.

    Points come first, in the order below, then the images: the order of the published recipes.

    Args:
        thin: metres: of the points in a cube of this size one is kept.
        visible: keep only the points that a camera of the frame sees.
        nearest: keep so many points, the nearest to one of them.
        rotate: degrees to either side about z; 180 is any angle.
        translate: metres: standard deviation of the cloud's shift along each axis.
        scale: factor of the cloud, such as [0.95, 1.05].
        flip_points: ``each`` mirrors x and y, each with probability 1/2; ``one`` mirrors x, y or none, each by a third.
        box: metres: keep only the points within [x0, y0, z0, x1, y1, z1].
        radius: metres: keep only the points within, seen from above.
        drop_cuboid: cut the points of one random cuboid.
        crop: share of the image area that is kept, such as [0.3, 1.0].
        crop_ratio: width / height of the crop.
        crop_size: (height, width) crops are resized to; None as they were.
        flip_image: probability for each image, left to right.
        photometric: strength of colour, blur and noise changes; 0 none, 1 strong.
    """

    thin: float = 0.0
    visible: bool = False
    nearest: int | None = None
    rotate: float = 0.0
    translate: float = 0.0
    scale: tuple[float, float] | None = None
    flip_points: Literal["none", "each", "one"] = "none"
    box: tuple[float, float, float, float, float, float] | None = None
    radius: float | None = None
    drop_cuboid: bool = False
    crop: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (14 / 9, 17 / 9)
    crop_size: tuple[int, int] | None = None
    flip_image: float = 0.0
    photometric: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        for name in ("scale", "crop", "crop_ratio"):
            bounds = getattr(self, name)
            if bounds is not None and not 0 < bounds[0] <= bounds[1]:
                raise SettingError(name, bounds, "it needs [low, high] with 0 < low <= high")
        within(0, 1, crop=self.crop, flip_image=self.flip_image)
        within(8, 8192, crop_size=self.crop_size)
        if self.crop_size is not None and self.crop is None:
            raise SettingError("crop_size", self.crop_size, "without a crop it has no meaning; set crop or image_size")
        within(0.01, 100, scale=self.scale, crop_ratio=self.crop_ratio)
        within(0, 100, translate=self.translate, thin=self.thin)
        within(0, 180, rotate=self.rotate)
        within(1, nearest=self.nearest)
        within(-1000, 1000, box=self.box)
        within(0.1, 1000, radius=self.radius)
        if self.box is not None and not all(low < high for low, high in zip(self.box[:3], self.box[3:], strict=True)):
            raise SettingError("box", self.box, "it needs [x0, y0, z0, x1, y1, z1], each lower than its upper")
        within(0, 10, photometric=self.photometric)

    def __call__(self, frame: Frame, rng: Generator) -> Frame:
        """Return the frame as one training step sees it; equal generators give equal frames."""
        return self.shade(self.move(frame, rng), rng)

    def move(self, frame: Frame, rng: Generator) -> Frame:
        """Do what needs no colours: it moves points, and chooses and mirrors windows of the images."""
        if self.thin > 0:
            frame = thin(frame, rng, self.thin)
        if self.visible:
            frame = keep_points(frame, _seen(frame)[1].any(0))
        if self.nearest is not None:
            frame = nearest(frame, rng, self.nearest)
        frame = self._move_points(frame, rng)
        if self.box is not None:
            low, high = frame.points.new_tensor(self.box).view(2, 3)
            frame = keep_points(frame, ((frame.points[:, :3] > low) & (frame.points[:, :3] < high)).all(1))
        if self.radius is not None:
            frame = keep_points(frame, frame.points[:, :2].square().sum(1) <= self.radius**2)
        if self.drop_cuboid:
            frame = drop_cuboid(frame, rng)
        if self.crop is not None:
            frame = crop_resize(frame, rng, self.crop_size, self.crop, self.crop_ratio)
        if self.flip_image > 0:
            frame = flip_image(frame, rng, self.flip_image)
        return frame

    def _move_points(self, frame: Frame, rng: Generator) -> Frame:
        motions = [torch.eye(4, dtype=torch.float64)]
        if self.rotate > 0:
            motions.append(rotation(rng, self.rotate))
        if self.translate > 0:
            motions.append(shift(rng, self.translate))
        if self.scale is not None:
            motions.append(scaling(rng, *self.scale))
        if self.flip_points != "none":
            motions.append(mirroring(rng, self.flip_points))
        return frame if len(motions) == 1 else move_points(frame, torch.linalg.multi_dot(motions[::-1]))

    def shade(self, frame: Frame, rng: Generator) -> Frame:
        """Do what changes colours."""
        return photometric(frame, rng, self.photometric) if self.photometric > 0 else frame


# ---- points: x <- G x and T <- T G^-1


def move_points(frame: Frame, matrix: Tensor) -> Frame:
    """Carry cloud, boxes and poses through a 4x4 matrix made of rotations about z, flips, one scale and a shift."""
    matrix = matrix.to(torch.float64)
    points = frame.points.clone()
    points[:, :3] = transform(matrix, frame.points[:, :3].to(torch.float64))
    return replace(
        frame,
        points=points,
        cam_from_lidar=frame.cam_from_lidar @ torch.linalg.inv(matrix).to(frame.cam_from_lidar.dtype),
        boxes=None if frame.boxes is None else transform_boxes(matrix, frame.boxes),
    )


def rotation(rng: Generator, degrees: float = 180.0) -> Tensor:
    """Draw a turn about z by an angle to either side."""
    angle = np.radians(rng.uniform(-degrees, degrees))
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = np.cos(angle)
    matrix[1, 0] = np.sin(angle)
    matrix[0, 1] = -matrix[1, 0]
    return matrix


def mirroring(rng: Generator, kind: Literal["each", "one"] = "each") -> Tensor:
    """Draw a mirroring of x and y, each with probability 1/2, or of x, y or none, each by a third."""
    if kind == "each":
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=2)
    else:
        signs = np.array([(-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)][rng.integers(3)])
    return torch.diag(torch.tensor([*signs, 1.0, 1.0], dtype=torch.float64))


def scaling(rng: Generator, low: float, high: float) -> Tensor:
    """Draw a factor of the cloud; depths stay those of the camera."""
    factor = rng.uniform(low, high)
    return torch.diag(torch.tensor([factor, factor, factor, 1.0], dtype=torch.float64))


def shift(rng: Generator, metres: float) -> Tensor:
    """Draw a shift by a normal number of metres along each axis."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, 3] = torch.from_numpy(rng.normal(0, metres, size=3))
    return matrix


def keep_points(frame: Frame, rows: Tensor) -> Frame:
    """Keep some points, by a mask or by their rows, with their labels."""
    labels = None if frame.labels is None else frame.labels[rows]
    return replace(frame, points=frame.points[rows], labels=labels)


def thin(frame: Frame, rng: Generator, size: float) -> Frame:
    """Keep one random point of each cube of the grid."""
    order = rng.permutation(len(frame.points))
    cubes = np.floor(frame.points[order, :3].numpy() / size).astype(np.int64)
    _, first = np.unique(cubes, axis=0, return_index=True)
    return keep_points(frame, torch.from_numpy(np.sort(order[first])))


def nearest(frame: Frame, rng: Generator, count: int) -> Frame:
    """Keep the points nearest to a random one, itself among them; all where there are fewer."""
    if len(frame.points) <= count:
        return frame
    xyz = frame.points[:, :3]
    away = (xyz - xyz[rng.integers(len(xyz))]).square().sum(1)
    return keep_points(frame, away.topk(count, largest=False).indices.sort().values)


def drop_cuboid(frame: Frame, rng: Generator, largest: float = 0.2) -> Frame:
    """Cut the points of a random cuboid, unless a camera would lose too many of its pairs.

    Its sides are one fraction of the cloud's, drawn from 0 to ``largest``, around a random point. The published code
    gives up whenever a view keeps fewer than 1024 pairs, and views of sparse clouds never have that many; here a view
    that keeps three quarters of its pairs passes too, which is the published rule for crops.
    """
    if not len(frame.points):
        return frame
    xyz = frame.points[:, :3]
    side = (xyz.amax(0) - xyz.amin(0)) * rng.uniform(0, largest)
    keep = ((xyz - xyz[rng.integers(len(xyz))]).abs() >= side / 2).any(1)
    _, seen = _seen(frame)
    if not all(_enough(int(kept), int(total)) for kept, total in zip((seen & keep).sum(1), seen.sum(1), strict=True)):
        return frame
    return keep_points(frame, keep)


# ---- images: u <- A u and K <- A K


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
    pixels, seen = _seen(frame)
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
            if _enough(kept, len(inside)):
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


def photometric(frame: Frame, rng: Generator, strength: float = 1.0) -> Frame:
    """Change each image's light, colour, sharpness and noise; 0 changes nothing, 1 much."""
    return replace(frame, images=distort(frame.images, rng, strength))


# ---- which points each view sees


def _seen(frame: Frame) -> tuple[Tensor, Tensor]:
    """Return pixels (V, N, 2) and the mask (V, N) of the points that are seen in each view, to a thousandth pixel."""
    pixels, depth = project(frame.points[:, :3], frame.intrinsics.float(), frame.cam_from_lidar.float())
    return pixels, in_view(pixels, depth, *frame.images.shape[-2:])


def _count(pixels: Tensor, window: Window) -> int:
    top, left, height, width = window
    u, v = pixels.unbind(-1)
    return int(((u >= left) & (u < left + width) & (v >= top) & (v < top + height)).sum())


def _enough(kept: int, total: int) -> bool:
    return kept > 1024 or kept >= 0.75 * total
