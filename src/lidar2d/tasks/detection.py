"""3D detection of boxes that enough points lie inside of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from lidar2d.data.card import Card
from lidar2d.errors import SettingError, within
from lidar2d.frame import Batch
from lidar2d.geometry import points_in_boxes
from lidar2d.metrics.framewise import Framewise, Judged
from lidar2d.metrics.kitti import NEVER, Found, Truth, curves, mixed
from lidar2d.tasks.centres import Centres


class Detection(Centres):
    """Boxes of the card's classes, seen by the points inside of a square around the car.

    Args:
        card: of the data set.
        overlap: that a hit needs in space, by class; classes without one are not looked for.
        reach: metres: half of the side of the square.
        cell: metres: side of a cell of the grid.
        fewest: points that a box must hold to be counted; others are neither hits nor mistakes.
        found: the most boxes of a frame that a head names.
        width: of the head's layers.
        dropout: of the head, for few labels.
    """

    headline: ClassVar[tuple[str, int]] = ("ap3d", 1)

    def __init__(
        self,
        card: Card,
        overlap: Mapping[str, float],
        reach: float = 51.2,
        cell: float = 0.8,
        fewest: int = 5,
        found: int = 100,
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        within(1, 1000, reach=reach)
        within(1e-3, 1, overlap=overlap.values())
        within(0, fewest=fewest)
        if strange := [name for name in overlap if name not in card.box_classes]:
            known = ", ".join(card.box_classes) or "no class"
            raise SettingError("overlap", strange[0], f"boxes of {card.name} are of {known}")
        super().__init__(card, tuple(overlap), (-reach, -reach, reach, reach), cell, found, width, dropout)
        self.overlap = dict(overlap)
        self.reach, self.fewest = reach, fewest

    def truth(self, batch: Batch) -> Tensor:
        """Return (B, 128, 9): boxes as x y z l w h yaw, class (-1 is none), and 1 where enough points lie inside.

        Raises:
            UsageError: if the frames have no boxes, or more than 128 of one.
        """
        boxes, box_frame = self._boxes(batch)
        rows = torch.full((len(batch), self.most, 9), -1.0, dtype=torch.float64, device=boxes.geometry.device)
        for frame in range(len(batch)):
            own = box_frame == frame
            geometry, classes = boxes.geometry[own].double(), self._classes(boxes.classes[own])
            if boxes.hits is None:
                inside = points_in_boxes(batch.points[batch.point_frame == frame, :3].double(), geometry).sum(1)
            else:
                inside = boxes.hits[own]
            kept = (classes >= 0) & (geometry[:, :2].abs() < self.reach).all(1)
            self._must_fit(int(kept.sum()), batch.tokens[frame])
            counted = (inside >= self.fewest).double()
            rows[frame, : int(kept.sum())] = torch.cat([geometry, classes[:, None], counted[:, None]], 1)[kept]
        return rows

    def metric(self) -> Metric:
        """Make the average precision of each class."""
        return AveragePrecision(self.overlap)


class AveragePrecision(Framewise):
    """Average precision over 40 places of recall of each class, in space and from above, in percent.

    Answers are matched as KITTI's benchmark does; precision is interpolated, so that few boxes do not lower it.

    Args:
        overlap: that a hit needs, by class.
    """

    def __init__(self, overlap: Mapping[str, float]) -> None:
        super().__init__(facts=0, box=9, answer=9)
        self.overlap = dict(overlap)

    def update(self, answers: Tensor, truth: Tensor) -> None:
        """Add frames: answers (B, N, 9) and boxes (B, M, 9), as :class:`Detection` gives them."""
        for named, boxes in zip(answers, truth, strict=True):
            self.keep(boxes.new_zeros(0), boxes[boxes[:, 7] >= 0], named)

    def compute(self) -> dict[str, float]:
        """Return ``ap3d/CLASS`` and ``apbev/CLASS``, and their means over the classes."""
        both = [_both(frame) for frame in self.kept()]
        made = curves(
            [truth for truth, _ in both], [found for _, found in both], list(self.overlap.values()), sampled=False
        )
        found = {
            f"ap{kind}/{name}": made[row, kind][0].r40
            for kind in ("3d", "bev")
            for row, name in enumerate(self.overlap)
        }
        for kind in ("3d", "bev"):
            found[f"ap{kind}"] = sum(found[f"ap{kind}/{name}"] for name in self.overlap) / len(self.overlap)
        return found

    def scores(self, scenes: Sequence[AveragePrecision], times: Tensor) -> Tensor:
        """Return ``ap3d`` (R,), 0 to 1, of S scenes that count so often (R, S)."""
        frames = [scene.kept() for scene in scenes]
        both = [_both(frame) for own in frames for frame in own]
        counted = times.repeat_interleave(torch.tensor([len(own) for own in frames]), dim=1).numpy()
        least = list(self.overlap.values())
        return torch.from_numpy(mixed([truth for truth, _ in both], [found for _, found in both], least, counted))


def _both(frame: Judged) -> tuple[Truth, Found]:
    own, named = frame.boxes, frame.answers
    return (
        Truth(own[:, :7], own[:, 7].long(), torch.where(own[:, 8] > 0, 0, NEVER)),
        Found(named[:, :7], named[:, 7].long(), named[:, 8], torch.full((len(named),), torch.inf)),
    )
