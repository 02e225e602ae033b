"""The synthetic town as a source: scenes made from seeds, each in six conditions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lidar2d.data.card import Card
from lidar2d.data.source import Problem
from lidar2d.data.synthetic import sensors
from lidar2d.data.synthetic.cache import Cache
from lidar2d.data.synthetic.prepare import prepare
from lidar2d.data.synthetic.render import CONDITIONS, IGNORE, Arrays
from lidar2d.errors import UsageError, nearest
from lidar2d.frame import Boxes, Frame
from lidar2d.paths import cache_folder, expanded

_SHARED = ("xyz", "labels", "pixel_labels", "depth", "boxes", "box_labels")
_WEATHER = ("images", "kept", "intensity", "air")


class Town:
    """A split of the synthetic town: one frame a scene and condition, scene after scene."""

    def __init__(
        self,
        card: Card,
        split: str,
        root: str | Path | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        """Open a split; scenes are made when they are first read.

        Args:
            card: the town's card.
            split: one of the card's splits.
            root: the folder that keeps the scenes; None is the user's cache folder.
            image_size: (height, width) of the images; None is what the cameras take.

        Raises:
            UsageError: if the split does not exist, is no range of seeds, or a condition is unknown.
        """
        names = (*card.clear, *card.adverse)
        if unknown := [name for name in names if name not in CONDITIONS]:
            raise UsageError(f"the town knows no condition '{unknown[0]}'; {nearest(unknown[0], CONDITIONS)}")
        self.card = card
        self.image_size = image_size
        self.cache = Cache(cache_folder() if root is None else expanded(root))
        self.seeds = _seeds(card, split)
        self.tokens = [f"town-{seed:06d}-{name}" for seed in self.seeds for name in names]
        self.conditions = [name for _ in self.seeds for name in names]
        self.scenes = [str(seed) for seed in self.seeds for _ in names]
        self.listed = [str(seed) for seed in self.seeds]
        self._per_scene = len(names)
        self._box_class = np.array(
            [card.box_classes.index(name) if name in card.box_classes else -1 for name in card.classes]
        )

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame; its scene is made if it is not in the cache."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        index %= len(self)
        condition = self.conditions[index]
        names = (*_SHARED, *(f"{name}_{condition}" for name in _WEATHER))
        scene = self.cache.read(self.seeds[index // self._per_scene], names)
        frame = self._frame(scene, condition, self.tokens[index])
        return frame if self.image_size is None else _resize(frame, self.image_size)

    def _frame(self, scene: Arrays, condition: str, token: str) -> Frame:
        kept, air = scene[f"kept_{condition}"], scene[f"air_{condition}"]
        intensity = scene[f"intensity_{condition}"].astype(np.float32)[:, None] / 255
        points = np.concatenate([np.concatenate([scene["xyz"][kept], intensity], axis=1), air])
        labels = np.concatenate([scene["labels"][kept].astype(np.int64), np.full(len(air), -1)])
        pixels = torch.from_numpy(scene["pixel_labels"].astype(np.int64))
        boxes = torch.from_numpy(scene["boxes"])
        return Frame(
            points=torch.from_numpy(points),
            images=torch.from_numpy(scene[f"images_{condition}"]).float() / 255,
            intrinsics=torch.from_numpy(sensors.intrinsics()),
            cam_from_lidar=torch.from_numpy(sensors.cam_from_lidar()),
            labels=torch.from_numpy(labels),
            boxes=Boxes(boxes[:, :7], torch.from_numpy(self._box_class[scene["box_labels"]]), boxes[:, 7:]),
            pixel_labels=torch.where(pixels == IGNORE, -1, pixels),
            depth=torch.from_numpy(scene["depth"].astype(np.float32)),
            condition=condition,
            token=token,
        )

    def prepare(self, workers: int = 1, progress: bool = True) -> None:
        """Make every scene that is not in the cache yet, several at once, with a bar that says how long it takes."""
        missing = [seed for seed in self.seeds if not self.cache.path(seed).is_file()]
        if missing:
            prepare(self.cache, missing, workers, progress)

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token; a bad file is named once, and those that are not made yet are counted."""
        missing = [seed for seed in self.seeds if not self.cache.path(seed).is_file()]
        said = f"{len(missing)} of {len(self.seeds)} scenes are not made yet; they are made when they are read"
        for i, seed in enumerate(self.seeds):
            path = self.cache.path(seed)
            fault = []
            if missing and seed == missing[0]:
                fault = [Problem(self.cache.folder, said)]
            elif seed not in missing and not self.cache.whole(seed):
                fault = [Problem(path, "damaged; it is made again when it is read")]
            for j in range(self._per_scene):
                yield self.tokens[i * self._per_scene + j], fault if j == 0 else []


def _seeds(card: Card, split: str) -> range:
    ends = card.split(split)
    if not (isinstance(ends, list) and [type(end) for end in ends] == [int, int] and 0 <= ends[0] < ends[1]):
        raise UsageError(f"split '{split}' of {card.name} is {ends}; it must be [first seed, one past the last]")
    return range(*ends)


def _resize(frame: Frame, size: tuple[int, int]) -> Frame:
    """Return the frame with its cameras at another size."""
    height, width = frame.images.shape[-2:]
    stretch = torch.diag(torch.tensor([size[1] / width, size[0] / height, 1.0], dtype=torch.float64))

    def nearest_pixel(values: Tensor) -> Tensor:
        return F.interpolate(values[:, None].float(), size=size, mode="nearest-exact")[:, 0].to(values.dtype)

    images = F.interpolate(frame.images, size=size, mode="bilinear", antialias=True, align_corners=False)
    labels, depth = frame.pixel_labels, frame.depth
    return replace(
        frame,
        images=images.clamp(0, 1),
        intrinsics=stretch @ frame.intrinsics,
        pixel_labels=None if labels is None else nearest_pixel(labels),
        depth=None if depth is None else nearest_pixel(depth),
    )
