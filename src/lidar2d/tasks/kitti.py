"""3D detection as KITTI's object benchmark judges it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from lidar2d.data.card import Card
from lidar2d.errors import UsageError
from lidar2d.frame import Batch
from lidar2d.geometry import image_rectangles
from lidar2d.metrics.kitti import NEUTRAL, NEVER, OVERLAP, level
from lidar2d.metrics.kitti_precision import KittiPrecision
from lidar2d.tasks.centres import Area, Centres

_CAMERA = 2  # rows at the end of a frame's truth, of seven numbers each: K T (3, 4), height and width of the image


class KittiDetection(Centres):
    """Cars, pedestrians and cyclists that the left colour camera sees, by the official rules.

    A level counts boxes by what their labels say of the image: height, occlusion, truncation. Boxes of no level, vans
    for cars and sitting persons for pedestrians are neither hits nor mistakes. Answers are taken as a submission has
    them: those that fill no part of the image are dropped, and those lower in it than the level's least height are no
    mistakes. DontCare regions excuse nothing, as they excuse nothing officially in space and from above: they are of
    the benchmark of rectangles alone.

    Boxes beyond the area are misses; heads learn those within, and vans are background to them.

    Args:
        card: of the data set.
        area: that is looked at, in the LiDAR frame.
        cell: metres: side of a cell of the grid.
        found: the most boxes of a frame that a head names.
    """

    headline: ClassVar[tuple[str, int]] = ("ap3d/moderate", 1)

    def __init__(self, card: Card, area: Area = (0.0, -40.0, 70.4, 40.0), cell: float = 0.4, found: int = 100) -> None:
        if not set(OVERLAP) <= set(card.box_classes):
            known = ", ".join(card.box_classes) or "no class"
            raise UsageError(f"KITTI's benchmark is about {', '.join(OVERLAP)}; boxes of {card.name} are of {known}")
        super().__init__(card, tuple(OVERLAP), area, cell, found)
        self._judged = self._class.clone()
        for name, other in NEUTRAL.items():
            if name in card.box_classes:
                self._judged[card.box_classes.index(name)] = list(OVERLAP).index(other)

    def truth(self, batch: Batch) -> Tensor:
        """Return (B, 130, 10): boxes as x y z l w h yaw, class (-1 is none), level, class that it is judged among.

        The last two rows of a frame say how it is projected into its image.

        Raises:
            UsageError: if the frames have no boxes, or no labels of what the image shows of them; or more than 128
                boxes of one.
        """
        boxes, box_frame = self._boxes(batch)
        if boxes.seen is None:
            raise UsageError(f"boxes of {self.card.name} do not say how the image shows them; KITTI's levels need it")
        classes, judged = self._classes(boxes.classes), self._judged.to(boxes.classes.device)[boxes.classes]
        levels = torch.where(classes == judged, level(*boxes.seen.labelled.unbind(1)), NEVER)
        told = torch.cat([boxes.geometry.double(), torch.stack([classes, levels, judged], 1)], 1)
        rows = told.new_full((len(batch), self.most + _CAMERA, 10), -1.0)
        cameras = torch.cat([boxes.seen.image_from_lidar.flatten(1), boxes.seen.size.to(rows)], 1)
        rows[:, self.most :, :7] = cameras.view(-1, _CAMERA, 7)
        for frame, token in enumerate(batch.tokens):
            own = told[(box_frame == frame) & (judged >= 0)]
            self._must_fit(len(own), token)
            rows[frame, : len(own)] = own
        return rows

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the metric takes, the best answers first: (B, found, 10) and (B, 128, 9)."""
        answers, _ = super().answer(output, truth)
        found = []
        for rows, camera in zip(answers, truth[:, self.most :, :7].flatten(1), strict=True):
            height, width = camera[12:].tolist()
            left, top, right, bottom = image_rectangles(rows[:, :7], camera[:12].view(3, 4), (height, width)).unbind(1)
            seen = (right > left) & (bottom > top)
            number = torch.where(seen, rows[:, 7], -1.0)
            found.append(torch.cat([rows[:, :7], number[:, None], rows[:, 8:9], (bottom - top)[:, None]], 1))
        boxes = truth[:, : self.most]
        return torch.stack(found), torch.cat([boxes[..., :7], boxes[..., 9:], boxes[..., 8:9]], -1)

    def metric(self) -> Metric:
        """Make the benchmark's average precision."""
        return KittiPrecision()
