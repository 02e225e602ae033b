"""Controls of Collaborative Distillation: the same training, one thing broken, or given what only a simulator has."""

from __future__ import annotations

import torch
from torch import Tensor

from lidar2d.data.source import Source
from lidar2d.frame import Batch, Pairs
from lidar2d.methods.collab import Collab
from lidar2d.nets.encoder import read


class Shuffled(Collab):
    """Stage 2 gives every point the target of another point of its frame: if LiDAR matters, the gain is gone."""

    def point_targets(self, batch: Batch, found: Pairs) -> Tensor:
        """Return the targets, shuffled among the pairs of each frame in stage 2."""
        targets = super().point_targets(batch, found)
        if self.stage == "align":
            return targets
        frame = batch.view_frame[found.view]
        shuffled = torch.empty_like(targets)
        for index, seed in enumerate(batch.seeds.tolist()):
            rows = torch.nonzero(frame == index)[:, 0]
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            shuffled[rows] = targets[rows[order]]
        return shuffled


class Oracle(Collab):
    """Stage 2 targets are the teacher's features of the clear twin image, which only a simulator has."""

    def point_targets(self, batch: Batch, found: Pairs) -> Tensor:
        """Return what the teacher sees on the clear twin, at the pixels of the pairs."""
        if self.stage == "align":
            return super().point_targets(batch, found)
        town: Source = self.trainer.datamodule.source()
        index = {token: row for row, token in enumerate(town.tokens)}
        images = []
        for token, condition in zip(batch.tokens, batch.conditions, strict=True):
            images.append(town[index[f"{token.removesuffix(condition)}{self.clear[0]}"]].images)
        twins = torch.cat(images)
        if len(twins) != len(batch.images):
            raise ValueError("the oracle needs every camera of a frame: leave data.cameras and image augmentation off")
        targets: Tensor = self.standardise(read(self.teacher(twins.to(self.device)), found, batch.image_size))
        return targets
