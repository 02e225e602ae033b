"""Detection: boxes go into maps and come back, perfect answers score 100, features that tell boxes are learnt."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.errors import SettingError, UsageError
from lidar2d.frame import Boxes, Frame, collate
from lidar2d.nets.encoder import PointEncoder
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.tasks.centres import REGRESSED
from lidar2d.tasks.detection import AveragePrecision, Detection
from lidar2d.tasks.heads import Training, measure, show, train_heads
from lidar2d.tasks.kept import Kept

CARD = load_card("synthetic")
TASK = Detection(CARD, {"car": 0.5, "pedestrian": 0.3}, reach=20.0, cell=0.5)


def boxes(rng, count):
    """Draw boxes of cars and pedestrians that stand apart, on a grid of ten metres."""
    places = rng.choice(9, count, replace=False)
    classes = rng.choice([CARD.box_classes.index("car"), CARD.box_classes.index("pedestrian")], count)
    car = classes == CARD.box_classes.index("car")
    size = np.where(car[:, None], [4.2, 1.8, 1.6], [0.7, 0.7, 1.75]) * rng.uniform(0.9, 1.1, (count, 1))
    xy = np.stack([places % 3 - 1, places // 3 - 1], 1) * 10 + rng.uniform(-3, 3, (count, 2))
    rows = np.column_stack([xy, rng.uniform(-1, 0.5, count), size, rng.uniform(-math.pi, math.pi, count)])
    return Boxes(torch.from_numpy(rows), torch.from_numpy(classes))


class Town:
    """Frames whose points fill their boxes, and lie on the ground elsewhere."""

    card = CARD

    def __init__(self, count=4):
        self.tokens, self.conditions = [f"f{k}" for k in range(count)], ["day"] * count

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        found = boxes(rng, int(rng.integers(3, 7)))
        points = [np.column_stack([rng.uniform(-20, 20, (3000, 2)), np.full(3000, -2.5)])]
        for row in found.geometry.numpy():
            local = rng.uniform(-0.5, 0.5, (200, 3)) * row[3:6]
            cos, sin = np.cos(row[6]), np.sin(row[6])
            turned = np.column_stack([local[:, 0] * cos - local[:, 1] * sin, local[:, 0] * sin + local[:, 1] * cos])
            points.append(np.column_stack([turned + row[:2], local[:, 2] + row[2]]))
        xyz = np.concatenate(points)
        none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3).double(), torch.zeros(0, 4, 4).double()
        points = torch.from_numpy(np.column_stack([xyz, np.zeros(len(xyz))])).float()
        return Frame(points, *none, boxes=found, token=self.tokens[index], condition="day")

    def check(self):
        yield from ((token, []) for token in self.tokens)


class Geometry(PointEncoder):
    """Features that tell the offset to the centre of the point's box, its sides, yaw and class; times 0, nothing."""

    channels = 10

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, batch, rows=None):  # noqa: ARG002
        features = torch.zeros(len(batch.points), 10)
        for frame in range(len(batch)):
            own = batch.point_frame == frame
            for row, kind in zip(batch.boxes.geometry, batch.boxes.classes, strict=True):
                near = own & ((batch.points[:, :3] - row[:3]).norm(dim=1) < row[3:6].norm() / 2)
                near &= batch.points[:, 2] > -2.4
                features[near, :2] = (row[:2] - batch.points[near, :2]).float()
                told = torch.cat([row[2:6], row[6:7].sin(), row[6:7].cos()]).float()
                features[near, 2:8] = told
                features[near, 8 + int(kind == CARD.box_classes.index("pedestrian"))] = 1.0
        return features * self.factor


def test_boxes_go_into_maps_and_come_back():
    batch = collate([Town()[k] for k in range(3)])
    truth = TASK.truth(batch)
    assert truth.shape == (3, 128, 9)
    maps = torch.full((3, 2 + REGRESSED, *TASK.shape), -20.0)
    for frame in range(3):
        rows = truth[frame][truth[frame][:, 7] >= 0].float()
        row, column = TASK._cells(rows)
        maps[frame, rows[:, 7].long(), row, column] = 5.0
        maps[frame, 2:, row, column] = TASK._encoded(rows, row, column).T
    answers, _ = TASK.answer(maps, truth)
    for frame in range(3):
        rows = truth[frame][truth[frame][:, 7] >= 0]
        named = answers[frame][answers[frame][:, 8] > 0.5]
        assert len(named) == len(rows)
        order = [int((named[:, :2] - row[:2]).norm(dim=1).argmin()) for row in rows]
        torch.testing.assert_close(named[order][:, :6], rows[:, :6], atol=1e-4, rtol=1e-4)
        assert ((named[order][:, 6] - rows[:, 6]).cos() > 1 - 1e-5).all()
        assert torch.equal(named[order][:, 7], rows[:, 7])
    metric = AveragePrecision(TASK.overlap)
    metric.update(answers, truth)
    assert metric.compute()["ap3d"] == pytest.approx(100)


def test_maps_hold_the_means_of_the_points_of_each_cell():
    batch = collate([Town()[0], Town()[1]])
    features = torch.randn(len(batch.points), 3)
    maps = TASK.gather(features, batch)
    assert maps.shape == (2, 3, 80, 80)
    for frame, row, column in ((0, 40, 41), (1, 12, 70), (0, 0, 0), (1, 79, 79)):
        x, y = row * 0.5 - 20, column * 0.5 - 20
        xyz = batch.points
        inside = (batch.point_frame == frame) & (xyz[:, 0] >= x) & (xyz[:, 0] < x + 0.5)
        inside &= (xyz[:, 1] >= y) & (xyz[:, 1] < y + 0.5)
        expected = features[inside].mean(0) if inside.any() else torch.zeros(3)
        torch.testing.assert_close(maps[frame, :, row, column], expected)


def test_features_that_tell_boxes_are_learnt_and_constant_ones_are_not():
    task = Detection(CARD, {"car": 0.5}, reach=20.0, cell=1.0)
    source = Town(6)
    for encoder, low, high in ((Geometry(), 60, 100), (Geometry(0.0), 0, 10)):
        samples = Kept(task, encoder, source, range(len(source)), None)
        kept = [samples[k]() for k in range(len(samples))]
        frames = [partial(kept.__getitem__, k) for k in range(len(kept))]
        training = Training(rates=(0.01,), epochs=80, batch_size=3)
        heads = train_heads(task, encoder.channels, show(frames, 3, 0), training, 0, lambda: None)
        found = measure(task, heads, frames)[0.01]["ap3d/car"]
        assert low <= found <= high


def test_boxes_with_few_points_are_neither_hits_nor_mistakes():
    frame = Town()[0]
    batch = collate([frame])
    assert (TASK.truth(batch)[0, : len(frame.boxes), 8] == 1).all()
    empty = collate([replace(frame, points=frame.points[:3000])])
    assert (TASK.truth(empty)[0, : len(frame.boxes), 8] == 0).all()
    truth = TASK.truth(empty)
    answers = torch.cat([truth[:, :20, :8], torch.full((1, 20, 1), 0.9)], 2)
    metric = AveragePrecision(TASK.overlap)
    metric.update(answers, truth)
    found = metric.compute()
    assert found["ap3d"] == found["apbev"] == 0  # nothing counts


def test_a_network_that_maps_the_ground_is_read_at_the_cells():
    torch.manual_seed(0)
    net = VoxelNet(channels=8).eval()
    task = Detection(CARD, {"car": 0.5}, reach=20.0, cell=0.5)
    cells = torch.tensor([[3, 70], [40, 41], [79, 0]])
    xyz = torch.cat([(cells + 0.5) * 0.5 - 20, torch.zeros(3, 1)], 1)
    clutter = 15 * torch.randn(200, 3) * torch.tensor([1.0, 1.0, 0.1])
    clouds = [torch.cat([xyz, clutter]), torch.cat([xyz, clutter.flip(1)])]
    frames = [replace(Town()[0], points=torch.cat([cloud, torch.rand(203, 1)], 1), labels=None) for cloud in clouds]
    batch = collate(frames)
    with torch.no_grad():
        maps, points = task.features(net, batch), net(batch)
    assert maps.shape == (2, 8, 80, 80)
    for frame in range(2):
        wanted = points[203 * frame : 203 * frame + 3]
        torch.testing.assert_close(maps[frame, :, cells[:, 0], cells[:, 1]].T, wanted, atol=1e-5, rtol=1e-4)
    far = Detection(CARD, {"car": 0.5}, reach=60.0, cell=1.0).features(net, batch)
    assert (far[:, :, 0, 0] == 0).all()  # beyond the radius


def test_order_and_processes_change_nothing():
    batch = collate([Town(6)[k] for k in range(6)])
    truth = TASK.truth(batch)
    answers = truth[:, :30].clone()
    answers[..., 8] = torch.rand(6, 30, generator=torch.Generator().manual_seed(0))
    answers[..., :2] += 0.3
    whole, *parts = (AveragePrecision(TASK.overlap) for _ in range(3))
    whole.update(answers, truth)
    for place, row in enumerate((5, 1, 3, 0, 4, 2)):
        parts[place % 2].update(answers[row : row + 1], truth[row : row + 1])
    joined = AveragePrecision(TASK.overlap)
    for name in joined.widths:
        setattr(joined, name, torch.cat([torch.cat(getattr(part, name)) for part in parts]))
    assert joined.compute() == whole.compute()
    assert AveragePrecision(TASK.overlap).compute()["ap3d"] == 0


def test_what_cannot_be_looked_for_is_told():
    with pytest.raises(SettingError, match="boxes of synthetic are of car, truck"):
        Detection(CARD, {"tram": 0.5})
    with pytest.raises(UsageError, match="synthetic has no boxes"):
        TASK.truth(collate([replace(Town()[0], boxes=None)]))
    many = Boxes(torch.rand(200, 7).double() + 0.1, torch.zeros(200, dtype=torch.int64))
    with pytest.raises(UsageError, match="has 200 boxes; 128 is the most"):
        TASK.truth(collate([replace(Town()[0], boxes=many)]))
