"""PPKT: a 3D network learns from a frozen image network by point-pixel contrast (arXiv 2104.04687)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.geometry import ZBuffer, pairs
from lidar2d.losses.contrast import info_nce
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import Method, Stage, require_pairs
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read


class PPKT(Method):
    """Each sampled point finds its own pixel among all sampled pixels, in a shared space of ``dim`` channels.

    Args:
        points: the student.
        images: the teacher; frozen.
        pretrain: the one stage.
        dim: channels of the shared space.
        temperature: τ of the contrast.
        matches: pairs sampled over the global batch; all of them where there are fewer.
        min_depth: metres; nearer points are not paired.
        zbuffer: leave hidden points out; None pairs them, as the published code does.
    """

    student: ClassVar[Literal["points", "images"]] = "points"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        pretrain: Stage,
        dim: int = 64,
        temperature: float = 0.07,
        matches: int = 4096,
        min_depth: float = 1.0,
        zbuffer: ZBuffer | None = None,
    ) -> None:
        super().__init__(points, images)
        within(1, dim=dim)
        within(2, matches=matches)  # a pair is told from others
        within(1e-3, temperature=temperature)
        within(0, min_depth=min_depth)
        self.pretrain = pretrain
        self.temperature = temperature
        self.matches = matches
        self.min_depth = min_depth
        self.zbuffer = zbuffer
        self.point_head = nn.Linear(points.channels, dim)
        self.image_head = nn.Linear(images.channels, dim)  # 1x1: larger kernels leak context (SLidR)

    def stages(self) -> dict[str, Stage]:
        """Return the one stage."""
        return {"pretrain": self.pretrain}

    def trained(self) -> list[nn.Module]:
        """Return the 3D network and both heads."""
        return [self.points, self.point_head, self.image_head]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast the sampled points with their pixels, eq. (1)."""
        found = pairs(batch, self.min_depth, self.zbuffer)
        require_pairs(found, batch)
        found = found[sample(batch.view_frame[found.view], batch.seeds, self.matches)]
        with torch.no_grad():
            pixel_features = read(self.images(batch.images), found, batch.image_size)
        anchors = normalize(self.point_head(self.points(batch, found.point)).float(), dim=-1)
        positives = normalize(self.image_head(pixel_features).float(), dim=-1)
        return {"contrast": info_nce(anchors, positives, self.temperature)}
