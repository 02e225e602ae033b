"""Reads the KITTI 3D object benchmark in its official layout: one scan, the left colour camera and 3D boxes a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import Card, folder_of
from lidar2d.data.files import BadFileError, check_seen, problems, read_image, read_points, read_text
from lidar2d.data.source import Problem
from lidar2d.frame import Boxes, Frame

_CALIB_KEYS = {"P2": (3, 4), "R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}
_HALF_PIXEL = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # KITTI's pixel centres are at whole numbers


class Kitti:
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
        places = card.split(split, "folder", "list")
        self.folder = self.root / str(places["folder"])
        self.tokens = _frame_numbers(self.root / "ImageSets" / f"{places['list']}.txt")
        self.conditions = ["day"] * len(self.tokens)
        # the test set has none, and training without labels is fine
        self.labelled = (self.folder / "label_2").is_dir()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.tokens)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        token = self.tokens[index]
        intrinsics, rect_from_lidar, cam_from_rect = self._calibration(token)
        image, resized = read_image(self._file("image_2", token), self.image_size)
        frame = Frame(
            points=torch.from_numpy(self._points(token)),
            images=image[None],
            intrinsics=(resized @ torch.from_numpy(intrinsics))[None],
            cam_from_lidar=torch.from_numpy(cam_from_rect @ rect_from_lidar)[None],
            boxes=self._boxes(token, rect_from_lidar) if self.labelled else None,
            condition=self.conditions[index],
            token=token,
        )
        return check_seen(frame, [self._file("image_2", token)])

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems; each bad file is named once."""
        named: set[Path] = set()
        for index, token in enumerate(self.tokens):
            parts: list[Callable[[], object]] = [
                partial(self._points, token),
                partial(read_image, self._file("image_2", token), self.image_size),
                partial(self._calibration, token),
            ]
            if self.labelled:
                parts.append(partial(self._boxes, token, np.eye(4)))
            yield token, problems(partial(self.__getitem__, index), parts, named)

    def image_files(self, index: int) -> list[Path]:
        """Return the path of a frame's image, below the data set's folder."""
        return [self._file("image_2", self.tokens[index]).relative_to(self.folder.parent)]

    def _file(self, kind: str, token: str) -> Path:
        ending = {"velodyne": "bin", "image_2": "png", "calib": "txt", "label_2": "txt"}[kind]
        return self.folder / kind / f"{token}.{ending}"

    def _points(self, token: str) -> NDArray[np.float32]:
        return read_points(self._file("velodyne", token), 4, self.card.intensity_scale)

    def _calibration(self, token: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        return calibration(self._file("calib", token))

    def _boxes(self, token: str, rect_from_lidar: NDArray[np.float64]) -> Boxes:
        return boxes(self._file("label_2", token), self.card.box_classes, np.linalg.inv(rect_from_lidar))


def calibration(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read K (3, 3), rect_from_lidar and cam_from_rect (4, 4) of the left colour camera.

    Labels live in the rectified frame of camera 0. Camera 2 lies some centimetres beside it, which KITTI writes as
    a fourth column of its projection: P2 = K [I | t]. That shift belongs to the pose, so that K is a plain K.

    Raises:
        BadFileError: if the file or one of its keys is missing or wrong.
    """
    values = _calib_values(path)
    p2, rectify, velo = values["P2"], values["R0_rect"], values["Tr_velo_to_cam"]
    for name, rotation in (("R0_rect", rectify), ("Tr_velo_to_cam", velo[:, :3])):
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            raise BadFileError(path, f"{name} is no rotation")
    if p2[0, 0] <= 0 or p2[1, 1] <= 0:
        raise BadFileError(path, "P2 has no positive focal length")
    rect_from_lidar, cam_from_rect = np.eye(4), np.eye(4)
    rect_from_lidar[:3] = rectify @ velo
    cam_from_rect[:3, 3] = np.linalg.solve(p2[:, :3], p2[:, 3])
    return _HALF_PIXEL @ p2[:, :3], rect_from_lidar, cam_from_rect


def _calib_values(path: Path) -> dict[str, NDArray[np.float64]]:
    lines = dict(line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    values = {}
    for key, shape in _CALIB_KEYS.items():
        if key not in lines:
            raise BadFileError(path, f"no key '{key}'")
        try:
            numbers = np.array(lines[key].split(), dtype=np.float64)
        except ValueError:
            raise BadFileError(path, f"'{key}' has a value that is no number") from None
        if numbers.size != np.prod(shape):
            raise BadFileError(path, f"'{key}' has {numbers.size} values; {np.prod(shape)} are needed")
        if not np.isfinite(numbers).all():
            raise BadFileError(path, f"'{key}' has NaN or infinite values")
        values[key] = numbers.reshape(shape)
    return values


def boxes(path: Path, names: tuple[str, ...], lidar_from_rect: NDArray[np.float64]) -> Boxes:
    """Read the 3D boxes of a label file into the LiDAR frame; DontCare regions are no boxes.

    A line gives height, width, length, the bottom centre in the rectified camera frame, and the heading's angle from
    the camera's x axis about its y axis, which points down.

    Raises:
        BadFileError: if the file is missing, or a line is wrong.
    """
    rows, classes = [], []
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
        rows.append(values[7:14])
        classes.append(names.index(words[0]))
    return Boxes(_into_lidar(np.array(rows).reshape(-1, 7), lidar_from_rect), torch.tensor(classes, dtype=torch.int64))


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
