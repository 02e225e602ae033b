"""The ground plane seen from above: images lifted onto it, and points gathered on it, at the cells that are asked for.

The lift is that of Lift, Splat, Shoot (Philion and Fidler, ECCV 2020) with the camera-aware heads of BEVDepth (Li et
al., AAAI 2023), as HVDistill uses it (arXiv 2403.11817).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import SettingError, within
from lidar2d.frame import Batch
from lidar2d.geometry import unproject
from lidar2d.nets.norm import BatchNorm
from lidar2d.nets.sparse import Kernel, SparseTensor, StridedConv, voxelise

_MOST_CELLS, _MOST_BINS = 4096, 1024  # far beyond what any published recipe has


@dataclass(frozen=True)
class Ground:
    """Square cells around the sensor.

    Args:
        extent: metres from the sensor to the border, along x and along y.
        cell: metres.
        low: metres; what lies lower is not on it.
        high: metres; what lies higher is not on it.
    """

    extent: float = 51.2
    cell: float = 0.4
    low: float = -5.0
    high: float = 3.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(0.01, 10, cell=self.cell)
        within(self.cell, 1000, extent=self.extent)
        within(-1000, 1000, low=self.low, high=self.high)
        if self.high <= self.low:
            raise SettingError("high", self.high, f"it must lie above low, {self.low:g}")
        if self.across > _MOST_CELLS:
            raise SettingError("cell", self.cell, f"{self.across} cells across are too many; the most is {_MOST_CELLS}")

    @property
    def across(self) -> int:
        """Cells along x, and along y."""
        return round(2 * self.extent / self.cell)

    def cells(self, xyz: Tensor, frame: Tensor) -> Tensor:
        """Return the cell (...,) of points (..., 3) of frames (...,): x first, y next to it; -1 beside the ground."""
        place = ((xyz[..., :2] + self.extent) / self.cell).floor().long()
        inside = ((place >= 0) & (place < self.across)).all(-1) & (xyz[..., 2] >= self.low) & (xyz[..., 2] < self.high)
        index = (frame * self.across + place[..., 0]) * self.across + place[..., 1]
        return torch.where(inside, index, -1)


@dataclass(frozen=True)
class DepthBins:
    """Bins of equal width.

    Args:
        nearest: metres, where the first bin begins.
        farthest: metres, where the last bin ends.
        width: metres.
    """

    nearest: float = 1.0
    farthest: float = 60.0
    width: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(0, 1000, nearest=self.nearest, farthest=self.farthest)
        within(0.01, 100, width=self.width)
        if not 2 <= self.count <= _MOST_BINS:
            needs = f"from nearest to it there are {self.count} bins; there must be 2 to {_MOST_BINS}"
            raise SettingError("farthest", self.farthest, needs)

    @property
    def count(self) -> int:
        """Number of bins; 118 of HVDistill's."""
        return round((self.farthest - self.nearest) / self.width)

    def of(self, depth: Tensor) -> Tensor:
        """Return the bin of each depth, metres; -1 outside."""
        place = ((depth - self.nearest) / self.width).floor().long()
        return torch.where((place >= 0) & (place < self.count), place, -1)

    def starts(self, like: Tensor) -> Tensor:
        """Return where each bin begins (D,), metres."""
        return self.nearest + self.width * torch.arange(self.count, device=like.device, dtype=like.dtype)


GROUND, BINS = Ground(), DepthBins()


def frustum_cells(batch: Batch, ground: Ground, bins: DepthBins, size: tuple[int, int]) -> Tensor:
    """Return the cell (V, D, h, w) that each depth bin of each cell of the feature maps falls into, -1 if none.

    It honours every augmentation of images and points, because those are in the batch's K and T. A bin stands for
    where it begins, as published.

    Args:
        batch: with cameras.
        ground: the cells.
        bins: of depth.
        size: (h, w) of the feature maps, which cover the images from border to border.
    """
    height, width = size
    intrinsics = batch.intrinsics
    u = (torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5) * batch.image_size[1] / width
    v = (torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype) + 0.5) * batch.image_size[0] / height
    starts = bins.starts(intrinsics)
    depth, row, column = torch.meshgrid(starts, v, u, indexing="ij")
    pixels = torch.stack([column.flatten(), row.flatten()], dim=1).expand(len(intrinsics), -1, -1)
    xyz = unproject(pixels, depth.flatten().expand(len(intrinsics), -1), intrinsics, batch.cam_from_lidar)
    cells = ground.cells(xyz, batch.view_frame[:, None])
    return cells.view(len(intrinsics), len(starts), height, width)


def lift(context: Tensor, odds: Tensor, cells: Tensor, wanted: Tensor) -> Tensor:
    """Return the sum, at each wanted cell, of the context of the pixels that may lie there times the odds that they do.

    Only what falls into a wanted cell is computed, and never a product of depth and context: one fused weighted sum.

    Args:
        context: (V, C, h, w).
        odds: (V, D, h, w) over depth bins.
        cells: (V, D, h, w) of :func:`frustum_cells`.
        wanted: (M,) cells, ascending, each once.

    Returns:
        (M, C).
    """
    flat = cells.flatten()
    place = torch.searchsorted(wanted, flat).clamp_max(max(0, len(wanted) - 1))
    rows = torch.nonzero((wanted[place] == flat) & (flat >= 0))[:, 0] if len(wanted) else flat[:0]
    bag = place[rows]
    order = torch.argsort(bag, stable=True)
    rows, bag = rows[order], bag[order]
    bins, height, width = cells.shape[1:]
    pixel = rows // (bins * height * width) * (height * width) + rows % (height * width)
    offsets = torch.searchsorted(bag, torch.arange(len(wanted), device=bag.device))
    table = context.permute(0, 2, 3, 1).reshape(-1, context.shape[1])
    weights = odds.flatten()[rows].to(table.dtype)
    return F.embedding_bag(pixel, table, offsets, mode="sum", per_sample_weights=weights)


class CameraHeads(nn.Module):
    """Context and depth odds of each cell of the feature maps; both know the camera that looks.

    Args:
        channels: of the feature maps.
        out: channels of the context.
        bins: number of depth bins.
        width: channels inside.
    """

    def __init__(self, channels: int, out: int, bins: int, width: int = 256) -> None:
        super().__init__()
        # norms within an image: statistics over images would have to be those of all processes
        self.reduce = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), _norm(width), nn.ReLU())
        self.camera_norm = BatchNorm(_CAMERA)
        self.gate_context, self.gate_depth = _Gate(width), _Gate(width)
        self.context = nn.Conv2d(width, out, 1)
        self.depth = nn.Sequential(*(_Residual(width) for _ in range(3)), nn.Conv2d(width, bins, 1))

    def forward(self, maps: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return context (V, out, h, w) and depth odds (V, bins, h, w), which sum to one over the bins."""
        x = self.reduce(maps)
        camera = self.camera_norm(camera_vector(batch).to(x.dtype))
        context: Tensor = self.context(self.gate_context(x, camera))
        odds: Tensor = self.depth(self.gate_depth(x, camera)).float().softmax(1)
        return context, odds


_CAMERA = 18


def camera_vector(batch: Batch) -> Tensor:
    """Return what a camera is, (V, 18): two rows of K in units of the image, three rows of lidar_from_cam, metres.

    K holds the augmentation of the image and the pose that of the points, so no further matrices are needed.
    """
    height, width = batch.image_size
    scale = batch.intrinsics.new_tensor([[width], [height]])
    intrinsics = (batch.intrinsics[:, :2] / scale).flatten(1)
    pose = torch.linalg.inv(batch.cam_from_lidar)[:, :3].flatten(1)
    return torch.cat([intrinsics, pose], dim=1).float()


class _Gate(nn.Module):
    """Scale channels by what a camera is (squeeze and excite)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_CAMERA, width), nn.ReLU(), nn.Linear(width, width), nn.Sigmoid())

    def forward(self, x: Tensor, camera: Tensor) -> Tensor:
        gates: Tensor = self.mlp(camera)
        return x * gates[:, :, None, None]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            _norm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            _norm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(max(1, channels // 16), channels)


class GroundPoints(nn.Module):
    """Features of points, brought down to the cells of the ground by three strided convolutions (HVDistill's final_2).

    Args:
        channels: of the features, in and out.
        ground: whose cells are four of these voxels across, and whose height is eighty of them.
    """

    def __init__(self, channels: int, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self.voxel = ground.cell / 4, ground.cell / 4, (ground.high - ground.low) / 80
        # each voxel is read once; centred, as MinkowskiEngine places odd kernels, some would never be
        kernels = [Kernel(size, stride=size) for size in ((2, 2, 8), (2, 2, 5), (1, 1, 2))]
        self.convs = nn.ModuleList(StridedConv(channels, channels, kernel, bias=True) for kernel in kernels)
        self.norms = nn.ModuleList(BatchNorm(channels) for _ in kernels[1:])

    def forward(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return features (M, channels) and the cells (M,) that they are of, ascending, for features (P, channels)."""
        cells = self.ground.cells(batch.points[:, :3], batch.point_frame)
        on = cells >= 0
        # counted from the lowest corner, so that no cell is cut in two at height zero
        low = features.new_tensor([-self.ground.extent, -self.ground.extent, self.ground.low], dtype=torch.float32)
        size = low.new_tensor([2 * self.ground.extent, 2 * self.ground.extent, self.ground.high - self.ground.low])
        inside = torch.minimum(batch.points[on, :3] - low, size * (1 - 1e-6))  # a border rounds to the voxel beyond it
        voxels = voxelise(inside, batch.point_frame[on], self.voxel)
        x = SparseTensor(voxels.mean(features[on]), voxels.grid)
        for index, conv in enumerate(self.convs):
            x = conv(x)
            if index < len(self.norms):
                x = x.replace(self.norms[index](x.features))
        frame, column, row, _ = x.grid.coordinates.unbind(1)
        across = self.ground.across
        return x.features, (frame * across + column // 4) * across + row // 4
