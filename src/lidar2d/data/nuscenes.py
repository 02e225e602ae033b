"""Reads nuScenes in its official layout: key frames of LIDAR_TOP and six cameras, with boxes and lidarseg labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import Card, folder_of
from lidar2d.data.files import BadFileError, check_seen, problems, read_binary, read_image, read_points
from lidar2d.data.nuscenes_index import open_index
from lidar2d.data.source import Problem
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Boxes, Frame


class NuScenes:
    """nuScenes key frames; the card's splits name the folder of tables and the scenes.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds samples/ and the tables' folders (v1.0-mini, v1.0-trainval, ...).
        image_size: (height, width); None keeps 900x1600.
        cache: folder of the index made of the tables; None is the user's cache folder.

    Raises:
        DataError: if the tables are missing or wrong.
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
        self.version: str = card.split(split, "version")["version"]
        if not (self.root / self.version).is_dir():
            raise DataError(_no_tables(card, split, self.root))
        self.index = open_index(self.root, self.version, card.cameras, cache)
        self.rows = self._rows(split)
        samples = self.index.samples
        self.tokens = [token.decode() for token in samples["token"][self.rows]]
        by_scene = [condition(scene["description"]) for scene in self.index.scenes]
        self.conditions = [by_scene[scene] for scene in samples["scene"][self.rows]]
        self._box_class = np.array([_box_class(card, name) for name in self.index.categories], dtype=np.int64)
        self._label_class = _label_table(card)

    def __len__(self) -> int:
        """Return the number of key frames."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Frame:
        """Read one key frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        sample = self.index.samples[self.rows[index]]
        points = self._points(sample)
        images, resized = zip(*(self._image(sample, view) for view in range(len(self.card.cameras))), strict=True)
        frame = Frame(
            points=torch.from_numpy(points),
            images=torch.stack(images),
            intrinsics=torch.stack(resized) @ torch.from_numpy(sample["intrinsics"].copy()),
            cam_from_lidar=torch.from_numpy(sample["cam_from_lidar"].copy()),
            labels=self._labels(sample, len(points)) if sample["lidarseg"] else None,
            boxes=self._boxes(sample),
            condition=self.conditions[index],
            token=self.tokens[index],
        )
        return check_seen(frame, [self.root / name.decode() for name in sample["images"]])

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each key frame's token with its problems; each bad file is named once."""
        named: set[Path] = set()
        for index, token in enumerate(self.tokens):
            sample = self.index.samples[self.rows[index]]
            parts: list[Callable[[], object]] = [partial(self._points, sample)]
            parts += [partial(self._image, sample, view) for view in range(len(self.card.cameras))]
            if sample["lidarseg"]:
                parts.append(partial(self._labels, sample, None))
            yield token, problems(partial(self.__getitem__, index), parts, named)

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return [Path(name.decode()) for name in self.index.samples[self.rows[index]]["images"]]

    def _rows(self, split: str) -> NDArray[np.int64]:
        """Return the samples of the split's scenes, in the tables' order."""
        written = self.card.splits[split].get("scenes")
        names = [scene["name"] for scene in self.index.scenes]
        if written is None:
            wanted = np.ones(len(names), dtype=bool)
        else:
            numbers = scene_names(written)
            wanted = np.array([name in numbers for name in names], dtype=bool)
        rows = np.flatnonzero(wanted[self.index.samples["scene"]])
        if not len(rows):
            raise DataError(
                f"{self.root / self.version} has no scene of split '{split}'\n"
                f"it holds {len(names)} scenes, the first is {names[0] if names else 'none'}"
            )
        return rows

    def _points(self, sample: np.void) -> NDArray[np.float32]:
        points = read_points(self.root / sample["lidar"].decode(), 5, self.card.intensity_scale)
        # theirs: x right, y forward; ours: x forward, y left
        return np.column_stack([points[:, 1], -points[:, 0], points[:, 2:]])

    def _image(self, sample: np.void, view: int) -> tuple[Tensor, Tensor]:
        height, width = sample["size"][view]
        return read_image(self.root / sample["images"][view].decode(), self.image_size, (int(height), int(width)))

    def _labels(self, sample: np.void, points: int | None) -> Tensor:
        """Read the class of each point; None points leaves their number unchecked."""
        path = self.root / sample["lidarseg"].decode()
        raw = read_binary(path, np.uint8)
        if points is not None and len(raw) != points:
            raise BadFileError(path, f"has {len(raw)} labels; its scan has {points} points")
        labels = self._label_class[raw]
        if (unknown := raw[labels < -1]).size:
            raise BadFileError(path, f"has label {unknown[0]}, which the card's label_map does not know")
        return torch.from_numpy(labels)

    def _boxes(self, sample: np.void) -> Boxes | None:
        """Return the boxes of the card's classes; None where the version has no annotations at all."""
        if not len(self.index.boxes):
            return None
        boxes = self.index.boxes[sample["first_box"] : sample["end_box"]]
        classes = self._box_class[boxes["category"]]
        boxes, classes = boxes[classes >= 0], classes[classes >= 0]
        return Boxes(
            torch.from_numpy(boxes["geometry"].copy()),
            torch.from_numpy(classes),
            torch.from_numpy(boxes["velocity"].copy()),
        )


def condition(description: str) -> str:
    """Name a scene's condition by the words of its description: day, rain, night or night-rain."""
    words = re.split(r"[,\s.]+", description.lower())
    return "-".join(word for word in ("night", "rain") if word in words) or "day"


def scene_names(written: str) -> set[str]:
    """Read scenes written as numbers and ranges: ``1-2 61`` is scene-0001, scene-0002 and scene-0061.

    Raises:
        UsageError: if the text is not of that form.
    """
    names: set[str] = set()
    for part in str(written).split():
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise UsageError(f"scenes '{part}' in the card; numbers and ranges such as '1-2 61' are needed")
        first, last = int(match[1]), int(match[2] or match[1])
        names.update(f"scene-{number:04d}" for number in range(first, last + 1))
    return names


def _no_tables(card: Card, split: str, root: Path) -> str:
    here = [name for name, rule in card.splits.items() if (root / rule["version"]).is_dir()]
    message = f"{root} has no folder {card.splits[split]['version']}, which split '{split}' is read from"
    if here:
        return f"{message}\nit has {card.splits[here[0]]['version']}: choose the split {' or '.join(here)}"
    return f"{message}\n--data.root must name the folder that holds it and samples/"


def _box_class(card: Card, category: str) -> int:
    name = (card.box_map or {}).get(category)
    return -1 if name is None else card.box_classes.index(name)


def _label_table(card: Card) -> NDArray[np.int64]:
    table = np.full(256, -2, dtype=np.int64)  # -2: a raw label that the card does not know
    for raw, index in (card.label_map or {}).items():
        table[raw] = index
    return table
