"""Reads nuImages in its official layout: single images of six cameras, with the classes of surfaces and objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lidar2d.data.card import Card, folder_of
from lidar2d.data.files import BadFileError
from lidar2d.data.nuimages.index import open_index
from lidar2d.data.nuimages.masks import decode_mask
from lidar2d.data.nuscenes.cameras import image_file
from lidar2d.data.single_images import SingleImages
from lidar2d.data.source import Expected
from lidar2d.errors import DataError
from lidar2d.frame import ImageFile


class NuImages(SingleImages):
    """The annotated images of nuImages, one a frame; a frame has no point, and pixels outside all masks no class.

    Args:
        card: the data set's card; its splits name the folder of tables, its category_map the class of each category.
        split: one of the card's splits.
        root: the folder that holds samples/ and the tables' folders (v1.0-mini, v1.0-train, ...).
        image_size: (height, width); None keeps 900x1600.
        cache: folder of the index made of the tables; None is the user's cache folder.

    Raises:
        DataError: if the tables are missing or wrong, or name a category that the card does not know.
    """

    def __init__(
        self,
        card: Card,
        split: str,
        root: str | Path | None = None,
        image_size: tuple[int, int] | None = None,
        cache: Path | None = None,
    ) -> None:
        self.card = card
        self.image_size = image_size
        self.root = folder_of(root, card)
        self.version: str = card.split(split, {"version": (str,)})["version"]
        if not (self.root / self.version).is_dir():
            raise DataError(
                f"{self.root} has no folder {self.version}, which split '{split}' is read from\n"
                "--data.root must name the folder that holds it and samples/"
            )
        self.index = open_index(self.root, self.version, cache)
        self.tokens = [token.decode() for token in self.index.images["token"]]
        self.conditions = [card.usual] * len(self.tokens)
        self._class_of = [self._class(name) for name in self.index.categories]

    def expected(self, index: int) -> list[Expected]:
        """Return the file of a frame."""
        file = self.image(index)
        return [Expected(file.path, picture=True, size=file.size)]

    def image_files(self, index: int) -> list[Path]:
        """Return the path of a frame's image, below the data set's folder."""
        return [Path(self.index.names.read(self.index.images[index]["file"]))]

    def image(self, index: int) -> ImageFile:
        """Return what is known of a frame's image before it is decoded."""
        return image_file(
            self.root / self.image_files(index)[0], self.index.cameras[self.index.images[index]["camera"]]
        )

    def classes(self, index: int, size: tuple[int, int] | None = None) -> Tensor | None:
        """Return the class (1, H, W) of each pixel; None where the version has no annotation at all."""
        if not len(self.index.masks):
            return None
        size = size or self.image(index).size
        classes = np.full(size, -1, np.int64)
        for category, letters in self.index.masks_of(self.index.images[index]):
            try:
                classes[decode_mask(letters, size)] = self._class_of[category]
            except ValueError as error:
                table = self.root / self.version / "object_ann.json"
                raise BadFileError(table, f"or surface_ann.json: a mask of {self.tokens[index]}: {error}") from None
        return torch.from_numpy(classes)[None]

    def _class(self, category: str) -> int:
        """Return the class of a category, -1 for those to ignore."""
        known = self.card.category_map or {}
        if category not in known:
            table = self.root / self.version / "category.json"
            raise BadFileError(table, f"has category {category}, which the card's category_map does not know")
        return known[category]
