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

from lidar2d.data.card import TEXT, Card, folder_of
from lidar2d.data.file_source import Earlier, SweepSource, with_earlier
from lidar2d.data.files import BadFileError, read_binary, read_points
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.nuscenes.boxes import SEVERAL
from lidar2d.data.nuscenes.cameras import image_file
from lidar2d.data.nuscenes.index import open_index
from lidar2d.data.pixels import check_seen, not_read, read_whole
from lidar2d.data.source import Expected, Problem
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Boxes, Frame, ImageFile, Survey

_NEEDS, _TAKES = {"version": (str,)}, {"scenes": TEXT}  # keys of a split
_OWN_CAR = 1.0  # metres
_RACK = "static_object.bicycle_rack"


class NuScenes(SweepSource):
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
        self.version: str = card.split(split, _NEEDS, _TAKES)["version"]
        if not (self.root / self.version).is_dir():
            raise DataError(_no_tables(card, split, self.root))
        self.index = open_index(self.root, self.version, card.cameras, cache)
        self.rows = self._rows(split)
        samples = self.index.samples
        self.tokens = [token.decode() for token in samples["token"][self.rows]]
        listed = {name: key for key, written in (card.scene_conditions or {}).items() for name in scene_names(written)}
        by_scene = [listed.get(scene["name"], card.usual) for scene in self.index.scenes]
        self.scenes = [self.index.scenes[scene]["name"] for scene in samples["scene"][self.rows]]
        self.listed = [self.index.scenes[scene]["name"] for scene in np.unique(samples["scene"][self.rows])]
        self.conditions = [by_scene[scene] for scene in samples["scene"][self.rows]]
        self._box_class = np.array([_box_class(card, name) for name in self.index.categories], dtype=np.int64)
        self._label_map = LabelMap(card, 256)

    def unread(self, index: int) -> Frame:
        """Read all of a key frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        sample = self.index.samples[self.rows[index]]
        own = self._points(sample)
        points, labels = torch.from_numpy(own), self._labels(sample, len(own)) if sample["lidarseg"] >= 0 else None
        if self.sweeps > 1:
            points, labels = with_earlier(own, labels, self._earlier(sample))
        files = self._image_files(sample)
        frame = Frame(
            points=points,
            images=not_read(files),
            intrinsics=torch.stack([file.intrinsics for file in files]),
            cam_from_lidar=torch.from_numpy(self.index.cam_from_lidar(sample)),
            labels=labels,
            boxes=self._boxes(sample),
            files=files,
            condition=self.conditions[index],
            token=self.tokens[index],
        )
        return check_seen(frame)

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the index of the scene's next key frame, and the motion (4, 4) from this one's LiDAR to its."""
        after = index + 1
        if after == len(self.rows) or self.scenes[after] != self.scenes[index]:
            return None
        here, there = (self.index.samples[self.rows[place]] for place in (index, after))
        return after, torch.from_numpy(self.index.motion(here, there))

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each key frame's token with its problems; each bad file is named once."""
        wrong = self._wrong_conditions()  # told with the first frame
        for token, found in super().check():
            yield token, [*wrong, *found]
            wrong = []

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a key frame's files."""
        sample = self.index.samples[self.rows[index]]
        found: list[Callable[[], object]] = [partial(self._points, sample)]
        found += [partial(self._sweep, row) for row, _, _ in self.index.earlier(sample, self.sweeps - 1)]
        found += [partial(read_whole, file) for file in self._image_files(sample)]
        return [*found, partial(self._labels, sample, None)] if sample["lidarseg"] >= 0 else found

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a key frame."""
        sample = self.index.samples[self.rows[index]]
        scan = self._expected_sweep(sample["sweep"])
        files = [self._expected_sweep(row) for row, _, _ in self.index.earlier(sample, self.sweeps - 1)]
        files += [Expected(file.path, picture=True, size=file.size) for file in self._image_files(sample)]
        name = self.index.lidarseg(sample)
        return [scan, *files] if name is None else [scan, *files, Expected(self.root / name, like=scan)]

    def _expected_sweep(self, row: int) -> Expected:
        return Expected(self.root / self.index.lidar(row), row=20)

    def _wrong_conditions(self) -> list[Problem]:
        """Hold the card's frozen lists against the tables' descriptions."""
        said = dict(zip(self.index.samples["scene"][self.rows].tolist(), self.conditions, strict=True))
        wrong = []
        for row, listed in said.items():
            scene = self.index.scenes[row]
            told = condition(scene["description"])
            if scene["description"] and told != listed:
                wrong.append(f"{scene['name']} is {told} by its description and {listed} in the card")
        if not wrong:
            return []
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return [Problem(self.root / self.version / "scene.json", wrong[0] + more)]

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return [Path(name) for name in self.index.images(self.index.samples[self.rows[index]])]

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
        return self._sweep(sample["sweep"])

    def _sweep(self, row: int) -> NDArray[np.float32]:
        points = read_points(self.root / self.index.lidar(row), 5, self.card.intensity_scale)
        # theirs: x right, y forward; ours: x forward, y left
        return np.column_stack([points[:, 1], -points[:, 0], points[:, 2:]])

    def _earlier(self, sample: np.void) -> Iterator[Earlier]:
        """Yield the sweeps before the key frame's.

        Points that lie within a metre of the sensor are the car's own, and left out, as the official reader does.
        """
        for row, motion, seconds in self.index.earlier(sample, self.sweeps - 1):
            points = self._sweep(row)
            yield points[(np.abs(points[:, :2]) >= _OWN_CAR).any(1)], motion, seconds

    def _image_files(self, sample: np.void) -> tuple[ImageFile, ...]:
        names, cameras = self.index.images(sample), self.index.cameras[sample["cameras"]]
        return tuple(image_file(self.root / name, camera) for name, camera in zip(names, cameras, strict=True))

    def _labels(self, sample: np.void, points: int | None) -> Tensor:
        """Read the class of each point; None points leaves their number unchecked."""
        path = self.root / str(self.index.lidarseg(sample))
        raw = read_binary(path, np.uint8)
        if points is not None and len(raw) != points:
            raise BadFileError(path, f"has {len(raw)} labels; its scan has {points} points")
        return self._label_map.classes(raw, path)

    def _boxes(self, sample: np.void) -> Boxes | None:
        """Return the boxes of the card's classes; None where the version has no annotations at all."""
        if not len(self.index.boxes):
            return None
        every = self.index.boxes[sample["first_box"] : sample["end_box"]]
        classes = self._box_class[every["category"]]
        boxes, classes = every[classes >= 0], classes[classes >= 0]
        return Boxes(
            torch.from_numpy(boxes["geometry"].astype(np.float64)),
            torch.from_numpy(classes),
            torch.from_numpy(boxes["velocity"].astype(np.float64)),
            (self._survey(sample, boxes, every),),
        )

    def _survey(self, sample: np.void, boxes: NDArray[np.void], every: NDArray[np.void]) -> Survey:
        if (boxes["attribute"] == SEVERAL).any():
            fault = f"a box of sample {sample['token'].decode()} has several attributes; one at most is needed"
            raise BadFileError(self.root / self.version / "sample_annotation.json", fault)
        names = [*self.index.attributes, ""]  # the last is none
        racks = np.array([name == _RACK for name in self.index.categories], dtype=bool)
        return Survey(
            boxes=boxes["survey"].copy(),
            velocity=boxes["survey_velocity"].copy(),
            attributes=tuple(names[row] for row in boxes["attribute"]),
            hits=boxes["num_lidar_pts"].astype(np.int64) + boxes["num_radar_pts"],
            racks=every["survey"][racks[every["category"]]],
            global_from_lidar=self.index.global_from_lidar(sample),
            ego=sample["ego"].copy(),
        )


def condition(description: str) -> str:
    """Name a scene's condition by the words of its description: the rule behind the card's frozen lists."""
    words = re.split(r"[,\s.;]+", description.lower())
    return f"{'night' if 'night' in words else 'day'}-{'rain' if 'rain' in words else 'dry'}"


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
    here = [name for name in card.splits if (root / card.split(name, _NEEDS, _TAKES)["version"]).is_dir()]
    message = f"{root} has no folder {card.splits[split]['version']}, which split '{split}' is read from"
    if here:
        return f"{message}\nit has {card.splits[here[0]]['version']}: choose the split {' or '.join(here)}"
    return f"{message}\n--data.root must name the folder that holds it and samples/"


def _box_class(card: Card, category: str) -> int:
    name = (card.box_map or {}).get(category)
    return -1 if name is None else card.box_classes.index(name)
