"""Judges without training: an encoder that sees places finds them again, one that sees nothing does not."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lidar2d.bench.correspondence import Correspondence, recall
from lidar2d.bench.normals import Normals, summary, surface_normals
from lidar2d.bench.protocol import Session, Splits
from lidar2d.data.card import load_card
from lidar2d.errors import UsageError
from lidar2d.frame import Boxes, Frame, Pairs
from lidar2d.metrics.angles import angle
from lidar2d.metrics.rank import effective_rank, rank_me
from lidar2d.nets.encoder import ImageEncoder

SESSION = Session(0, lambda *_: lambda: None, Path("unused"))


class Wall:
    """Two frames of a wall ten metres ahead, seen by two cameras; every place on it has a colour of its own."""

    card, tokens, conditions = load_card("synthetic"), ["a", "b"], ["day", "day"]

    def __len__(self):
        return 2

    def following(self, index):
        motion = torch.eye(4, dtype=torch.float64)
        motion[0, 3] = -1
        return (1, motion) if index == 0 else None

    def __getitem__(self, index):
        distance = 10.0 - index  # the car came a metre nearer
        intrinsics = torch.tensor([[60.0, 0, 48], [0, 60, 32], [0, 0, 1]], dtype=torch.float64)
        axes = torch.tensor([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]], dtype=torch.float64)
        poses, images = [], []
        for shift in (0.0, 0.8):  # metres to the left
            pose = torch.eye(4, dtype=torch.float64)
            pose[:3, :3], pose[:3, 3] = axes, axes @ torch.tensor([0, -shift, 0], dtype=torch.float64)
            poses.append(pose)
            v, u = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(96) + 0.5, indexing="ij")
            y, z = shift - (u - 48) / 60 * distance, -(v - 32) / 60 * distance
            images.append(torch.stack([y / 20 + 0.5, z / 20 + 0.5, torch.zeros_like(y)]))
        y, z = torch.meshgrid(torch.linspace(-4, 4, 40), torch.linspace(-3, 3, 30), indexing="ij")
        points = torch.stack([torch.full_like(y, distance), y, z, y * 0], -1).flatten(0, 1)
        return Frame(
            points, torch.stack(images), intrinsics.expand(2, 3, 3), torch.stack(poses), token=self.tokens[index]
        )


class Places(ImageEncoder):
    """Features that are near each other where places are; or the same everywhere."""

    channels, stride = 3, 1

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return torch.cat([(images[:, :2] - 0.5) * self.factor, torch.full_like(images[:, :1], 0.3)], 1)


def judged(encoder, **settings):
    found = Correspondence(stride=1, **settings).judge(encoder, Splits(None, None, Wall()), SESSION)
    assert [verdict.condition for verdict in found] == ["day"]
    return found[0].metrics


def test_places_are_found_again_and_nothing_is_by_constant_features():
    seen = judged(Places())
    assert seen["recall/5px"] == 100
    assert seen["recall/5px/0-5deg"] == 100
    assert judged(Places(0.0))["recall/20px"] < 40


def test_every_frame_is_encoded_once_though_it_follows_another():
    class Counting(Places):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return super().forward(images)

    encoder = Counting()
    judged(encoder)
    assert encoder.calls == 2


def test_points_that_move_are_left_out():
    class Driven(Wall):
        """A box stands around the left half of the wall, whose places look like one another."""

        boxes: Boxes | None = Boxes(torch.tensor([[10.0, 2.5, 0, 4, 4.9, 8, 0]]), torch.tensor([0]))

        def __getitem__(self, index):
            frame = super().__getitem__(index)
            blank = torch.arange(96)[None, :] < 48
            return replace(frame, images=frame.images.where(~blank, frame.images.new_tensor(0.5)), boxes=self.boxes)

    class Unboxed(Driven):
        boxes = None

    seen, all_of_it = (
        Correspondence(stride=1).judge(Places(), Splits(None, None, source), SESSION)[0].metrics
        for source in (Driven(), Unboxed())
    )
    assert seen["recall/10px"] > 95
    assert all_of_it["recall/10px"] < 80


@pytest.mark.gpu
def test_a_gpu_tells_what_a_cpu_tells():
    class Placed(Places):
        def __init__(self):
            super().__init__()
            self.nothing = torch.nn.Parameter(torch.zeros(1))

    wall = Splits(Wall(), None, Wall())
    for protocol in (Correspondence(stride=1), Normals(neighbours=1)):
        here = protocol.judge(Placed(), wall, SESSION)[0].metrics
        there = protocol.judge(Placed().cuda(), wall, SESSION)[0].metrics
        assert there == pytest.approx(here, abs=0.5)


def test_frames_without_common_points_are_told():
    class One(Wall):
        def __getitem__(self, index):
            frame = super().__getitem__(index)
            return Frame(frame.points, frame.images[:1], frame.intrinsics[:1], frame.cam_from_lidar[:1], token="a")

        def following(self, index):  # noqa: ARG002
            return None

    with pytest.raises(UsageError, match="no LiDAR point is seen by two cameras"):
        Correspondence().judge(Places(), Splits(None, None, One()), SESSION)


def test_recall_counts_pixels_by_angle():
    errors = torch.tensor([[1.0, 1.0], [7, 1], [12, 20], [30, 20]])
    found = recall(errors)
    assert [found[f"recall/{k}px"] for k in (5, 10, 20)] == [25, 50, 75]
    assert [found[f"recall/{k}px/0-5deg"] for k in (5, 10)] == [50, 100]
    assert found["recall/20px/15-45deg"] == 50
    assert "recall/5px/5-15deg" not in found
    assert (found["matches"], found["matches/0-5deg"], found["matches/15-45deg"]) == (4, 2, 2)


def test_angles_and_ranks_by_hand():
    one = torch.tensor([[1.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    other = torch.tensor([[0.0, 3, 0], [-1, 0, 0], [1, 1e-4, 0]])
    torch.testing.assert_close(angle(one, other), torch.tensor([90.0, 180.0, math.degrees(1e-4)]))
    basis = torch.eye(8).repeat(4, 1)
    assert rank_me(basis) == pytest.approx(8, rel=1e-4)
    assert rank_me(torch.ones(32, 8)) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.cat([basis, -basis])) == pytest.approx(8, rel=1e-6)
    line = torch.outer(torch.linspace(-1, 1, 50), torch.arange(1.0, 5))
    assert effective_rank(line + 3) == pytest.approx(1, abs=1e-4)


def test_normals_of_a_wall_and_a_floor_look_at_the_sensor():
    y, z = (
        axis.flatten() for axis in torch.meshgrid(torch.linspace(-3, 3, 61), torch.linspace(-1, 1, 21), indexing="ij")
    )
    wall = torch.stack([torch.full_like(y, 5.3), y, z], 1)
    floor = torch.stack([y + 12, z, torch.full_like(y, -1.7)], 1)
    for points, normal in ((wall, [-1.0, 0, 0]), (floor, [0.0, 0, 1])):
        found, flat = surface_normals(points, 1.2)
        assert flat.double().mean() > 0.8
        torch.testing.assert_close(found[flat], torch.tensor(normal).expand(int(flat.sum()), 3), atol=1e-2, rtol=0)
    assert summary(torch.tensor([0.0, 20, 40]))["within/22.5deg"] == pytest.approx(200 / 3)
    assert summary(torch.tensor([])) == {}


def test_pairs_move_whole():
    found = Pairs(torch.arange(3), torch.zeros(3, dtype=torch.int64), torch.ones(3, 2), torch.ones(3)).to("meta")
    assert {getattr(found, name).device.type for name in ("point", "view", "pixel", "depth")} == {"meta"}
