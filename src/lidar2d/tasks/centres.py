"""A centre head: boxes from above, in maps over point features that are gathered into a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, max_pool2d

from lidar2d.data.card import Card
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch, Boxes
from lidar2d.losses.centres import focal, gaussian_radius, heat
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.tasks.task import Task

Area = tuple[float, float, float, float]  # metres: x0, y0, x1, y1 of a rectangle on the ground

# offset of the centre along x and y in cells, z, log of three sides in metres, sine and cosine of twice the yaw, and
# the logit that the box looks backwards: many a box could look either way, and the mean of the two yaws is wrong
REGRESSED = 9
_BACKWARDS = 8  # place of that logit
_LOOKS = 0.2  # weight of its loss
_DISTANCE = 2.0  # weight of the loss of the others
_START = -2.19  # logit of 0.1, so that the first maps say: hardly anything


class CentreHead(nn.Module):
    """Three layers of ever wider 3x3 convolutions, and from them a heat map of each class and a box in each cell.

    The middle of a box is often a cell without points, so layers reach 7 cells to either side.

    Args:
        channels: of the features.
        classes: of the boxes.
        width: of the three layers.
        more: numbers of a box beside the nine.
        dropout: share of the features, and of the channels of the first two layers, that each step leaves out.
    """

    def __init__(self, channels: int, classes: int, width: int = 64, more: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, apart in ((channels, 1), (width, 2), (width, 4)):
            conv = nn.Conv2d(before, width, 3, padding=apart, dilation=apart, bias=False)
            layers += [nn.Dropout2d(dropout), conv, nn.BatchNorm2d(width), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Conv2d(width, classes + REGRESSED + more, 1)
        nn.init.constant_(self.out.bias[:classes], _START)  # type: ignore[index]

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, classes + 9 + more, H, W) of maps (B, C, H, W)."""
        found: Tensor = self.out(self.trunk(features))
        return found


class Centres(Task):
    """Boxes are looked for within an area on the ground, by their centres.

    The truth of a frame has a row a box, which begins with x y z l w h yaw and the class, -1 where there is none to
    learn; what else a row says, and which rows there are beside boxes, is the benchmark's.

    Args:
        card: of the data set.
        looked_for: classes of its boxes.
        area: that the grid covers, in the LiDAR frame.
        cell: metres: side of a cell of the grid.
        found: the most boxes of a frame that a head names.
        width: of the head's layers.
        dropout: of the head, for few labels.
    """

    reads: ClassVar[Literal["points", "images"]] = "points"
    most: ClassVar[int] = 128  # boxes of a frame

    def __init__(
        self,
        card: Card,
        looked_for: Sequence[str],
        area: Area,
        cell: float,
        found: int,
        width: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(card)
        within(1, width=width)
        within(0, 0.95, dropout=dropout)
        self.width, self.dropout = width, dropout
        within(-1000, 1000, area=area)
        within(0.05, 10, cell=cell)
        within(1, 1000, found=found)
        if not (area[0] < area[2] and area[1] < area[3]):
            raise SettingError("area", area, "it needs [x0, y0, x1, y1], each lower than its upper")
        self.looked_for = tuple(looked_for)
        self.area, self.cell, self.found = area, cell, found
        self.shape = round((area[2] - area[0]) / cell), round((area[3] - area[1]) / cell)
        self._class = torch.full((len(card.box_classes) + 1,), -1)
        for row, name in enumerate(self.looked_for):
            self._class[card.box_classes.index(name)] = row

    def head(self, channels: int) -> nn.Module:
        """Make a centre head."""
        return CentreHead(channels, len(self.looked_for), self.width, dropout=self.dropout)

    def features(self, encoder: PointEncoder | ImageEncoder, batch: Batch) -> Tensor:
        """Return the network's map of the ground, as detectors read it, or else the points' features gathered on it."""
        rows, columns = self.shape
        if isinstance(encoder, PointEncoder):
            cells = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).to(batch.points.device)
            mapped = encoder.from_above(batch, (cells + 0.5) * self.cell + self._corner(batch.points))
            if mapped is not None:
                return mapped.float().view(len(batch), rows, columns, -1).permute(0, 3, 1, 2)
        return self.gather(super().features(encoder, batch), batch)

    def gather(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the mean feature (B, C, H, W) of the points in each cell; rows go along x, columns along y."""
        rows, columns = self.shape
        row, column = ((batch.points[:, :2] - self._corner(batch.points)) / self.cell).floor().long().unbind(1)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        index = (batch.point_frame * rows + row) * columns + column
        count = len(batch) * rows * columns
        total = features.new_zeros(count, features.shape[1]).index_add(0, index[inside], features[inside])
        number = torch.bincount(index[inside], minlength=count).clamp_min(1)
        return (total / number[:, None]).view(len(batch), rows, columns, -1).permute(0, 3, 1, 2)

    def loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return the focal loss of the heat maps, and the distance of the boxes at their centres."""
        classes = len(self.looked_for)
        target = torch.stack([self._heat(rows) for rows in truth])
        loss = focal(output[:, :classes], target)
        frame, boxes, row, column = self._placed(truth)
        if not len(frame):
            return loss
        told = output[frame, classes : classes + REGRESSED, row, column]
        wanted = self._encoded(boxes, row, column)
        looks = binary_cross_entropy_with_logits(told[:, _BACKWARDS], wanted[:, _BACKWARDS])
        return loss + _DISTANCE * l1_loss(told[:, :_BACKWARDS], wanted[:, :_BACKWARDS]) + _LOOKS * looks

    def answer(self, output: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, found, 9) as x y z l w h yaw, class, score, the best first, and the truth."""
        return torch.stack([self._decoded(maps) for maps in output]), truth

    def _boxes(self, batch: Batch) -> tuple[Boxes, Tensor]:
        """Return the boxes of a batch, and the frame of each.

        Raises:
            UsageError: if it has none.
        """
        if batch.boxes is None or batch.box_frame is None:
            raise UsageError(f"{self.card.name} has no boxes")
        return batch.boxes, batch.box_frame

    def _must_fit(self, count: int, token: str) -> None:
        if count > self.most:
            raise UsageError(f"{token} has {count} boxes; {self.most} is the most")

    def _classes(self, classes: Tensor) -> Tensor:
        """Number the card's classes (M,) as the maps do, -1 where they are not looked for."""
        return self._class.to(classes.device)[classes]

    def _corner(self, like: Tensor) -> Tensor:
        return like.new_tensor(self.area[:2])

    def _learnt(self, rows: Tensor) -> Tensor:
        """Return a mask (...) of the rows (..., K) that are boxes to be found within the area."""
        xy = rows[..., :2]
        inside = (xy >= self._corner(rows)) & (xy < rows.new_tensor(self.area[2:]))
        return (rows[..., 7] >= 0) & inside.all(-1)

    def _placed(self, truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the frames (M,) of the boxes to be found, the boxes (M, K), and the row and column of their cells."""
        frame, place = self._learnt(truth).nonzero(as_tuple=True)
        boxes = truth[frame, place].float()
        return frame, boxes, *self._cells(boxes)

    def _cells(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        cell = ((boxes[:, :2] - self._corner(boxes)) / self.cell).floor().long()
        return cell[:, 0].clamp(0, self.shape[0] - 1), cell[:, 1].clamp(0, self.shape[1] - 1)

    def _heat(self, rows: Tensor) -> Tensor:
        """Paint the heat maps (classes, H, W) of one frame's boxes (M, K)."""
        maps = []
        learnt = self._learnt(rows)
        for number in range(len(self.looked_for)):
            boxes = rows[learnt & (rows[:, 7] == number)].float()
            radius = gaussian_radius(boxes[:, 3] / self.cell, boxes[:, 4] / self.cell).clamp_min(1).floor()
            maps.append(heat(*self._cells(boxes), radius, self.shape))
        return torch.stack(maps)

    def _encoded(self, boxes: Tensor, row: Tensor, column: Tensor) -> Tensor:
        place = (boxes[:, :2] - self._corner(boxes)) / self.cell - torch.stack([row, column], 1)
        yaw = boxes[:, 6:7]
        backwards = (yaw.cos() < 0).float()
        return torch.cat([place, boxes[:, 2:3], boxes[:, 3:6].log(), (2 * yaw).sin(), (2 * yaw).cos(), backwards], 1)

    def _decoded(self, maps: Tensor) -> Tensor:
        """Return the best boxes (found, 9) of one frame's maps, and what else is regressed.

        A cell beside a better one of its class names none.
        """
        classes, (rows, columns) = len(self.looked_for), self.shape
        odds = maps[:classes].sigmoid()
        odds = torch.where(max_pool2d(odds[None], 3, 1, 1)[0] == odds, odds, 0.0)
        score, index = odds.flatten().topk(min(self.found, odds.numel()))
        number, place = index // (rows * columns), index % (rows * columns)
        row, column = place // columns, place % columns
        at = maps[classes:, row, column].T
        xy = (torch.stack([row, column], 1) + at[:, :2]) * self.cell + self._corner(maps)
        yaw = torch.atan2(at[:, 6], at[:, 7]) / 2 + math.pi * (at[:, _BACKWARDS] > 0)
        yaw = torch.atan2(yaw.sin(), yaw.cos())
        box = torch.cat([xy, at[:, 2:3], at[:, 3:6].clamp(-5, 5).exp(), yaw[:, None]], 1)
        return torch.cat([box, number[:, None].float(), score[:, None], at[:, REGRESSED:]], 1).double()
