"""Reads images without LiDAR, with classes or depth of their pixels: Cityscapes, Foggy Cityscapes, ACDC, NYUv2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import Card, folder_of
from lidar2d.data.files import BadFileError, read_text
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.pixels import image_size, must_fit, read_depth, read_numbers
from lidar2d.data.single_images import SingleImages
from lidar2d.data.source import Expected
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import ImageFile

_BESIDE = ("labels", "camera", "depth")  # what a split may have beside its images
_PIXELS = np.eye(3)  # K where no camera is known: a ray is told by its pixel


class LabelledImages(SingleImages):
    """Images with a class or a depth for every pixel; a frame has no point.

    A split names, for each condition, a pattern of the images' paths (``images``). The paths of ``labels``, ``depth``
    and ``camera`` files are the images' with some words in place of others, which the split names; null where there
    are none. K is that of an image's camera file, or the card's ``intrinsics``, or else tells a ray by its pixel.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds the images' and the labels' folders.
        image_size: (height, width); None keeps each image's own size.

    Raises:
        DataError: if a condition has no image.
    """

    def __init__(
        self, card: Card, split: str, root: str | Path | None = None, image_size: tuple[int, int] | None = None
    ) -> None:
        self.card = card
        self.image_size = image_size
        self.root = folder_of(root, card)
        given = card.split(split, {"images": (dict,)}, dict.fromkeys(_BESIDE, (dict, type(None))))
        self._labels, self._camera, self._depth = (given.get(key) for key in _BESIDE)
        found: list[tuple[Path, str]] = []
        for condition, pattern in given["images"].items():
            if not isinstance(pattern, str) or not pattern or pattern.startswith("/"):
                where = f"split '{split}' of {card.name}"
                raise UsageError(f"{where}: images has {pattern!r:.60}; give a path below the root")
            paths = sorted(path.relative_to(self.root) for path in self.root.glob(pattern))
            if not paths:
                raise DataError(
                    f"{self.root} has no image {pattern}\n--data.root must name the folder of {card.title}; "
                    f"`lidar2d list datasets {card.name}` says how to get it"
                )
            found += [(path, condition) for path in paths]
        self.paths = [path for path, _ in found]
        if len(set(self.paths)) < len(self.paths):
            raise UsageError(f"split '{split}' of {card.name}: two patterns of its images name the same files")
        self.tokens = [path.with_suffix("").as_posix() for path in self.paths]
        self.conditions = [condition for _, condition in found]
        self._label_map = LabelMap(card, 256)

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a frame."""
        image = Expected(self.root / self.paths[index], picture=True)
        beside = [self._beside(index, words) for words in (self._labels, self._depth) if words is not None]
        found = [image, *(Expected(path, picture=True, like=image) for path in beside)]
        camera = self._camera_file(index)
        return found if camera is None else [*found, Expected(camera)]

    def image_files(self, index: int) -> list[Path]:
        """Return the path of a frame's image, below the data set's folder."""
        return [self.paths[index]]

    def _beside(self, index: int, words: dict[str, str]) -> Path:
        """Return the path of what belongs to an image."""
        path = self.paths[index].as_posix()
        for old, new in words.items():
            path = path.replace(old, new)
        return self.root / path

    def image(self, index: int) -> ImageFile:
        """Return what is known of a frame's image before it is decoded."""
        path = self.root / self.paths[index]
        return ImageFile(path, image_size(path), torch.from_numpy(self._intrinsics(index)))

    def _camera_file(self, index: int) -> Path | None:
        """Return the file of an image's camera, if those files are there at all."""
        path = self._beside(index, self._camera) if self._camera else None
        return path if path is not None and path.parents[1].is_dir() else None

    def _intrinsics(self, index: int) -> NDArray[np.float64]:
        """Read K, where the data set has cameras and their files are there."""
        path = self._camera_file(index)
        if path is None:
            return _PIXELS.copy() if self.card.intrinsics is None else np.array(self.card.intrinsics).reshape(3, 3)
        try:
            given = json.loads(read_text(path))["intrinsic"]
            fx, fy, u0, v0 = (float(given[key]) for key in ("fx", "fy", "u0", "v0"))
        except (ValueError, KeyError, TypeError) as error:
            raise BadFileError(path, f"no camera: {type(error).__name__} {error}") from None
        if not (np.isfinite([fx, fy, u0, v0]).all() and fx > 0 and fy > 0):
            raise BadFileError(path, "its focal lengths are not positive, or not finite")
        return np.array([[fx, 0, u0 + 0.5], [0, fy, v0 + 0.5], [0, 0, 1]])  # pixel centres at whole numbers

    def classes(self, index: int, size: tuple[int, int] | None = None) -> Tensor | None:
        """Read the class (1, H, W) of each pixel of an image of a size; None for splits whose labels are kept back."""
        if self._labels is None:
            return None
        path = self._beside(index, self._labels)
        values = read_numbers(path, ("L", "P"), "one byte a pixel is needed")
        must_fit(values, path, size or image_size(self.root / self.paths[index]))
        return self._label_map.classes(values, path)[None]

    def metres(self, index: int, size: tuple[int, int] | None = None) -> Tensor | None:
        """Read the depth (1, H, W) of each pixel of an image of a size, 0 where unknown; None for splits without."""
        if self._depth is None:
            return None
        path = self._beside(index, self._depth)
        values = read_depth(path, self.card.depth_scale)
        must_fit(values, path, size or image_size(self.root / self.paths[index]))
        return torch.from_numpy(values)[None]
