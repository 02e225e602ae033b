"""Reads the KITTI 3D object benchmark in its official layout: one scan, the left colour camera and 3D boxes a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import TEXT, Card, folder_of
from lidar2d.data.file_source import FileSource
from lidar2d.data.files import BadFileError, read_points, read_text
from lidar2d.data.kitti.calibration import calibration
from lidar2d.data.pixels import check_seen, image_size, not_read, read_whole
from lidar2d.data.source import Expected
from lidar2d.errors import UsageError
from lidar2d.frame import Boxes, Frame, ImageFile, Seen

_FARTHEST = 1e4  # metres


class Kitti(FileSource):
    """KITTI object frames; the card's splits name a folder (training) and a list in ImageSets.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds training/ and ImageSets/.
        image_size: (height, width); None keeps each image's own size, which differs from frame to frame.

    Raises:
        DataError: if the split's list of frames is missing or wrong.
    """

    def __init__(
        self, card: Card, split: str, root: str | Path | None = None, image_size: tuple[int, int] | None = None
    ) -> None:
        self.card = card
        self.image_size = image_size
        self.root = folder_of(root, card)
        if card.cameras != ("image_2",):
            raise UsageError(f"card {card.name} has cameras {', '.join(card.cameras)}; its reader reads image_2 alone")
        places = card.split(split, {"folder": TEXT, "list": TEXT})
        self.folder = self.root / str(places["folder"])
        self.tokens = _frame_numbers(self.root / "ImageSets" / f"{places['list']}.txt")
        self.conditions = ["day"] * len(self.tokens)
        # the test set has none, and training without labels is fine
        self.labelled = (self.folder / "label_2").is_dir()

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        token = self.tokens[index]
        intrinsics, rect_from_lidar, cam_from_rect = self._calibration(token)
        files = (self._image_file(token, intrinsics),)
        cam_from_lidar = cam_from_rect @ rect_from_lidar
        boxes = None
        if self.labelled:
            boxes = self._boxes(token, rect_from_lidar, intrinsics @ cam_from_lidar[:3], files[0].size)
        frame = Frame(
            points=torch.from_numpy(self._points(token)),
            images=not_read(files),
            intrinsics=torch.from_numpy(intrinsics)[None],
            cam_from_lidar=torch.from_numpy(cam_from_lidar)[None],
            boxes=boxes,
            files=files,
            condition=self.conditions[index],
            token=token,
        )
        return check_seen(frame)

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a frame's files."""
        token = self.tokens[index]
        found: list[Callable[[], object]] = [
            partial(self._points, token),
            partial(self._picture, token),
            partial(self._calibration, token),
        ]
        return [*found, partial(self._boxes, token, np.eye(4), np.eye(3, 4), (1, 1))] if self.labelled else found

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a frame."""
        token = self.tokens[index]
        files = [
            Expected(self._file("velodyne", token), row=16),
            Expected(self._file("image_2", token), picture=True),
            Expected(self._file("calib", token)),
        ]
        return [*files, Expected(self._file("label_2", token), empty=True)] if self.labelled else files

    def image_files(self, index: int) -> list[Path]:
        """Return the path of a frame's image, below the data set's folder."""
        return [self._file("image_2", self.tokens[index]).relative_to(self.folder.parent)]

    def _file(self, kind: str, token: str) -> Path:
        ending = {"velodyne": "bin", "image_2": "png", "calib": "txt", "label_2": "txt"}[kind]
        return self.folder / kind / f"{token}.{ending}"

    def _image_file(self, token: str, intrinsics: NDArray[np.float64]) -> ImageFile:
        path = self._file("image_2", token)
        return ImageFile(path, image_size(path), torch.from_numpy(intrinsics))

    def _picture(self, token: str) -> Tensor:
        return read_whole(self._image_file(token, np.eye(3)))

    def _points(self, token: str) -> NDArray[np.float32]:
        return read_points(self._file("velodyne", token), 4, self.card.intensity_scale)

    def _calibration(self, token: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return calibration(self._file("calib", token))

    def _boxes(
        self,
        token: str,
        rect_from_lidar: NDArray[np.float64],
        image_from_lidar: NDArray[np.float64],
        size: tuple[int, int],
    ) -> Boxes:
        labels = self._file("label_2", token)
        found, labelled = read_boxes(labels, self.card.box_classes, np.linalg.inv(rect_from_lidar))
        seen = Seen(labelled, torch.from_numpy(image_from_lidar)[None], torch.tensor([size]))
        return replace(found, seen=seen)


def read_boxes(path: Path, names: tuple[str, ...], lidar_from_rect: NDArray[np.float64]) -> tuple[Boxes, Tensor]:
    """Read the 3D boxes of a label file into the LiDAR frame; DontCare regions are no boxes.

    A line gives height, width, length, the bottom centre in the rectified camera frame, and the heading's angle from
    the camera's x axis about its y axis, which points down.

    Returns:
        The boxes; and (M, 3) what the image shows of them: height in pixels, occlusion, share cut off.

    Raises:
        BadFileError: if the file is missing, or a line is wrong.
    """
    rows, seen, classes = [], [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words or words[0] == "DontCare":
            continue
        if words[0] not in names:
            raise BadFileError(path, f"line {number}: unknown class '{words[0]}'")
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            raise BadFileError(path, f"line {number}: a value is no number") from None
        if len(values) not in (14, 15) or not np.isfinite(values).all():  # results have a score at the end
            raise BadFileError(path, f"line {number}: a class and 14 finite values are needed")
        if min(values[7:10]) <= 0 or max(map(abs, values[7:13])) > _FARTHEST:
            raise BadFileError(path, f"line {number}: a box of {values[7:10]} m at {values[10:13]} m is none")
        rows.append(values[7:14])
        truncation, occlusion, _, _, top, _, bottom = values[:7]
        seen.append([bottom - top, occlusion, truncation])
        classes.append(names.index(words[0]))
    geometry = _into_lidar(np.array(rows).reshape(-1, 7), lidar_from_rect)
    found = Boxes(geometry, torch.tensor(classes, dtype=torch.int64))
    return found, torch.tensor(seen, dtype=torch.float64).reshape(-1, 3)


def _into_lidar(rows: NDArray[np.float64], lidar_from_rect: NDArray[np.float64]) -> Tensor:
    height, width, length, x, y, z, angle = rows.T
    centre = np.stack([x, y - height / 2, z], axis=1)
    heading = np.stack([np.cos(angle), np.zeros_like(angle), -np.sin(angle)], axis=1)
    centre = centre @ lidar_from_rect[:3, :3].T + lidar_from_rect[:3, 3]
    heading = heading @ lidar_from_rect[:3, :3].T
    yaw = np.arctan2(heading[:, 1], heading[:, 0])
    return torch.from_numpy(np.column_stack([centre, length, width, height, yaw]))


def _frame_numbers(path: Path) -> list[str]:
    if not path.exists():
        raise BadFileError(path, "missing; it lists the split's frames, one number such as 000001 a line")
    tokens = read_text(path).split()
    if not tokens:
        raise BadFileError(path, "lists no frame; it needs one frame number a line, such as 000001")
    for token in tokens:
        if not (token.isascii() and token.isdigit()):
            raise BadFileError(path, f"'{token}' is no frame number")
    if len(set(tokens)) < len(tokens):
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise BadFileError(path, f"lists frame {twice} twice")
    return tokens
