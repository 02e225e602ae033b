"""3D detection from above: a centre head over point features that are gathered into a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, max_pool2d
from torchmetrics import Metric

from lidar2d.data.card import Card
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch
from lidar2d.geometry import points_in_boxes
from lidar2d.losses.centres import focal, gaussian_radius, heat
from lidar2d.metrics.kitti import NEVER, Found, Truth, curves
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.task import Task

MOST = 128  # boxes of a frame
_REGRESSED = 8  # offset of the centre along x and y in cells, z, log of three sides in metres, sine and cosine of yaw
_START = -2.19  # logit of 0.1, so that the first maps say: hardly anything


class CentreHead(nn.Module):
    """Two layers of 3x3 convolutions, and from them a heat map of each class and eight numbers of a box in each cell.

    Args:
        channels: of the features.
        classes: of the boxes.
        width: of the two layers.
    """

    def __init__(self, channels: int, classes: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (channels, width):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Conv2d(width, classes + _REGRESSED, 1)
        nn.init.constant_(self.out.bias[:classes], _START)  # type: ignore[index]

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, classes + 8, H, W) of maps (B, C, H, W)."""
        found: Tensor = self.out(self.trunk(features))
        return found


class Detection(Task):
    """Boxes of the card's classes, seen by the points inside of a square around the car.

    Args:
        card: of the data set.
        overlap: that a hit needs in space, by class; classes without one are not looked for.
        reach: metres: half of the side of the square.
        cell: metres: side of a cell of the grid.
        fewest: points that a box must hold to be counted; others are neither hits nor mistakes.
        found: the most boxes of a frame that a head names.
    """

    headline: ClassVar[tuple[str, int]] = ("ap3d", 1)
    reads: ClassVar[Literal["points", "images"]] = "points"

    def __init__(
        self,
        card: Card,
        overlap: Mapping[str, float],
        reach: float = 51.2,
        cell: float = 0.8,
        fewest: int = 5,
        found: int = 100,
    ) -> None:
        super().__init__(card)
        within(1, 1000, reach=reach)
        within(0.05, 10, cell=cell)
        within(1e-3, 1, overlap=overlap.values())
        within(0, fewest=fewest)
        within(1, 1000, found=found)
        if strange := [name for name in overlap if name not in card.box_classes]:
            known = ", ".join(card.box_classes) or "no class"
            raise SettingError("overlap", strange[0], f"boxes of {card.name} are of {known}")
        self.overlap = dict(overlap)
        self.reach, self.cell, self.fewest, self.found = reach, cell, fewest, found
        self.side = round(2 * reach / cell)
        self._class = torch.full((len(card.box_classes) + 1,), -1)
        for row, name in enumerate(overlap):
            self._class[card.box_classes.index(name)] = row

    def truth(self, batch: Batch) -> Tensor:
        """Return (B, 128, 9): boxes as x y z l w h yaw, class (-1 is none), and 1 where enough points lie inside.

        Raises:
            UsageError: if the frames have no boxes, or more than 128 of one.
        """
        if batch.boxes is None or batch.box_frame is None:
            raise UsageError(f"{self.card.name} has no boxes")
        rows = torch.full((len(batch), MOST, 9), -1.0, dtype=torch.float64)
        for frame in range(len(batch)):
            own = batch.box_frame == frame
            geometry, classes = batch.boxes.geometry[own].double(), self._class[batch.boxes.classes[own]]
            inside = points_in_boxes(batch.points[batch.point_frame == frame, :3].double(), geometry).sum(1)
            kept = (classes >= 0) & (geometry[:, :2].abs() < self.reach).all(1)
            if int(kept.sum()) > MOST:
                raise UsageError(f"{batch.tokens[frame]} has {int(kept.sum())} boxes; {MOST} is the most")
            counted = (inside >= self.fewest).double()
            rows[frame, : int(kept.sum())] = torch.cat([geometry, classes[:, None], counted[:, None]], 1)[kept]
        return rows

    def head(self, channels: int) -> nn.Module:
        """Make a centre head."""
        return CentreHead(channels, len(self.overlap))

    def features(self, encoder: PointEncoder | ImageEncoder, batch: Batch) -> Tensor:
        """Return the points' features, gathered from above."""
        return self.gather(super().features(encoder, batch), batch)

    def gather(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the mean feature (B, C, H, W) of the points in each cell; rows go along x, columns along y."""
        cell = ((batch.points[:, :2] + self.reach) / self.cell).floor().long()
        inside = ((cell >= 0) & (cell < self.side)).all(1)
        index = (batch.point_frame * self.side + cell[:, 0]) * self.side + cell[:, 1]
        count = len(batch) * self.side * self.side
        total = features.new_zeros(count, features.shape[1]).index_add(0, index[inside], features[inside])
        number = torch.bincount(index[inside], minlength=count).clamp_min(1)
        return (total / number[:, None]).view(len(batch), self.side, self.side, -1).permute(0, 3, 1, 2)

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return the focal loss of the heat maps, and the distance of the boxes at their centres."""
        classes = len(self.overlap)
        target = torch.stack([self._heat(rows) for rows in truth])
        loss = focal(output[:, :classes], target)
        frame, place = (truth[..., 7] >= 0).nonzero(as_tuple=True)
        if not len(frame):
            return loss
        boxes = truth[frame, place].float()
        row, column = self._cells(boxes)
        return loss + l1_loss(output[frame, classes:, row, column], self._encoded(boxes, row, column))

    def metric(self) -> Metric:
        """Make the average precision of each class."""
        return AveragePrecision(self.overlap)

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, found, 9) as x y z l w h yaw, class, score, the best first, and the truth."""
        return torch.stack([self._decoded(maps) for maps in output]), truth

    def _cells(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        cell = ((boxes[:, :2] + self.reach) / self.cell).floor().long().clamp(0, self.side - 1)
        return cell[:, 0], cell[:, 1]

    def _heat(self, rows: Tensor) -> Tensor:
        """Paint the heat maps (classes, H, W) of one frame's boxes (128, 9)."""
        maps = []
        for number in range(len(self.overlap)):
            boxes = rows[rows[:, 7] == number].float()
            radius = gaussian_radius(boxes[:, 3] / self.cell, boxes[:, 4] / self.cell).clamp_min(1).floor()
            maps.append(heat(*self._cells(boxes), radius, (self.side, self.side)))
        return torch.stack(maps)

    def _encoded(self, boxes: Tensor, row: Tensor, column: Tensor) -> Tensor:
        place = (boxes[:, :2] + self.reach) / self.cell - torch.stack([row, column], 1)
        return torch.cat([place, boxes[:, 2:3], boxes[:, 3:6].log(), boxes[:, 6:7].sin(), boxes[:, 6:7].cos()], 1)

    def _decoded(self, maps: Tensor) -> Tensor:
        """Return the best boxes (found, 9) of one frame's maps; a cell beside a better one of its class names none."""
        classes = len(self.overlap)
        odds = maps[:classes].sigmoid()
        odds = torch.where(max_pool2d(odds[None], 3, 1, 1)[0] == odds, odds, 0.0)
        score, index = odds.flatten().topk(min(self.found, odds.numel()))
        number, place = index // self.side**2, index % self.side**2
        row, column = place // self.side, place % self.side
        at = maps[classes:, row, column].T
        xy = (torch.stack([row, column], 1) + at[:, :2]) * self.cell - self.reach
        yaw = torch.atan2(at[:, 6], at[:, 7])
        box = torch.cat([xy, at[:, 2:3], at[:, 3:6].clamp(-5, 5).exp(), yaw[:, None]], 1)
        return torch.cat([box, number[:, None].float(), score[:, None]], 1).double()


class AveragePrecision(Metric):
    """Average precision over 40 places of recall of each class, in space and from above, in percent.

    Answers are matched as KITTI's benchmark does; precision is interpolated, so that few boxes do not lower it.

    Args:
        overlap: that a hit needs, by class.
    """

    full_state_update = False

    def __init__(self, overlap: Mapping[str, float]) -> None:
        super().__init__()
        self.overlap = dict(overlap)
        self.add_state("boxes", [], dist_reduce_fx="cat")
        self.add_state("answers", [], dist_reduce_fx="cat")
        self.boxes: list[Tensor] | Tensor
        self.answers: list[Tensor] | Tensor

    def update(self, answers: Tensor, truth: Tensor) -> None:
        """Add frames: answers (B, N, 9) and boxes (B, M, 9), as :class:`Detection` gives them."""
        assert isinstance(self.boxes, list)
        assert isinstance(self.answers, list)
        self.answers.append(answers.double())
        self.boxes.append(truth.double())

    def compute(self) -> dict[str, float]:
        """Return ``ap3d/CLASS`` and ``apbev/CLASS``, and their means over the classes."""
        boxes, answers = (_joined(state) for state in (self.boxes, self.answers))
        frames = len(boxes)
        truths, founds = [], []
        for frame in range(frames):
            own = boxes[frame][boxes[frame][:, 7] >= 0]
            levels = torch.where(own[:, 8] > 0, 0, NEVER)
            truths.append(Truth(own[:, :7], own[:, 7].long(), levels))
            named = answers[frame]
            founds.append(Found(named[:, :7], named[:, 7].long(), named[:, 8], torch.full((len(named),), torch.inf)))
        made = curves(truths, founds, list(self.overlap.values()), sampled=False)
        found = {
            f"ap{kind}/{name}": made[row, kind][0].r40
            for kind in ("3d", "bev")
            for row, name in enumerate(self.overlap)
        }
        for kind in ("3d", "bev"):
            found[f"ap{kind}"] = sum(found[f"ap{kind}/{name}"] for name in self.overlap) / len(self.overlap)
        return found


def _joined(state: list[Tensor] | Tensor) -> Tensor:
    """Return a state's rows, as it is before and after processes have shared it."""
    if isinstance(state, Tensor):
        return state
    return torch.cat(state) if state else torch.zeros(0, 0, 9)
