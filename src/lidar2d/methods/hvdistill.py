"""HVDistill: contrast of superpixels in the image plane and of cells seen from above (arXiv 2403.11817)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from lidar2d.errors import within
from lidar2d.frame import Annotation, Batch, Pairs
from lidar2d.geometry import depth_map
from lidar2d.losses.contrast import info_nce
from lidar2d.losses.depth import depth_loss
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import PAIRING, Pairing, Stage
from lidar2d.methods.family import ALL, ImageToPoint, unit
from lidar2d.nets.bev import BINS, GROUND, CameraHeads, DepthBins, Ground, GroundPoints, frustum_cells, lift
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


class HVDistill(ImageToPoint):
    """SLidR's contrast, the same between cells of the ground, and the depth of pixels, learnt from points.

    Other arguments as in :class:`ImageToPoint`.

    Args:
        ground: the cells.
        bins: depths at which a pixel may lie.
        cells: cells of the ground that are contrasted, drawn over the global batch among those that hold a point and
            lie in some camera's view.
        width: channels inside the camera's heads.
        plane_weight: of the contrast of superpixels; the released code's β.
        ground_weight: of the contrast of cells; its α.
        depth_weight: of the depth; its η.
    """

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        ground: Ground = GROUND,
        bins: DepthBins = BINS,
        dim: int = 64,
        temperature: float = 0.07,
        cells: int = 4096,
        width: int = 256,
        plane_weight: float = 1.0,
        ground_weight: float = 0.25,
        depth_weight: float = 60.0,
        pairing: Pairing = PAIRING,
        align_corners: bool = True,
    ) -> None:
        super().__init__(points, images, pretrain, dim, temperature, ALL, pairing, align_corners)
        within(2, cells=cells)
        within(1, width=width)
        within(0, plane_weight=plane_weight, ground_weight=ground_weight, depth_weight=depth_weight)
        self.ground, self.bins, self.cells = ground, bins, cells
        self.plane_weight, self.ground_weight, self.depth_weight = plane_weight, ground_weight, depth_weight
        self.camera_heads = CameraHeads(images.channels, dim, bins.count, width)
        self.ground_points = GroundPoints(dim, ground)

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and all heads."""
        return [*super().trained(), self.camera_heads, self.ground_points]

    def wants(self) -> frozenset[Annotation]:
        """Return superpixels."""
        return frozenset({"regions"})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast superpixels and cells, and learn depth."""
        found, maps = self.paired(batch), self.teach(batch)
        features = self.points(batch)
        context, odds = self.camera_heads(maps, batch)
        plane = self.superpixel_contrast(features[found.point], maps, found, batch)
        return {
            "plane": self.plane_weight * plane,
            "ground": self.ground_weight * self._ground(features, context, odds, batch),
            "depth": self.depth_weight * self._depth(found, odds, batch),
        }

    def _ground(self, features: Tensor, context: Tensor, odds: Tensor, batch: Batch) -> Tensor:
        rows, cells = self.ground_points(unit(self.point_head(features)), batch)
        frustum = frustum_cells(batch, self.ground, self.bins, (odds.shape[2], odds.shape[3]))
        seen = torch.isin(cells, torch.unique(frustum))
        rows, cells = rows[seen], cells[seen]
        drawn = sample(cells // self.ground.across**2, batch.seeds, self.cells)
        lifted = lift(context.float(), odds, frustum, cells[drawn])
        return info_nce(unit(rows[drawn]), unit(lifted), self.temperature)

    def _depth(self, found: Pairs, odds: Tensor, batch: Batch) -> Tensor:
        """Hold the odds of each cell of the maps that shows a point against the nearest point's depth."""
        views, _, height, width = odds.shape
        scale = found.pixel.new_tensor([width / batch.image_size[1], height / batch.image_size[0]])
        nearest = depth_map(replace(found, pixel=found.pixel * scale), views, height, width)
        bins = self.bins.of(nearest)
        known = bins >= 0
        return depth_loss(odds.permute(0, 2, 3, 1)[known], bins[known])
