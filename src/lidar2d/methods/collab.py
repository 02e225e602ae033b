"""Collaborative Distillation: a LiDAR network, taught on clear days, keeps image features steady in bad weather.

Re-implementation from the abstract and third-party readings of Jo et al. (arXiv 2602.12524); the paper's body was not
at hand. ``methods/collab.yaml`` says line by line which choice is the paper's and which is ours.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.data.photometric import distort_share
from lidar2d.frame import Batch, Pairs
from lidar2d.geometry import ZBuffer, pairs
from lidar2d.losses.distill import Distance, Standardise, distance
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import Method, Stage, require_pairs
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.processes import mean_over_processes


class Collab(Method):
    """Stage ``align`` teaches the 3D network from frozen image features; ``anchor`` tunes the image network to it.

    Args:
        points: the 3D network: a student in ``align``, a frozen anchor in ``anchor``.
        images: the image network; its state at the start, frozen, is the teacher of ``align``.
        align: stage 1, on clear frames.
        anchor: stage 2, on all frames.
        clear: conditions that count as clear.
        distance: how far a feature is from its target.
        preserve: weight of staying at the teacher's features on clear frames.
        distorted: share of the clear frames that the image network sees photometrically distorted in stage 2, while
            its target stays the teacher's features of the undistorted image.
        strength: of that distortion.
        matches: pairs sampled over the global batch; all of them where there are fewer.
        min_depth: metres; nearer points are not paired.
        zbuffer: leave hidden points out; None pairs them.
    """

    student: ClassVar[Literal["points", "images"]] = "images"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        align: Stage,
        anchor: Stage,
        clear: tuple[str, ...] = ("day",),
        distance: Distance = "mse",
        preserve: float = 4.0,
        distorted: float = 0.0,
        strength: float = 1.0,
        matches: int = 32768,
        min_depth: float = 1.0,
        zbuffer: ZBuffer | None = None,
    ) -> None:
        super().__init__(points, images)
        self.align = align
        self.anchor = anchor
        self.clear = clear
        self.distance: Distance = distance
        self.preserve = preserve
        self.distorted = distorted
        self.strength = strength
        self.matches = matches
        self.min_depth = min_depth
        self.zbuffer = zbuffer
        self.teacher = copy.deepcopy(images)
        self.head = nn.Linear(points.channels, images.channels)
        self.standardise = Standardise(images.channels)

    def stages(self) -> dict[str, Stage]:
        """Return both stages."""
        return {"align": self.align, "anchor": self.anchor}

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and its head in ``align``, the image network in ``anchor``."""
        return [self.points, self.head] if self.stage == "align" else [self.images]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the current stage."""
        found = pairs(batch, self.min_depth, self.zbuffer)
        require_pairs(found, batch)
        found = found[sample(batch.view_frame[found.view], batch.seeds, self.matches)]
        return self._align(batch, found) if self.stage == "align" else self._anchor(batch, found)

    def point_targets(self, batch: Batch, found: Pairs) -> Tensor:
        """Return the features (P, C) that the 3D network gives the paired points, in standardised units."""
        targets: Tensor = self.head(self.points(batch, found.point)).float()
        return targets

    def _align(self, batch: Batch, found: Pairs) -> dict[str, Tensor]:
        with torch.no_grad():
            seen = read(self.teacher(batch.images).float(), found, batch.image_size)
            if self.training:
                self.standardise.update(seen)
        return {
            "align": mean_over_processes(
                distance(self.point_targets(batch, found), self.standardise(seen), self.distance)
            )
        }

    def _anchor(self, batch: Batch, found: Pairs) -> dict[str, Tensor]:
        is_clear = torch.tensor([c in self.clear for c in batch.conditions], device=self.device)[batch.view_frame]
        with torch.no_grad():
            targets = self.point_targets(batch, found)
            kept = _rows(self.standardise, self.teacher(batch.images[is_clear]).float())
            shown = distort_share(batch, self.distorted, self.strength, among=is_clear)
        features = self.images(shown).float()
        seen = self.standardise(read(features, found, batch.image_size))
        return {
            "anchor": mean_over_processes(distance(seen, targets, self.distance)),
            "preserve": self.preserve
            * mean_over_processes(distance(_rows(self.standardise, features[is_clear]), kept, self.distance)),
        }


def _rows(standardise: Standardise, maps: Tensor) -> Tensor:
    """Turn feature maps (V, C, h, w) into standardised rows (V·h·w, C)."""
    rows: Tensor = standardise(maps.permute(0, 2, 3, 1).flatten(0, 2))
    return rows
