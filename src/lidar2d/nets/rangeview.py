"""RangeView: a light network that sees a LiDAR sweep as a panorama of ranges. Trains in minutes on a CPU."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import SettingError, within
from lidar2d.frame import Batch
from lidar2d.nets.encoder import PointEncoder

# metres that make 1: of range and of height fine steps matter, of x and y only the place in the street
_RANGE = 8.0
_PLACE = 25.0
_HEIGHT = 1.0
_APART = 3.0  # degrees; an elevation span that far from the sensor's wastes rows or crowds the outermost
_CELL_CHANNELS = 6  # range, x, y, z, intensity, validity
_POINT_CHANNELS = 6  # range difference to the cell, x, y, z, range, intensity


def cells_of(xyz: Tensor, rows: int, columns: int, elevation: tuple[float, float]) -> Tensor:
    """Return the cell (N,) int64, row * columns + column, in which each point (N, 3) lies.

    Row 0 is the top of the elevation span (degrees) and column 0 lies behind the sensor, at azimuth -180 degrees;
    points above or below the span fall into the outermost rows.
    """
    low, high = elevation
    azimuth = torch.atan2(xyz[:, 1], xyz[:, 0])
    angle = torch.rad2deg(torch.atan2(xyz[:, 2], xyz[:, :2].norm(dim=1)))
    column = ((azimuth + math.pi) * (columns / (2 * math.pi))).long().clamp(0, columns - 1)
    row = ((high - angle) * (rows / (high - low))).floor().long().clamp(0, rows - 1)
    return row * columns + column


def nearest_points(cell: Tensor, distance: Tensor, cells: int) -> Tensor:
    """Return for each cell its nearest point (cells,), the lower index among equals, and N where it is empty."""
    count = len(cell)
    least = distance.new_full((cells,), torch.inf).scatter_reduce(0, cell, distance, "amin")
    index = torch.arange(count, device=cell.device)
    # minima do not depend on the order of the points, so this is the same on every device
    contender = torch.where(distance == least[cell], index, count)
    return torch.full((cells,), count, device=cell.device).scatter_reduce(0, cell, contender, "amin")


class _Conv(nn.Module):
    """A 3x3 convolution, GroupNorm and ReLU; the panorama closes on itself in azimuth."""

    def __init__(self, channels: int, out: int, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, stride=stride, padding=(1, 0), bias=False)
        self.norm = nn.GroupNorm(max(1, out // 16), out)

    def forward(self, x: Tensor) -> Tensor:
        around = torch.cat([x[..., -1:], x, x[..., :1]], dim=-1)
        return F.relu(self.norm(self.conv(around)))


class _Block(nn.Module):
    """Two convolutions around a short cut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Conv(channels, channels)
        self.second = _Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        second: Tensor = self.second(self.first(x))
        return x + second


class RangeView(PointEncoder):
    """A U-Net on the range image, and a small network on each point so that points of one cell differ.

    Works for any LiDAR: points outside the elevation span fall into the border rows.

    Args:
        channels: of the features that come out; None leaves the last layer out.
        width: channels of the finest level; deeper ones have two, four and eight times as many.
        rows: of the range image; about the number of beams.
        columns: of the range image, over 360 degrees; a multiple of 16.
        elevation: degrees, lowest and highest beam with half a beam's margin.
        hidden: width of the network on each point.
        weights: a file to begin from: of a run, or released by others (docs/weights.md); None begins at random.

    Raises:
        UsageError: if the weights do not fit.
    """

    head = "out."

    def __init__(
        self,
        channels: int | None = 64,
        width: int = 16,
        rows: int = 32,
        columns: int = 480,
        elevation: tuple[float, float] = (-31.0, 11.0),
        hidden: int = 64,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        within(1, channels=channels, width=width, hidden=hidden)
        within(4, 1024, rows=rows)
        within(16, 16384, columns=columns)
        if rows % 4:
            raise SettingError("rows", rows, "it must be a multiple of 4")
        if columns % 16:
            raise SettingError("columns", columns, "it must be a multiple of 16")
        if not elevation[0] < elevation[1]:
            raise SettingError("elevation", elevation, "it must be [lowest, highest], in degrees")
        self.channels = channels or hidden
        self.rows, self.columns, self.elevation = rows, columns, elevation
        sizes = (width, 2 * width, 4 * width, 8 * width)
        self.stem = _Conv(_CELL_CHANNELS, width)
        # azimuth is sampled more finely than elevation, so it is halved first
        self.down = nn.ModuleList(
            nn.Sequential(_Conv(below, above, stride), _Block(above))
            for below, above, stride in zip(sizes[:-1], sizes[1:], ((1, 2), (2, 2), (2, 2)), strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(above, below, 1) for below, above in itertools.pairwise(sizes))
        self.mend = nn.ModuleList(_Conv(size, size) for size in sizes[:-1])
        self.cell = nn.Linear(width, hidden)
        self.point = nn.Linear(_POINT_CHANNELS, hidden)
        self.out = nn.Linear(hidden, channels) if channels else nn.Identity()
        if weights is not None:
            self.load(Path(weights))

    def settings(self) -> dict[str, object]:
        """Return the panorama that the weights were trained on."""
        return {"rows": self.rows, "columns": self.columns, "elevation": self.elevation}

    def advice(self, beams: int, elevation: tuple[float, float]) -> str:
        """Say how to fit the panorama to a sensor, or nothing if it does."""
        apart = max(abs(mine - its) for mine, its in zip(self.elevation, elevation, strict=True))
        if apart < _APART and self.rows == beams:
            return ""
        low, high = elevation
        mine = f"{self.rows} rows from {self.elevation[0]:g} to {self.elevation[1]:g} degrees"
        fits = f"--method.points.rows {beams} --method.points.elevation [{low:g},{high:g}] fits it"
        return f"{mine}, for a sensor of {beams} beams from {low:g} to {high:g}; {fits}"

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows``, or of all."""
        xyz, intensity = batch.points[:, :3], batch.points[:, 3:4]
        distance = xyz.norm(dim=1)
        size = self.rows * self.columns
        cell = batch.point_frame * size + cells_of(xyz, self.rows, self.columns, self.elevation)
        nearest = nearest_points(cell, distance, len(batch) * size)
        own = torch.cat([_scaled(xyz, distance), intensity], dim=1)

        # one row more, all zero: what an empty cell holds
        filled = F.pad(torch.cat([own, torch.ones_like(intensity)], dim=1), (0, 0, 0, 1))
        image = filled[nearest].view(len(batch), self.rows, self.columns, _CELL_CHANNELS).permute(0, 3, 1, 2)
        seen = self._panorama(image).permute(0, 2, 3, 1).flatten(0, 2)

        behind = (distance - distance[nearest[cell]])[:, None]  # metres; 0 for the point that the image shows
        beside = torch.cat([behind, own], dim=1)
        if rows is not None:
            cell, beside = cell[rows], beside[rows]
        # in place: these are the largest tensors here, and on a CPU making them costs as much as filling them
        inner = self.cell(seen.index_select(0, cell)).add_(self.point(beside))
        features: Tensor = self.out(F.relu_(inner))
        return features

    def _panorama(self, image: Tensor) -> Tensor:
        levels: list[Tensor] = [self.stem(image)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up, mend, level in zip(reversed(self.up), reversed(self.mend), reversed(levels), strict=True):
            x = mend(level + F.interpolate(up(x), size=level.shape[-2:], mode="nearest"))
        return x


def _scaled(xyz: Tensor, distance: Tensor) -> Tensor:
    return torch.cat([distance[:, None] / _RANGE, xyz[:, :2] / _PLACE, xyz[:, 2:] / _HEIGHT], dim=1)
