"""MinkUNet: the U-Net on voxels that this family of methods distils into, with the names of its released weights.

Choy et al., 4D Spatio-Temporal ConvNets (arXiv:1904.08755); the 34C variant as SLidR and its successors use it.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.errors import SettingError, within
from lidar2d.frame import Batch
from lidar2d.nets import sparse
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.norm import PointNorm
from lidar2d.nets.sparse import (
    InverseConv,
    PointwiseConv,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    cylindrical,
    voxelise,
)

_AZIMUTH_BIN = 1.0  # degrees, of cylindrical voxels


class BasicBlock(nn.Module):
    """Two convolutions of width 3 around a short cut."""

    def __init__(self, channels: int, out: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = SubmanifoldConv(channels, out)
        # the published networks hand their momentum to the short cut, not to these two, which keep 0.1
        self.norm1 = PointNorm(out)
        self.conv2 = SubmanifoldConv(out, out)
        self.norm2 = PointNorm(out)
        self.downsample = (
            None if channels == out else nn.Sequential(PointwiseConv(channels, out), PointNorm(out, momentum))
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve twice and add the input."""
        inner = self.conv1(x)
        inner = self.conv2(_activate(self.norm1, inner))
        short = x.features
        if self.downsample is not None:
            conv, norm = self.downsample
            short = norm(conv(x).features)
        return x.replace(F.relu_(self.norm2(inner.features).add_(short)))


class MinkUNet(PointEncoder):
    """A U-Net on sparse voxels; a point's feature is that of its voxel. The defaults make a small one.

    A voxel's input is the intensity of its first point, as in the published code.

    Args:
        channels: of the features that come out; None leaves the last layer out.
        stem: channels of the first convolution.
        planes: channels of the eight groups of blocks, four on the way down and four on the way up.
        layers: blocks in each of the eight groups.
        stem_width: of the first convolution's kernel, in voxels; odd.
        voxel_size: metres.
        cylindrical: voxels in (rho, phi, z), phi in bins of one degree, rather than in (x, y, z).
        intensity_scale: intensity 0..1 times this enters the network; the published ones read nuScenes' 0..255.
        bn_momentum: of the batch norms outside the blocks and in their short cuts.
        weights: a file to begin from: of a run, or released by others (docs/weights.md); None begins at random.
        backend: the library that convolves; all give the same numbers.
        height: metres above the sensor enter beside the intensity; the published networks have no such input.

    Raises:
        UsageError: if the backend's library is not installed or refuses this machine, or the weights do not fit.
    """

    def __init__(
        self,
        channels: int | None = 64,
        stem: int = 16,
        planes: tuple[int, int, int, int, int, int, int, int] = (16, 24, 32, 48, 48, 32, 32, 32),
        layers: tuple[int, int, int, int, int, int, int, int] = (1, 1, 1, 1, 1, 1, 1, 1),
        stem_width: int = 3,
        voxel_size: float = 0.1,
        cylindrical: bool = True,
        intensity_scale: float = 255.0,
        bn_momentum: float = 0.05,
        weights: str | None = None,
        backend: sparse.Name = "torch",
        height: bool = False,
    ) -> None:
        super().__init__()
        within(1, channels=channels, stem=stem, planes=planes, layers=layers)
        within(1, 9, stem_width=stem_width)
        within(1e-3, voxel_size=voxel_size)
        within(0, 1, bn_momentum=bn_momentum)
        if stem_width % 2 == 0:
            raise SettingError("stem_width", stem_width, "it must be odd")
        self.channels = channels or planes[7]
        self.voxel_size, self.cylindrical = voxel_size, cylindrical
        self.intensity_scale, self.height = intensity_scale, height
        self.backend = sparse.named(backend)

        def blocks(group: int, before: int) -> nn.Sequential:
            out = planes[group]
            sizes = [before] + [out] * (layers[group] - 1)
            return nn.Sequential(*(BasicBlock(size, out, bn_momentum) for size in sizes))

        def norm(size: int) -> PointNorm:
            return PointNorm(size, bn_momentum)

        # pXsY: at stride X, by a stride of Y; the names of the released weights
        self.conv0p1s1, self.bn0 = SubmanifoldConv(2 if height else 1, stem, stem_width), norm(stem)
        self.conv1p1s2, self.bn1, self.block1 = StridedConv(stem, stem), norm(stem), blocks(0, stem)
        self.conv2p2s2, self.bn2, self.block2 = StridedConv(planes[0], planes[0]), norm(planes[0]), blocks(1, planes[0])
        self.conv3p4s2, self.bn3, self.block3 = StridedConv(planes[1], planes[1]), norm(planes[1]), blocks(2, planes[1])
        self.conv4p8s2, self.bn4, self.block4 = StridedConv(planes[2], planes[2]), norm(planes[2]), blocks(3, planes[2])
        self.convtr4p16s2, self.bntr4 = InverseConv(planes[3], planes[4]), norm(planes[4])
        self.block5 = blocks(4, planes[4] + planes[2])
        self.convtr5p8s2, self.bntr5 = InverseConv(planes[4], planes[5]), norm(planes[5])
        self.block6 = blocks(5, planes[5] + planes[1])
        self.convtr6p4s2, self.bntr6 = InverseConv(planes[5], planes[6]), norm(planes[6])
        self.block7 = blocks(6, planes[6] + planes[0])
        self.convtr7p2s2, self.bntr7 = InverseConv(planes[6], planes[7]), norm(planes[7])
        self.block8 = blocks(7, planes[7] + stem)
        self.final = PointwiseConv(planes[7], channels, bias=True) if channels else None
        if weights is not None:
            self.load(Path(weights))

    def settings(self) -> dict[str, object]:
        """Return the voxels that the weights were trained on, and how intensities enter."""
        voxels = {"voxel_size": self.voxel_size, "cylindrical": self.cylindrical}
        return {**voxels, "intensity_scale": self.intensity_scale}

    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Return features (P, channels) of the points at ``rows``, or of all; not normalised."""
        xyz, intensity = batch.points[:, :3], batch.points[:, 3:4]
        second = _AZIMUTH_BIN if self.cylindrical else self.voxel_size
        voxels = voxelise(
            cylindrical(xyz) if self.cylindrical else xyz,
            batch.point_frame,
            (self.voxel_size, second, self.voxel_size),
        )
        inputs = intensity * self.intensity_scale
        if self.height:
            inputs = torch.cat([inputs, xyz[:, 2:]], 1)
        x = SparseTensor(voxels.of_first(inputs), voxels.grid, self.backend)
        return voxels.to_points(self._unet(x).features, rows)

    def _unet(self, x: SparseTensor) -> SparseTensor:
        one = _activate(self.bn0, self.conv0p1s1(x))
        two = self.block1(_activate(self.bn1, self.conv1p1s2(one)))
        four = self.block2(_activate(self.bn2, self.conv2p2s2(two)))
        eight = self.block3(_activate(self.bn3, self.conv3p4s2(four)))
        x = self.block4(_activate(self.bn4, self.conv4p8s2(eight)))
        x = self.block5(_beside(_activate(self.bntr4, self.convtr4p16s2(x, eight.grid)), eight))
        x = self.block6(_beside(_activate(self.bntr5, self.convtr5p8s2(x, four.grid)), four))
        x = self.block7(_beside(_activate(self.bntr6, self.convtr6p4s2(x, two.grid)), two))
        x = self.block8(_beside(_activate(self.bntr7, self.convtr7p2s2(x, one.grid)), one))
        return x if self.final is None else self.final(x)


class MinkUNet34C(MinkUNet):
    """The published 37.8 M network: arguments as in :class:`MinkUNet`."""

    def __init__(
        self,
        channels: int | None = 64,
        stem_width: int = 3,
        voxel_size: float = 0.1,
        cylindrical: bool = True,
        intensity_scale: float = 255.0,
        bn_momentum: float = 0.05,
        weights: str | None = None,
        backend: sparse.Name = "torch",
    ) -> None:
        super().__init__(
            channels,
            stem=32,
            planes=(32, 64, 128, 256, 256, 128, 96, 96),
            layers=(2, 3, 4, 6, 2, 2, 2, 2),
            stem_width=stem_width,
            voxel_size=voxel_size,
            cylindrical=cylindrical,
            intensity_scale=intensity_scale,
            bn_momentum=bn_momentum,
            weights=weights,
            backend=backend,
        )


def _activate(norm: PointNorm, x: SparseTensor) -> SparseTensor:
    return x.replace(F.relu_(norm(x.features)))


def _beside(x: SparseTensor, skip: SparseTensor) -> SparseTensor:
    return x.replace(torch.cat([x.features, skip.features], dim=1))
