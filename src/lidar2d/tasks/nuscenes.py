"""3D detection as nuScenes' benchmark judges it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torchmetrics import Metric

from lidar2d.data.card import Card
from lidar2d.errors import UsageError, within
from lidar2d.frame import Batch, Survey
from lidar2d.metrics.nuscenes_score import (
    ATTRIBUTES,
    BOX,
    CLASSES,
    COLUMNS,
    HITS,
    MOST,
    POSE,
    RACK,
    NuScenesScore,
    must_have_devkit,
)
from lidar2d.tasks.centres import Area, CentreHead, Centres

_SPEED = 0.2  # weight of the loss of velocities
_MOVES = 0.2  # m/s from which on something moves

# what boxes of a class do most of the time while they stand, and while they move; cones and barriers do nothing
_USUAL = {
    **dict.fromkeys(("car", "construction_vehicle", "trailer", "truck"), ("vehicle.parked", "vehicle.moving")),
    **dict.fromkeys(("bicycle", "motorcycle"), ("cycle.without_rider", "cycle.with_rider")),
    "bus": ("vehicle.stopped", "vehicle.moving"),
    "pedestrian": ("pedestrian.standing", "pedestrian.moving"),
}


class NuScenesDetection(Centres):
    """Boxes of the ten classes with their velocities, by the official rules: NDS and mAP.

    Heads regress velocities, and learn no attribute: an answer has the one that is usual for its class, by whether it
    moves faster than 0.2 m/s. Boxes without a point of LiDAR or radar are not learnt, as they are not judged.

    Args:
        card: of the data set.
        area: that is looked at, in the LiDAR frame; 50 m around the car are judged.
        cell: metres: side of a cell of the grid.
        found: the most boxes of a frame that a head names, 500 at most.

    Raises:
        UsageError: if nuscenes-devkit is not installed.
    """

    headline: ClassVar[tuple[str, int]] = ("nds", 1)
    most: ClassVar[int] = 512

    def __init__(
        self, card: Card, area: Area = (-51.2, -51.2, 51.2, 51.2), cell: float = 0.8, found: int = 200
    ) -> None:
        if set(card.box_classes) != set(CLASSES):
            known = ", ".join(card.box_classes) or "no class"
            raise UsageError(f"nuScenes' benchmark is about {', '.join(CLASSES)}; boxes of {card.name} are of {known}")
        within(1, MOST, found=found)
        must_have_devkit()
        super().__init__(card, CLASSES, area, cell, found)
        self._usual = torch.tensor(
            [[ATTRIBUTES.index(name) for name in _USUAL[kind]] if kind in _USUAL else [-1, -1] for kind in CLASSES]
        )

    def head(self, channels: int) -> nn.Module:
        """Make a centre head that tells velocities as well."""
        return CentreHead(channels, len(CLASSES), more=2)

    def truth(self, batch: Batch) -> Tensor:
        """Return (B, 513, 24): boxes as x y z l w h yaw, class (-1 is none), velocity, and as the tables have them.

        The last row of a frame says where it is in the global frame.

        Raises:
            UsageError: if the frames have no boxes with velocities, or are not surveyed as nuScenes is; or more than
                512 boxes of one.
        """
        boxes, box_frame = self._boxes(batch)
        if boxes.velocity is None or not boxes.surveys:
            raise UsageError(
                f"boxes of {self.card.name} have no velocity or no place in a global frame; NDS needs both"
            )
        told = torch.cat([boxes.geometry, self._classes(boxes.classes)[:, None], boxes.velocity], 1).double()
        rows = told.new_full((len(batch), self.most + 1, COLUMNS), -1.0)
        for frame, (token, survey) in enumerate(zip(batch.tokens, boxes.surveys, strict=True)):
            own, racks = told[box_frame == frame], len(survey.racks)
            self._must_fit(len(own) + racks, token)
            rows[frame, : len(own), : BOX.start] = own
            rows[frame, : len(own), BOX.start :] = _surveyed(survey, token).to(rows)
            rows[frame, len(own) : len(own) + racks, 7] = RACK
            rows[frame, len(own) : len(own) + racks, BOX] = torch.from_numpy(survey.racks).to(rows)
            place = np.concatenate([survey.global_from_lidar[:3].ravel(), survey.ego])
            rows[frame, -1, POSE] = torch.from_numpy(place).to(rows)
        return rows

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return the loss of the boxes, and the distance of the velocities that are known."""
        loss = super().loss(output, truth)
        frame, boxes, row, column = self._placed(truth)
        told, wanted = output[frame, -2:, row, column], boxes[:, 8:10]
        known = wanted.isfinite().all(1)
        return loss + _SPEED * l1_loss(told[known], wanted[known]) if known.any() else loss

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, found, 12) x y z l w h yaw, class, score, velocity, attribute, the best first; the truth."""
        answers, _ = super().answer(output, truth)
        moves = (answers[..., 9:11].norm(dim=-1) > _MOVES).long()
        attribute = self._usual.to(moves.device)[answers[..., 7].long(), moves]
        return torch.cat([answers, attribute[..., None]], -1), truth

    def metric(self) -> Metric:
        """Make the benchmark's score."""
        return NuScenesScore()

    def _learnt(self, rows: Tensor) -> Tensor:
        return super()._learnt(rows) & (rows[..., HITS] > 0)


def _surveyed(survey: Survey, token: str) -> Tensor:
    """Return boxes (M, 14) as the tables have them: place, size and quaternion, velocity, attribute, points inside."""
    if strange := set(survey.attributes) - {*ATTRIBUTES, ""}:
        raise UsageError(f"a box of {token} is {min(strange)}; attributes of the benchmark are {', '.join(ATTRIBUTES)}")
    numbers = [ATTRIBUTES.index(name) if name else -1 for name in survey.attributes]
    return torch.from_numpy(np.column_stack([survey.boxes, survey.velocity, numbers, survey.hits]))
