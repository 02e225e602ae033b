"""Reads KITTI raw drives (synchronised, rectified) in their official layout, with annotated depth where it is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import TEXT, Card, folder_of
from lidar2d.data.file_source import FileSource
from lidar2d.data.files import read_points
from lidar2d.data.kitti.calibration import Matrix, camera, must_turn, read_matrices
from lidar2d.data.pixels import check_seen, image_size, must_fit, not_read, read_depth, read_whole
from lidar2d.data.source import Expected
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Frame, ImageFile

_DRIVE = re.compile(r"(\d{4}_\d{2}_\d{2})_drive_\w+_sync", re.ASCII)
_FRAME = re.compile(r"\d{10}\.bin", re.ASCII)
_RIGID, _CAMERAS = "calib_velo_to_cam.txt", "calib_cam_to_cam.txt"  # of each day
_DEPTH_FOLDERS = ("train", "val")  # of the depth benchmark, whose drives lie in one or the other


class KittiRaw(FileSource):
    """Scans and colour images of whole drives, or of listed frames; their annotated depth, where a split asks for it.

    A split names ``drives`` (``all`` takes those that are there), or ``frames`` by drive; with ``depth``, frames have
    the depth that the KITTI depth benchmark annotates for their left colour images.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds the days (2011_09_26, ...), and the depth benchmark's train/ and val/.
        image_size: (height, width); None keeps each day's own size.

    Raises:
        DataError: if a drive is missing.
    """

    def __init__(
        self, card: Card, split: str, root: str | Path | None = None, image_size: tuple[int, int] | None = None
    ) -> None:
        self.card = card
        self.image_size = image_size
        self.root = folder_of(root, card)
        given = card.split(split, {}, {"drives": TEXT, "frames": (dict,), "depth": (bool,)})
        self.depth = bool(given.get("depth"))
        if ("frames" in given) == ("drives" in given):
            raise UsageError(f"split '{split}' of {card.name} needs either drives or frames")
        if "frames" in given:
            self.tokens = _listed(given["frames"], f"split '{split}' of {card.name}")
        else:
            self.tokens = [token for drive in self._drives(str(given["drives"])) for token in self._scans(drive)]
        self.conditions = ["day"] * len(self.tokens)
        self._calibrations: dict[str, tuple[list[Matrix], list[Matrix]]] = {}

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels; its depth has the resolution of the images' files.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        token = self.tokens[index]
        files = self._images(token)
        frame = Frame(
            points=torch.from_numpy(self._points(token)),
            images=not_read(files),
            intrinsics=torch.stack([file.intrinsics for file in files]),
            cam_from_lidar=torch.from_numpy(np.stack(self._calibration(token)[1])),
            depth=self._depth(token, files) if self.depth else None,
            files=files,
            condition=self.conditions[index],
            token=token,
        )
        return check_seen(frame)

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a frame's files."""
        token = self.tokens[index]
        found: list[Callable[[], object]] = [partial(self._points, token), partial(self._calibration, token)]
        found += [partial(self._picture, token, view) for view in range(len(self.card.cameras))]
        return [*found, partial(self._depth_alone, token)] if self.depth else found

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a frame."""
        token = self.tokens[index]
        day = self._folder(token.partition("/")[0]).parent
        found = [Expected(self._scan(token), row=16), *(Expected(day / name) for name in (_RIGID, _CAMERAS))]
        found += [Expected(self._image(token, name), picture=True) for name in self.card.cameras]
        return [*found, Expected(self._depth_file(token), picture=True)] if self.depth else found

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below the data set's folder."""
        return [self._image(self.tokens[index], name).relative_to(self.root) for name in self.card.cameras]

    def _drives(self, written: str) -> list[str]:
        if written != "all":
            return written.split()
        # those of the depth benchmark have the same names, in other folders
        found = sorted(path.name for path in self.root.glob("[0-9]*/*_drive_*_sync") if _DRIVE.fullmatch(path.name))
        if not found:
            raise DataError(f"{self.root} has no drive such as 2011_09_26/2011_09_26_drive_0001_sync")
        return found

    def _scans(self, drive: str) -> list[str]:
        folder = self._folder(drive) / "velodyne_points" / "data"
        if not folder.is_dir():
            raise DataError(f"no folder {folder}\n--data.root must name the folder that holds 2011_09_26, ...")
        names = sorted(path.name for path in folder.iterdir() if _FRAME.fullmatch(path.name))
        if not names:
            raise DataError(f"{folder} has no scan such as 0000000000.bin")
        return [f"{drive}/{name[:-4]}" for name in names]

    def _folder(self, drive: str) -> Path:
        match = _DRIVE.fullmatch(drive)
        if match is None:
            raise UsageError(f"drive '{drive}' in the card; names such as 2011_09_26_drive_0001_sync are needed")
        return self.root / match[1] / drive

    def _scan(self, token: str) -> Path:
        drive, name = token.split("/")
        return self._folder(drive) / "velodyne_points" / "data" / f"{name}.bin"

    def _image(self, token: str, camera_name: str) -> Path:
        drive, name = token.split("/")
        return self._folder(drive) / camera_name / "data" / f"{name}.png"

    def _depth_file(self, token: str) -> Path:
        drive, name = token.split("/")
        below = Path(drive) / "proj_depth" / "groundtruth" / self.card.cameras[0] / f"{name}.png"
        places = [self.root / folder / below for folder in _DEPTH_FOLDERS]
        return next((place for place in places if place.is_file()), places[0])

    def _points(self, token: str) -> NDArray[np.float32]:
        return read_points(self._scan(token), 4, self.card.intensity_scale)

    def _images(self, token: str) -> tuple[ImageFile, ...]:
        paths = [self._image(token, name) for name in self.card.cameras]
        matrices = self._calibration(token)[0]
        return tuple(
            ImageFile(path, image_size(path), torch.from_numpy(own)) for path, own in zip(paths, matrices, strict=True)
        )

    def _picture(self, token: str, view: int) -> Tensor:
        path = self._image(token, self.card.cameras[view])
        return read_whole(ImageFile(path, image_size(path), torch.eye(3)))

    def _depth(self, token: str, files: tuple[ImageFile, ...]) -> Tensor:
        """Read the annotated depth of the first camera (V, H, W), metres; 0 where it is unknown, as in the others."""
        path, size = self._depth_file(token), files[0].size
        found = torch.zeros(len(files), *size)
        values = read_depth(path, self.card.depth_scale)
        must_fit(values, path, size)
        found[0] = torch.from_numpy(values)
        return found

    def _depth_alone(self, token: str) -> None:
        read_depth(self._depth_file(token), self.card.depth_scale)

    def _calibration(self, token: str) -> tuple[list[Matrix], list[Matrix]]:
        """Return K (3, 3) and cam_from_lidar (4, 4) of each camera."""
        day = token[:10]
        if day not in self._calibrations:
            self._calibrations[day] = _day(self.root / day, self.card.cameras)
        return self._calibrations[day]


def _day(folder: Path, cameras: tuple[str, ...]) -> tuple[list[Matrix], list[Matrix]]:
    """Read what was calibrated on one day.

    Raises:
        BadFileError: naming the file and the key that is missing or wrong.
    """
    rigid = read_matrices(folder / _RIGID, {"R": (3, 3), "T": (3,)})
    must_turn(rigid["R"], "R", folder / _RIGID)
    path = folder / _CAMERAS
    keys = {name: f"P_rect_{name.rpartition('_')[2]}" for name in cameras}
    values = read_matrices(path, {"R_rect_00": (3, 3), **dict.fromkeys(keys.values(), (3, 4))})
    must_turn(values["R_rect_00"], "R_rect_00", path)
    rect_from_lidar = np.eye(4)
    rect_from_lidar[:3] = values["R_rect_00"] @ np.column_stack([rigid["R"], rigid["T"]])
    found = [camera(values[key], key, path) for key in keys.values()]
    return [intrinsics for intrinsics, _ in found], [shift @ rect_from_lidar for _, shift in found]


def _listed(frames: dict[Any, Any], where: str) -> list[str]:
    """Return the tokens of frames that a card lists, numbers by drive.

    Raises:
        UsageError: if they are no numbers.
    """
    tokens = []
    for drive, row in frames.items():
        for word in str(row).split():
            if not (word.isascii() and word.isdigit() and len(word) <= 10):
                raise UsageError(f"{where}: frames of {drive} has '{word}'; numbers are needed, with spaces between")
            tokens.append(f"{drive}/{int(word):010d}")
    return tokens
