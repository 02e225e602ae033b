"""Features fused in voxels, against a loop over pairs."""

import math

import pytest
import torch
from plain import make_frame

from lidar2d.frame import collate
from lidar2d.geometry import pairs
from lidar2d.methods.base import Stage
from lidar2d.methods.fused import Fused
from lidar2d.nets.encoder import read

STAGE = Stage(steps=5)


def slow_targets(method, batch) -> list[torch.Tensor]:
    """Mean of the teacher's features over the pairs of each voxel of each frame, pair after pair."""
    found = pairs(batch, 1.0)
    seen = read(method.teacher(batch.images), found, batch.image_size).double()
    cells: dict[tuple[int, ...], list[int]] = {}
    for row, point in enumerate(found.point.tolist()):
        place = [math.floor(x / method.voxel_size) for x in batch.points[point, :3].tolist()]
        cells.setdefault((int(batch.point_frame[point]), *place), []).append(row)
    targets = [torch.zeros(0)] * len(seen)
    for rows in cells.values():
        for row in rows:
            targets[row] = sum(seen[other] for other in rows) / len(rows)
    return targets


@pytest.mark.parametrize("voxel_size", [0.5, 3.0])
def test_the_loss_equals_its_slow_twin(encoders, batch, voxel_size):
    method = Fused(*encoders, tune=STAGE, voxel_size=voxel_size)
    torch.nn.init.normal_(method.images.conv.weight)  # apart from its frozen copy
    method.begin("tune", 1)
    loss = method.losses(batch)["consistency"]
    found = pairs(batch, 1.0)
    with torch.no_grad():
        seen = read(method.teacher(batch.images), found, batch.image_size).double()
        given = read(method.images(batch.images), found, batch.image_size).double()
        targets = torch.stack(slow_targets(method, batch))
        expected = ((given - targets) / seen.std(0, unbiased=False)).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert method.images.conv.weight.grad.abs().max() > 0
    assert method.teacher.conv.weight.grad is None


def test_a_network_that_sees_each_voxel_alike_has_nothing_to_learn(encoders):
    batch = collate([make_frame(0, views=1)])
    found = pairs(batch, 1.0)
    assert len(torch.unique(found.point)) == len(found) > 0  # a point is seen in one image,
    method = Fused(*encoders, tune=STAGE, voxel_size=1e-3)  # and has a voxel to itself
    assert method.losses(batch)["consistency"].item() == pytest.approx(0, abs=1e-9)


def test_without_a_pair_the_loss_is_nothing(encoders, batch):
    method = Fused(*encoders, tune=STAGE)
    batch.points[:, 0] -= 1000  # behind every camera
    assert method.losses(batch)["consistency"].item() == 0
