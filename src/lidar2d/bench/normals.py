"""3D awareness: does a feature tell how a surface is turned? Frozen features and nearest neighbours alone."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lidar2d.bench.neighbours import draw, fill
from lidar2d.bench.protocol import ALL, Protocol, Reads, Session, Splits, Verdict, by_condition
from lidar2d.data.card import Card
from lidar2d.data.descriptors import voxel_shape
from lidar2d.data.twins import scene_names
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame, collate
from lidar2d.geometry import ZBuffer, pairs
from lidar2d.metrics.angles import angle
from lidar2d.metrics.resampled import shares
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.tasks.kept import device_of

WITHIN = (11.25, 22.5, 30.0)  # degrees, as the field counts
_FLAT = 0.6  # of 1: how planar the points of a voxel are that tell a normal


class Normals(Protocol):
    """The angle between a surface's normal, as LiDAR measures it, and that of the nearest features of other scenes.

    Normals are those of the plane through the points of a voxel, where these lie in one, in the camera's axes and
    towards it. What is told is the mean direction of the nearest neighbours'.

    Args:
        neighbours: whose normals are averaged.
        bank: features of labelled frames, in all.
        rows: of each judged frame.
        voxel: metres.
    """

    def __init__(self, neighbours: int = 10, bank: int = 20000, rows: int = 512, voxel: float = 1.2) -> None:
        within(1, neighbours=neighbours, bank=bank, rows=rows)
        within(0.1, 10, voxel=voxel)
        self.neighbours, self.bank, self.rows, self.voxel = neighbours, bank, rows, voxel

    def reads(self, card: Card) -> Reads:  # noqa: ARG002 as of every data set
        """Return that images are read."""
        return "images"

    @torch.no_grad()
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Tell normals under each condition of the test frames.

        Raises:
            UsageError: if no surface is seen in an image.
        """
        assert isinstance(encoder, ImageEncoder)
        encoder = session.remembering(encoder.eval())
        test = splits.test

        def reader(frame: Frame) -> tuple[Tensor, Tensor]:
            return self._read(encoder, frame)

        bank = fill(splits.learn, reader, self.bank, session)
        errors: dict[str, list[Tensor]] = defaultdict(list)
        advance = session.progress("test", len(test))
        for row, condition in enumerate(test.conditions):
            frame = test[row]
            features, normals = reader(frame)
            drawn = draw(frame, len(features), self.rows, session.seed)
            _, found = bank.nearest(features[drawn], self.neighbours)
            told = normalize(bank.truth[found].sum(1), dim=1)
            off = angle(told, normals[drawn])
            for name in (condition, ALL):
                errors[name].append(off)
            advance()
        rows = by_condition(test)
        if not any(len(torch.cat(errors[name])) for name in rows):
            raise UsageError(f"{test.card.name}: no surface that LiDAR measures is seen in an image")
        scenes = scene_names(test)
        return [
            Verdict(
                *(name, summary(torch.cat(errors[name])), len(own), "none"),
                shares(
                    [scenes[row] for row in own],
                    [float((part < WITHIN[1]).sum()) for part in errors[name]],
                    [float(len(part)) for part in errors[name]],
                ),
            )
            for name, own in rows.items()
        ]

    def _read(self, encoder: ImageEncoder, frame: Frame) -> tuple[Tensor, Tensor]:
        """Return features (P, C) at the pixels of points on surfaces, and their normals (P, 3) in the camera's axes."""
        normal, flat = surface_normals(frame.points[:, :3], self.voxel)
        batch = collate([frame])
        found = pairs(batch, zbuffer=ZBuffer())
        found = found[flat[found.point]]
        turned = torch.einsum("pij,pj->pi", frame.cam_from_lidar[found.view, :3, :3].float(), normal[found.point])
        device = device_of(encoder)
        maps = encoder(frame.images.to(device)).float()
        return read(maps, found.to(device), batch.image_size), turned.to(device)


def surface_normals(xyz: Tensor, voxel: float) -> tuple[Tensor, Tensor]:
    """Return the normal (N, 3) at each point (N, 3), towards the sensor, and whether (N,) the points there lie flat."""
    shape, normal = voxel_shape(xyz.float(), voxel)
    towards = torch.where((normal * xyz.float()).sum(1, keepdim=True) > 0, -normal, normal)
    return towards, shape[:, 1] > _FLAT


def summary(errors: Tensor) -> dict[str, float]:
    """Return the percentage of errors (P,), degrees, within each bound, their mean and root mean square."""
    if not len(errors):
        return {}
    found = {f"within/{bound:g}deg": 100 * float((errors < bound).double().mean()) for bound in WITHIN}
    return {**found, "mean_angle": float(errors.mean()), "rms_angle": float(errors.square().mean().sqrt())}
