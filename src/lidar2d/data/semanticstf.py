"""Reads SemanticSTF in its official layout: LiDAR scans in snow, fog and rain, with a class for every point."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import TEXT, Card, folder_of
from lidar2d.data.file_source import FileSource
from lidar2d.data.files import BadFileError, read_binary, read_points, read_text
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.source import Expected
from lidar2d.errors import nearest
from lidar2d.frame import Frame


class SemanticSTF(FileSource):
    """Scans of one split; a list beside them says in which weather each was taken. Frames have no camera.

    Args:
        card: the data set's card; its splits name their folders.
        split: one of the card's splits.
        root: the folder that holds train/, val/ and test/.
        image_size: of no use here, where no frame has an image.

    Raises:
        DataError: if the list is missing or wrong.
    """

    def __init__(
        self,
        card: Card,
        split: str,
        root: str | Path | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        self.card, self.image_size = card, image_size
        self.root = folder_of(root, card)
        self.folder = self.root / str(card.split(split, {"folder": TEXT})["folder"])
        found = _weather(self.folder / f"{self.folder.name}.txt", card)
        self.tokens, self.conditions = list(found), list(found.values())
        self._label_map = LabelMap(card, 1 << 16)

    def unread(self, index: int) -> Frame:
        """Read one scan.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        token = self.tokens[index]
        points = self._points(token)
        return Frame(
            points=torch.from_numpy(points),
            images=torch.zeros(0, 3, 1, 1),
            intrinsics=torch.zeros(0, 3, 3, dtype=torch.float64),
            cam_from_lidar=torch.zeros(0, 4, 4, dtype=torch.float64),
            labels=self._labels(token, len(points)),
            condition=self.conditions[index],
            token=token,
        )

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a scan's files."""
        token = self.tokens[index]
        return [partial(self._points, token), partial(self._labels, token, None)]

    def image_files(self, index: int) -> list[Path]:  # noqa: ARG002 no scan has an image
        """Return no path."""
        return []

    def expected(self, index: int) -> list[Expected]:
        """Return the files of a scan."""
        scan = Expected(self._file("velodyne", self.tokens[index]), row=20)
        return [scan, Expected(self._file("labels", self.tokens[index]), row=4, like=scan)]

    def _file(self, kind: str, token: str) -> Path:
        return self.folder / kind / f"{token}.{'bin' if kind == 'velodyne' else 'label'}"

    def _points(self, token: str) -> NDArray[np.float32]:
        return read_points(self._file("velodyne", token), 5, self.card.intensity_scale)

    def _labels(self, token: str, points: int | None) -> Tensor:
        """Read the class of each point; None points leaves their number unchecked."""
        path = self._file("labels", token)
        raw = read_binary(path, np.uint32)
        if points is not None and len(raw) != points:
            raise BadFileError(path, f"has {len(raw)} labels; its scan has {points} points")
        return self._label_map.classes(raw & 0xFFFF, path)


def _weather(path: Path, card: Card) -> dict[str, str]:
    """Read the list of scans, one ``name,weather`` a line.

    Raises:
        BadFileError: naming the line that is wrong.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        name, _, weather = (part.strip() for part in line.partition(","))
        name = name.removesuffix(".bin")
        if not name or "/" in name or weather not in card.adverse:
            fault = f"line {number} is '{line.strip():.60}'; a scan's name, a comma and its weather are needed"
            raise BadFileError(path, f"{fault} ({nearest(weather, card.adverse)})")
        if name in found:
            raise BadFileError(path, f"line {number} lists {name} again")
        found[name] = weather
    if not found:
        raise BadFileError(path, "lists no scan")
    return found
