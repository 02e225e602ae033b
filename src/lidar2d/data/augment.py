"""Augmentation, Frame -> Frame: what happens to images changes K, what happens to points changes T.

Points and pixels stay paired by construction, because pairs are found last (:func:`lidar2d.geometry.pairs`).
Poses are float64, so they are exact to 1e-9 px; points keep the dtype they came in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from numpy.random import Generator

from lidar2d.data.clouds import (
    check_box,
    drop_cuboid,
    keep_points,
    mirroring,
    move_points,
    nearest,
    rotation,
    scaling,
    shift,
    thin,
    within_box,
)
from lidar2d.data.pairing import seen_by
from lidar2d.data.photometric import distort
from lidar2d.data.windows import crop_resize, flip_image
from lidar2d.errors import SettingError, within
from lidar2d.frame import Frame


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
        within(0.1, 1000, radius=self.radius)
        check_box("box", self.box)
        within(0, 10, photometric=self.photometric)

    def __call__(self, frame: Frame, rng: Generator) -> Frame:
        """Return the frame as one training step sees it; equal generators give equal frames."""
        return self.shade(self.move(frame, rng), rng)

    def move(self, frame: Frame, rng: Generator) -> Frame:
        """Do what needs no colours: it moves points, and chooses and mirrors windows of the images."""
        if self.thin > 0:
            frame = thin(frame, rng, self.thin)
        if self.visible:
            frame = keep_points(frame, seen_by(frame)[1].any(0))
        if self.nearest is not None:
            frame = nearest(frame, rng, self.nearest)
        frame = self._move_points(frame, rng)
        if self.box is not None:
            frame = within_box(frame, self.box)
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
        if not self.photometric:
            return frame
        return replace(frame, images=distort(frame.images, rng, self.photometric))
