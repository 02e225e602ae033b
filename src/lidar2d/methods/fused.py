"""Fine-tuning of image features by their consistency in space, without a 3D network: the baseline after FiT3D.

FiT3D (arXiv 2407.20229) fuses the features of many images in a scene of 3D Gaussians, renders them, and tunes the image
network to give what was rendered; ConDense (arXiv 2408.17027) does so with a radiance field. Here the LiDAR points are
the scene: what the frozen network sees of all points in one voxel, in whichever images, is averaged.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.losses.distill import Distance, distance
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import PAIRING, Pairing, Stage
from lidar2d.methods.selftaught import SelfTaught
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.nets.sparse import voxelise
from lidar2d.processes import mean_over_processes


class Fused(SelfTaught):
    """The image network learns to give each pixel the mean of its frozen copy's features over the pixel's voxel.

    Other arguments as in :class:`SelfTaught`.

    Args:
        voxel_size: metres.
        matches: pairs that are compared, sampled over the global batch; all of them are fused.
        pairing: which points are brought together with which pixels.
    """

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        tune: Stage,
        voxel_size: float = 0.5,
        distance: Distance = "mse",
        matches: int = 8192,
        pairing: Pairing = PAIRING,
    ) -> None:
        super().__init__(points, images, tune, distance)
        within(1e-3, 100, voxel_size=voxel_size)
        within(1, matches=matches)
        self.voxel_size = voxel_size
        self.matches = matches
        self.pairing = pairing

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the distance between what each pixel gives and what its voxel was seen as."""
        found = self.paired(batch)
        with torch.no_grad():
            seen = read(self.teacher(batch.images).float(), found, batch.image_size)
            if self.training:
                self.standardise.update(seen)
            places = batch.points[found.point, :3], batch.point_frame[found.point]
            voxels = voxelise(*places, (self.voxel_size,) * 3)
            drawn = sample(batch.view_frame[found.view], batch.seeds, self.matches)
            targets = voxels.mean(seen)[voxels.inverse[drawn]]
        given = read(self.images(batch.images).float(), found[drawn], batch.image_size)
        far = distance(self.standardise(given), self.standardise(targets), self.distance)
        return {"consistency": mean_over_processes(far)}
