"""VoxelNet: the sparse 3D backbone of SECOND-style detectors, read from above, with the names of its released weights.

Yan et al., SECOND (Sensors 2018); the channel plan and layer names are those of OpenPCDet's VoxelBackBone8x, the map
and how points read it are SLidR's.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.nets import sparse
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.norm import BatchNorm
from lidar2d.nets.sparse import Kernel, PointwiseConv, SparseTensor, StridedConv, SubmanifoldConv

# along x, y, z; metres
LOW = (-51.2, -51.2, -5.0)
VOXEL = (0.1, 0.1, 0.2)
SHAPE = (1024, 1024, 40)  # voxels
RADIUS = 51.2  # metres; points beyond it are not seen
MOST = 10  # points of a voxel that enter its mean
FOLD = 8  # voxels to a cell of the map

_HALVES = Kernel.centred(3, 2)
_HALVES_BUT_FLAT = Kernel((3, 3, 3), (2, 2, 2), padding=(1, 1, 0))
_FLATTENS = Kernel((1, 1, 3), (1, 1, 2))


class VoxelNet(PointEncoder):
    """A point's feature is read, bilinearly, from a map of 128 x 128 cells of 0.8 m around the sensor.

    Points beyond 51.2 m, or outside -5 to 3 m of height, are not seen, and read zero.

    Args:
        channels: of the features that come out; None leaves the last layer out.
        intensity_scale: intensity 0..1 times this enters the network; the published ones read nuScenes' 0..255.
        normalise: every voxel's feature has length one before the map is made, as published.
        weights: a file to begin from: of a run, or released by others (docs/weights.md); None begins at random.
        backend: the library that convolves; all give the same numbers.

    Raises:
        UsageError: if the backend's library is not installed or refuses this machine, or the weights do not fit.
    """

    def __init__(
        self,
        channels: int | None = 64,
        intensity_scale: float = 255.0,
        normalise: bool = True,
        weights: str | None = None,
        backend: sparse.Name = "torch",
    ) -> None:
        super().__init__()
        within(1, channels=channels)
        self.channels = channels or 128
        self.intensity_scale = intensity_scale
        self.normalise = normalise
        self.backend = sparse.named(backend)
        self.conv_input = _Block(SubmanifoldConv(4, 16), 16)
        self.conv1 = nn.Sequential(_Block(SubmanifoldConv(16, 16), 16))
        self.conv2 = _stage(16, 32, _HALVES)
        self.conv3 = _stage(32, 64, _HALVES)
        self.conv4 = _stage(64, 64, _HALVES_BUT_FLAT)
        self.conv_out = _Block(StridedConv(64, 128, _FLATTENS, spread=True), 128)
        self.final = PointwiseConv(128, channels) if channels else None
        if weights is not None:
            self.load(Path(weights))

    def settings(self) -> dict[str, object]:
        """Return how intensities enter, and whether voxels have length one."""
        return {"intensity_scale": self.intensity_scale, "normalise": self.normalise}

    def sees(self, points: Tensor) -> Tensor:
        """Tell which points (N, 4) lie within the radius and the voxels (N,)."""
        place = ((points[:, :3] - points.new_tensor(LOW)) / points.new_tensor(VOXEL)).floor()
        inside = ((place >= 0) & (place < place.new_tensor(SHAPE))).all(1)
        return inside & (points[:, :2].square().sum(1) <= RADIUS**2)

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows`` (P,), or of all points."""
        bev = self.bev(batch)
        points, frame = batch.points, batch.point_frame
        if rows is not None:
            points, frame = points[rows], frame[rows]
        return _read(bev, frame, points[:, :2]) * self.sees(points)[:, None]

    def from_above(self, batch: Batch, xy: Tensor) -> Tensor:
        """Return features (B, Q, channels) at places (Q, 2) on the ground, metres; beyond the radius they are zero."""
        frame = torch.arange(len(batch), device=xy.device).repeat_interleave(len(xy))
        near = xy.square().sum(1) <= RADIUS**2
        found = _read(self.bev(batch), frame, xy.repeat(len(batch), 1))
        return found.view(len(batch), len(xy), -1) * near[:, None]

    def bev(self, batch: Batch) -> Tensor:
        """Return the maps (B, channels, 128, 128): rows along y, columns along x, from -51.2 m on."""
        seen = self.sees(batch.points)
        points, frame = batch.points[seen], batch.point_frame[seen]
        voxels = sparse.voxelise(points[:, :3] - points.new_tensor(LOW), frame, VOXEL, SHAPE)
        values = torch.cat([points[:, :3], points[:, 3:4] * self.intensity_scale], dim=1)
        x = SparseTensor(voxels.mean(values, MOST), voxels.grid, self.backend)
        for part in (self.conv_input, self.conv1, self.conv2, self.conv3, self.conv4, self.conv_out, self.final):
            x = x if part is None else part(x)
        if self.normalise:
            x = x.replace(F.normalize(x.features, dim=1))
        return sparse.to_bev(x, len(batch))


def _read(bev: Tensor, frame: Tensor, xy: Tensor) -> Tensor:
    """Read maps (B, channels, 128, 128) at places (P, 2), metres, of frames (P,)."""
    low, size = xy.new_tensor(LOW[:2]), xy.new_tensor(VOXEL[:2])
    return sparse.read_bev(bev, frame, (xy - low) / size / FOLD)


class _Block(nn.Sequential):
    """A convolution, a batch norm and a ReLU, numbered as in OpenPCDet."""

    def __init__(self, conv: SubmanifoldConv | StridedConv, channels: int) -> None:
        super().__init__(conv, BatchNorm(channels, eps=1e-3, momentum=0.01))

    def forward(self, x: SparseTensor) -> SparseTensor:
        conv, norm = self
        x = conv(x)
        return x.replace(F.relu_(norm(x.features)))


def _stage(channels: int, out: int, down: Kernel) -> nn.Sequential:
    return nn.Sequential(
        _Block(StridedConv(channels, out, down, spread=True), out),
        _Block(SubmanifoldConv(out, out), out),
        _Block(SubmanifoldConv(out, out), out),
    )
