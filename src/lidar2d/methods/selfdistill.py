"""Self-supervision continued on the same images, without LiDAR: the row that papers call DINOv2+.

Equations of DINOv2 (arXiv 2304.07193): crops of an image name the same clusters, and hidden cells those that an average
of past networks names when it sees them. Networks here have no mask token, so hidden cells are grey, and no class token
is asked for, so the mean of a crop's map stands for it.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor, nn

from lidar2d.data.photometric import distort
from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.losses.selfdistill import Head, agreement, sinkhorn, spread
from lidar2d.methods.base import Method, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.processes import mean_over_processes

_STUDENT_TEMPERATURE = 0.1  # DINOv2
_HIDDEN_SHARE = (0.1, 0.5)  # of a crop's cells, in every second crop; DINOv2
_GREY = 0.5
_SLOWEST = 1 - 1e-6  # an average that never moves would be the network as it was


class SelfDistill(Method):
    """A student of crops, and an average of its past weights that teaches it; the average is what is kept.

    Args:
        points: unused; every method has both encoders, so that recipes differ only where methods do.
        images: the student.
        tune: the one stage.
        clusters: that crops and cells are named by.
        hidden: width of the heads.
        bottleneck: channels of the space in which clusters have directions.
        crop: (height, width) of the two large crops, pixels; each shows 32 to 100 percent of the image.
        small: number of crops of half that size, each of 5 to 32 percent, that only the student sees.
        temperature: of the teacher's names.
        momentum: share of the average that a step leaves as it was.
        cell_weight: of the hidden cells.
        spread_weight: of crops being apart.
    """

    student: ClassVar[Literal["points", "images"]] = "images"
    needs_points: ClassVar[bool] = False

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        tune: Stage,
        clusters: int = 4096,
        hidden: int = 512,
        bottleneck: int = 128,
        crop: tuple[int, int] = (224, 416),
        small: int = 2,
        temperature: float = 0.07,
        momentum: float = 0.994,
        cell_weight: float = 1.0,
        spread_weight: float = 0.1,
    ) -> None:
        super().__init__(points, images)
        within(2, clusters=clusters)
        within(1, hidden=hidden, bottleneck=bottleneck)
        within(2 * images.stride, crop=crop)
        within(0, small=small, cell_weight=cell_weight, spread_weight=spread_weight)
        within(1e-3, temperature=temperature)
        within(0, _SLOWEST, momentum=momentum)
        self.tune = tune
        self.crop, self.small = crop, small
        self.temperature, self.momentum = temperature, momentum
        self.cell_weight, self.spread_weight = cell_weight, spread_weight
        sizes = images.channels, hidden, bottleneck, clusters
        self.heads = nn.ModuleDict({"crop": Head(*sizes), "cell": Head(*sizes)})
        self.average = copy.deepcopy(images)
        self.average_heads = copy.deepcopy(self.heads)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"tune": self.tune}

    def trained(self) -> list[nn.Module]:
        """Return what is tuned of the image network, and its heads."""
        return [*self.images.tuned(), self.heads]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Name crops and hidden cells as the average does, and keep crops apart."""
        large, small, masks = self.crops(batch)
        with torch.no_grad():
            maps = self.average(large.flatten(0, 1)).float()
            cells = _cells(masks.flatten(0, 1), (maps.shape[-2], maps.shape[-1]))
            named = sinkhorn(self.average_heads["crop"](maps.mean((2, 3))), self.temperature)
            named_cells = sinkhorn(self.average_heads["cell"](maps.permute(0, 2, 3, 1)[cells]), self.temperature)
        shown = torch.where(masks[:, :, None], _GREY, large).flatten(0, 1)
        seen = self.images(shown).float()
        whole = seen.mean((2, 3))
        scores = [self.heads["crop"](rows) for rows in whole.chunk(2)]
        targets = named.chunk(2)
        parts = [agreement(scores[1], targets[0], _STUDENT_TEMPERATURE)]
        parts.append(agreement(scores[0], targets[1], _STUDENT_TEMPERATURE))
        for crop in small:
            found = self.heads["crop"](self.images(crop).float().mean((2, 3)))
            parts += [agreement(found, target, _STUDENT_TEMPERATURE) for target in targets]
        cell_scores = self.heads["cell"](seen.permute(0, 2, 3, 1)[cells])
        agreed = agreement(cell_scores, named_cells, _STUDENT_TEMPERATURE)
        apart = (spread(rows) for rows in whole.chunk(2))
        return {
            "crops": mean_over_processes(torch.cat(parts)),
            "cells": self.cell_weight * mean_over_processes(agreed),
            "spread": self.spread_weight * sum(apart, whole.new_zeros(())),
        }

    @torch.no_grad()
    def on_train_batch_end(self, *_: object) -> None:
        """Move the average towards the student."""
        for mean, now in ((self.average, self.images), (self.average_heads, self.heads)):
            for old, new in zip(mean.state_dict().values(), now.state_dict().values(), strict=True):
                old.copy_(torch.lerp(new, old, self.momentum) if old.is_floating_point() else new)

    def finish(self) -> None:
        """Keep the average: it is what such networks are released as."""
        self.images.load_state_dict(self.average.state_dict())
        super().finish()

    def crops(self, batch: Batch) -> tuple[Tensor, list[Tensor], Tensor]:
        """Cut crops out of the images, as the seeds of their frames say.

        Returns:
            (2, V, 3, h, w) large crops; small ones, each (V, 3, h/2, w/2); and which pixels (2, V, h, w) are hidden.
        """
        half = (self.crop[0] // 2, self.crop[1] // 2)
        large, small, masks = [], [], []
        for frame, seed in enumerate(batch.seeds.tolist()):
            rng = np.random.default_rng([seed, 2])  # a stream apart from those of the frame's augmentation
            images = batch.images[batch.view_frame == frame]
            pair = [distort(_cut(images, self.crop, (0.32, 1.0), rng), rng) for _ in range(2)]
            large.append(torch.stack(pair))
            small.append([distort(_cut(images, half, (0.05, 0.32), rng), rng) for _ in range(self.small)])
            masks.append(torch.stack([_hide(len(images), self.crop, self.images.stride, rng) for _ in range(2)]))
        joined = [torch.cat(list(crops)) for crops in zip(*small, strict=True)]
        return torch.cat(large, 1), joined, torch.cat(masks, 1).to(batch.images.device)


def _cut(images: Tensor, size: tuple[int, int], share: tuple[float, float], rng: Generator) -> Tensor:
    """Cut from each image (V, 3, H, W) a crop of a share of its area, mirror every second one, and resize it."""
    found = images.new_empty(len(images), 3, *size)
    height, width = images.shape[-2:]
    for row, image in enumerate(images):
        side = float(np.sqrt(rng.uniform(*share)))
        tall, wide = max(1, round(height * side)), max(1, round(width * side))
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        crop = image[None, :, top : top + tall, left : left + wide]
        crop = F.interpolate(crop, size, mode="bilinear", align_corners=False, antialias=True)[0]
        found[row] = crop.flip(-1) if rng.random() < 0.5 else crop
    return found


def _hide(views: int, size: tuple[int, int], stride: int, rng: Generator) -> Tensor:
    """Choose which pixels (V, h, w) to hide, in blocks of whole cells: none in every second image."""
    block = max(stride, 16) // stride * stride
    rows, columns = -(-size[0] // block), -(-size[1] // block)
    hidden = torch.zeros(views, rows * columns, dtype=torch.bool)
    for view in range(views):
        if rng.random() < 0.5:
            count = round(rng.uniform(*_HIDDEN_SHARE) * rows * columns)
            hidden[view, torch.from_numpy(rng.permutation(rows * columns)[:count])] = True
    pixels = hidden.view(views, rows, columns).repeat_interleave(block, 1).repeat_interleave(block, 2)
    return pixels[:, : size[0], : size[1]]


def _cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which cells (V, h, w) of a map are hidden altogether, given the hidden pixels (V, H, W)."""
    return -F.adaptive_max_pool2d(-masks[:, None].float(), size)[:, 0] > 0.5
