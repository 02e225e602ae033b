"""What readers of single images share: a frame is one image without LiDAR."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lidar2d.data.file_source import FileSource
from lidar2d.data.pixels import not_read, read_whole
from lidar2d.frame import Frame, ImageFile


class SingleImages(FileSource):
    """Images with a class or a depth for every pixel; a frame has no point."""

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels; its labels have the resolution of their file.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        file = self.image(index)
        return Frame(
            points=torch.zeros(0, 4),
            images=not_read([file]),
            intrinsics=file.intrinsics[None],
            cam_from_lidar=torch.eye(4, dtype=torch.float64)[None],
            pixel_labels=self.classes(index, file.size),
            depth=self.metres(index, file.size),
            files=(file,),
            condition=self.conditions[index],
            token=self.tokens[index],
        )

    def parts(self, index: int) -> list[Callable[[], object]]:
        """Return what reads each of a frame's files."""
        maps = (self.classes, self.metres)
        return [lambda: read_whole(self.image(index)), *(partial(read, index) for read in maps)]

    @abstractmethod
    def image(self, index: int) -> ImageFile:
        """Return what is known of a frame's image before it is decoded.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """

    @abstractmethod
    def classes(self, index: int, size: tuple[int, int] | None = None) -> Tensor | None:
        """Read the class (1, H, W) of each pixel of an image of a size, -1 to ignore; None where there are none.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """

    def metres(self, index: int, size: tuple[int, int] | None = None) -> Tensor | None:  # noqa: ARG002 those without
        """Read the depth (1, H, W) of each pixel of an image of a size, 0 where unknown; None where there is none.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        return None
