"""Reads SemanticKITTI in its official layout: the sequences of KITTI's odometry benchmark, with labels of points."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import TEXT, Card, folder_of
from lidar2d.data.file_source import Earlier, SweepSource, with_earlier
from lidar2d.data.files import BadFileError, read_binary, read_points, read_text
from lidar2d.data.kitti.calibration import Matrix, camera, must_turn, read_matrices
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.pixels import check_seen, image_size, not_read, read_whole
from lidar2d.data.source import Expected
from lidar2d.errors import DataError
from lidar2d.frame import Frame, ImageFile

_SCAN = re.compile(r"\d{6}\.bin", re.ASCII)
_SECONDS = 0.1  # between two scans, where times.txt is not there


class SemanticKitti(SweepSource):
    """Scans of whole sequences; the card's splits name the sequences, and the folder of the labels.

    Images (image_2) belong to a download of their own: without its folder a sequence has points alone.

    Args:
        card: the data set's card.
        split: one of the card's splits.
        root: the folder that holds sequences/.
        image_size: (height, width); None keeps each image's own size.

    Raises:
        DataError: if a sequence of the split is missing.
    """

    def __init__(
        self, card: Card, split: str, root: str | Path | None = None, image_size: tuple[int, int] | None = None
    ) -> None:
        self.card = card
        self.image_size = image_size
        self.root = folder_of(root, card)
        given = card.split(split, {"sequences": TEXT, "labels": TEXT})
        self.labels = str(given["labels"])
        self.tokens = [token for name in str(given["sequences"]).split() for token in self._scans(name)]
        self.conditions = ["day"] * len(self.tokens)
        self._label_map = LabelMap(card, 1 << 16)
        self._calibrations: dict[str, _Calibration] = {}

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        token = self.tokens[index]
        calibration = self._calibration(token)
        own = self._points(token)
        points, labels = torch.from_numpy(own), self._labels(token, len(own))
        if self.sweeps > 1:
            points, labels = with_earlier(own, labels, self._earlier(token))
        files = self._images(token)
        frame = Frame(
            points=points,
            images=not_read(files),
            intrinsics=torch.from_numpy(calibration.intrinsics).expand(len(files), 3, 3),
            cam_from_lidar=torch.from_numpy(calibration.cam_from_lidar).expand(len(files), 4, 4),
            labels=labels,
            files=files,
            condition=self.conditions[index],
            token=token,
        )
        return check_seen(frame)

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the index of the sequence's next scan, and the motion (4, 4) from this one's LiDAR to its.

        Raises:
            BadFileError: if the sequence's poses are missing or wrong.
        """
        after, here = index + 1, self.tokens[index]
        if after == len(self.tokens) or self.tokens[after].partition("/")[0] != here.partition("/")[0]:
            return None
        motion, _ = self._calibration(here).motion(_number(here), _number(self.tokens[after]))
        return after, torch.from_numpy(motion)

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a frame's files."""
        token = self.tokens[index]
        return [
            partial(self._points, token),
            partial(self._calibration, token),
            partial(self._labels, token, None),
            partial(self._pictures, token),
            *(partial(self._points, before) for before in self._before(token)),
        ]

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a scan."""
        token = self.tokens[index]
        scan = Expected(self._file("velodyne", token, "bin"), row=16)
        earlier = [Expected(self._file("velodyne", before, "bin"), row=16) for before in self._before(token)]
        folder = self.root / "sequences" / token.partition("/")[0]
        found = [scan, *earlier, Expected(folder / "calib.txt")]
        if earlier:
            found.append(Expected(folder / "poses.txt"))
        labels, picture = self._file(self.labels, token, "label"), self._file(self.card.cameras[0], token, "png")
        if labels.parent.is_dir():
            found.append(Expected(labels, row=4, like=scan))
        return [*found, Expected(picture, picture=True)] if picture.parent.is_dir() else found

    def image_files(self, index: int) -> list[Path]:
        """Return the path of a frame's image, below the data set's folder."""
        return [file.path.relative_to(self.root) for file in self._images(self.tokens[index])]

    def _scans(self, sequence: str) -> list[str]:
        """Return the tokens of a sequence, such as 08/000123."""
        folder = self.root / "sequences" / sequence / "velodyne"
        if not folder.is_dir():
            there = (self.root / "sequences").is_dir()
            cure = f"the split needs sequence {sequence}" if there else "--data.root must name what holds sequences/"
            raise DataError(f"no folder {folder}\n{cure}")
        names = sorted(path.name for path in folder.iterdir() if _SCAN.fullmatch(path.name))
        if not names:
            raise DataError(f"{folder} has no scan such as 000000.bin")
        return [f"{sequence}/{name[:-4]}" for name in names]

    def _file(self, kind: str, token: str, ending: str) -> Path:
        sequence, name = token.split("/")
        return self.root / "sequences" / sequence / kind / f"{name}.{ending}"

    def _points(self, token: str) -> NDArray[np.float32]:
        return read_points(self._file("velodyne", token, "bin"), 4, self.card.intensity_scale)

    def _labels(self, token: str, points: int | None) -> Tensor | None:
        """Read the class of each point; None points leaves their number unchecked."""
        path = self._file(self.labels, token, "label")
        if not path.parent.is_dir():  # the test sequences have none
            return None
        raw = read_binary(path, np.uint32)
        if points is not None and len(raw) != points:
            raise BadFileError(path, f"has {len(raw)} labels; its scan has {points} points")
        return self._label_map.classes(raw & 0xFFFF, path)  # the upper half numbers instances

    def _images(self, token: str) -> tuple[ImageFile, ...]:
        path = self._file(self.card.cameras[0], token, "png")
        if not path.parent.is_dir():
            return ()
        intrinsics = torch.from_numpy(self._calibration(token).intrinsics)
        return (ImageFile(path, image_size(path), intrinsics),)

    def _pictures(self, token: str) -> None:
        for file in self._images(token):
            read_whole(file)

    def _calibration(self, token: str) -> _Calibration:
        sequence = token.partition("/")[0]
        if sequence not in self._calibrations:
            folder = self.root / "sequences" / sequence
            self._calibrations[sequence] = _Calibration(folder, self.card.cameras[0])
        return self._calibrations[sequence]

    def _earlier(self, token: str) -> Iterator[Earlier]:
        """Yield the scans before one."""
        calibration, now = self._calibration(token), _number(token)
        for before in self._before(token):
            motion, seconds = calibration.motion(_number(before), now)
            yield self._points(before), motion, seconds

    def _before(self, token: str) -> list[str]:
        """Return the scans before one that belong to its frame, the latest first."""
        now = _number(token)
        return [f"{token.partition('/')[0]}/{k:06d}" for k in range(now - 1, max(-1, now - self.sweeps), -1)]


def _number(token: str) -> int:
    """Return which scan of its sequence a token names."""
    return int(token.partition("/")[2])


class _Calibration:
    """What a sequence says of its sensors, and of where they were."""

    def __init__(self, folder: Path, channel: str) -> None:
        self.folder = folder
        path, key = folder / "calib.txt", f"P{channel.rpartition('_')[2]}"
        values = read_matrices(path, {key: (3, 4), "Tr": (3, 4)})
        must_turn(values["Tr"][:, :3], "Tr", path)
        self.rect_from_lidar: Matrix = np.eye(4)
        self.rect_from_lidar[:3] = values["Tr"]
        self.intrinsics, cam_from_rect = camera(values[key], key, path)
        self.cam_from_lidar: Matrix = cam_from_rect @ self.rect_from_lidar

    @cached_property
    def poses(self) -> Matrix:
        """Poses (N, 4, 4) of the LiDAR, in the rectified camera's frame of the first scan."""
        path = self.folder / "poses.txt"
        numbers = _table(path, 12)
        found = np.tile(np.eye(4), (len(numbers), 1, 1))
        found[:, :3] = numbers.reshape(-1, 3, 4)
        turns = found[:, :3, :3]
        skewed = np.abs(turns @ turns.swapaxes(1, 2) - np.eye(3)).max((1, 2)) > 1e-3
        if bad := np.flatnonzero(skewed | (np.linalg.det(turns) < 0)).tolist():
            raise BadFileError(path, f"line {bad[0] + 1} is no rigid motion")
        return found @ self.rect_from_lidar

    @cached_property
    def times(self) -> Matrix:
        """Seconds of each scan."""
        path = self.folder / "times.txt"
        return _table(path, 1)[:, 0] if path.exists() else _SECONDS * np.arange(len(self.poses))

    def motion(self, before: int, now: int) -> tuple[Matrix, float]:
        """Return the motion (4, 4) from an earlier scan's LiDAR to a later one's, and the seconds between them.

        Raises:
            BadFileError: if the poses or times end before.
        """
        for name, rows in (("poses.txt", len(self.poses)), ("times.txt", len(self.times))):
            if now >= rows:
                raise BadFileError(self.folder / name, f"has {rows} lines; scan {now:06d} needs {now + 1}")
        motion: Matrix = np.linalg.solve(self.poses[now], self.poses[before])
        return motion, float(self.times[now] - self.times[before])


def _table(path: Path, columns: int) -> Matrix:
    """Read lines of numbers.

    Raises:
        BadFileError: naming the line that is wrong.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            raise BadFileError(path, f"line {number}: a value is no number") from None
        if len(values) != columns or not np.isfinite(values).all():
            raise BadFileError(path, f"line {number}: {columns} finite numbers are needed")
        rows.append(values)
    return np.array(rows, dtype=np.float64).reshape(-1, columns)
