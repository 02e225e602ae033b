"""OLIVINE: fine-grained image-to-LiDAR contrastive distillation with visual foundation models (arXiv 2405.14271)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError, within
from lidar2d.frame import Annotation, Batch, Pairs
from lidar2d.losses.codes import KEPT, Codes
from lidar2d.losses.contrast import weak_contrast
from lidar2d.losses.density import pair_odds
from lidar2d.losses.sampling import common_seed, drawn_rows
from lidar2d.losses.vmf import VonMisesFisher
from lidar2d.methods.base import PAIRING, Pairing, Stage
from lidar2d.methods.family import ImageToPoint, unit
from lidar2d.nets.decoder import Decoder
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read

_RING = 0.1  # metres; how far apart pairs lie is counted in rings around the sensor


class Olivine(ImageToPoint):
    """PPKT's contrast on one pair of heads; on another what weak labels say of pixels.

    There each point finds any pixel of its own label, and, once the directions of the labels are known, the points of
    a label draw together around theirs. Other arguments as in :class:`ImageToPoint`.

    Args:
        labels: ``given`` with the frames (``--data.weak_labels``), as published, or ``clusters`` of the teacher's
            features, found before the first step, for which nobody names a class.
        classes: number of weak labels.
        survey: batches in which clusters are sought.
        rate: share of a step's mean in the running mean direction of a label.
        settle: steps after which those directions stay as they are, and draw.
        contrast_weight: of PPKT's contrast.
        weak_weight: of the contrast of weak labels.
        draw_weight: of the drawing together.
        legacy: as the released code has it: running means are not corrected for having begun at zero, each process
            averages its own pairs, and the distributions' normaliser is that of order zero.
    """

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        labels: Literal["given", "clusters"] = "given",
        classes: int = 17,
        survey: int = 16,
        dim: int = 64,
        temperature: float = 0.07,
        matches: int = 4096,
        rate: float = 1e-4,
        settle: int = 10_000,
        contrast_weight: float = 0.5,
        weak_weight: float = 0.5,
        draw_weight: float = 1.0,
        pairing: Pairing = PAIRING,
        align_corners: bool = True,
        legacy: bool = False,
    ) -> None:
        super().__init__(points, images, pretrain, dim, temperature, matches, pairing, align_corners)
        within(1, survey=survey)
        within(2, survey * KEPT if labels == "clusters" else math.inf, classes=classes)
        within(0, 1, rate=rate)
        within(0, settle=settle, contrast_weight=contrast_weight, weak_weight=weak_weight, draw_weight=draw_weight)
        self.settle, self.survey = settle, survey
        self.codes = Codes(images.channels, classes) if labels == "clusters" else None
        self.contrast_weight, self.weak_weight, self.draw_weight = contrast_weight, weak_weight, draw_weight
        self.class_point_head = nn.Linear(points.channels, dim)
        self.class_image_head = Decoder(images.channels, dim, align_corners)
        self.directions = VonMisesFisher(classes, dim, rate, legacy)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.step: Tensor

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and all heads."""
        return [*super().trained(), self.class_point_head, self.class_image_head]

    def wants(self) -> frozenset[Annotation]:
        """Return weak labels, unless it finds its own."""
        return frozenset({"weak_labels"} if self.codes is None else ())

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast pairs, contrast weak labels, and draw the points of a label together."""
        found, maps = self.paired(batch), self.teach(batch)
        labels = self._labels(found, maps, batch)
        features = self.points(batch)
        some = found[self.draw(found, batch)]
        contrast = self.point_contrast(features[some.point], maps, some, batch)
        by_class = unit(self.class_point_head(features))
        losses = {
            "contrast": self.contrast_weight * contrast,
            "weak": self.weak_weight * self._weak(by_class, maps, found, labels, batch),
        }
        paired = by_class[found.point]
        if self.step < self.settle:
            self.directions.update(paired.detach(), labels)
        else:
            losses["draw"] = self.draw_weight * self.directions(paired, labels)
        self.step += 1
        return losses

    def on_train_start(self) -> None:
        """Seek the clusters before the first step."""
        if self.codes is not None and not self.codes.found:
            self.look(self.trainer.datamodule.peek(self.survey))  # type: ignore[attr-defined]

    @torch.no_grad()
    def look(self, batches: Iterable[Batch]) -> None:
        """Seek the clusters of the teacher's features at the pixels of points."""
        assert self.codes is not None  # only then is it called
        rows, seed = [], 0
        for batch in batches:
            batch = batch.to(self.device)
            found = self.paired(batch)
            seen = read(self.teach(batch), found, batch.image_size, self.image_head.align_corners).float()
            rows.append(drawn_rows(seen, batch.view_frame[found.view], batch.seeds, KEPT))
            seed = common_seed(batch.seeds, self.device)
        self.codes.seek(torch.cat(rows), torch.Generator().manual_seed(seed))

    def _labels(self, found: Pairs, maps: Tensor, batch: Batch) -> Tensor:
        """Return the weak label (P,) of each pair's pixel; 0 is one as any other, below zero is none.

        Raises:
            UsageError: if the frames have none, or there are more than the method was told.
        """
        if self.codes is not None:
            return self.codes.sort(read(maps, found, batch.image_size, self.image_head.align_corners).float())
        column, row = found.pixel.floor().long().unbind(1)
        labels = batch.need("weak_labels")[found.view, row, column]
        if len(labels) and int(labels.max()) >= len(self.directions.mean):
            raise UsageError(
                f"a weak label is {int(labels.max())}, and there are {len(self.directions.mean)} from 0 on; "
                "set --method.classes"
            )
        return labels

    def _weak(self, by_class: Tensor, maps: Tensor, found: Pairs, labels: Tensor, batch: Batch) -> Tensor:
        known = labels >= 0
        found, labels = found[known], labels[known]
        rings = (batch.points[found.point, :2].norm(dim=1) / _RING).floor().long()
        drawn = self.draw(found, batch, pair_odds(rings, labels))
        found, labels = found[drawn], labels[drawn]
        candidates = unit(self.class_image_head.at(maps, found, batch.image_size))
        return weak_contrast(by_class[found.point], candidates, labels, self.temperature)
