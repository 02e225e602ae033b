"""The town's frames: exact, repeatable, and the same town in both sensors and in every weather."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lidar2d import geometry
from lidar2d.data.card import load_card
from lidar2d.data.source import Source, open_source
from lidar2d.data.synthetic.render import CONDITIONS, render
from lidar2d.data.synthetic.solids import CLASSES
from lidar2d.data.synthetic.town import Town
from lidar2d.errors import UsageError
from lidar2d.frame import Frame, collate

SCENES = 6  # of the split `smoke`


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    source = open_source(load_card("synthetic"), "smoke", root=tmp_path_factory.mktemp("town"))
    assert isinstance(source, Town)
    return source


@pytest.fixture(scope="module")
def days(town: Town) -> list[Frame]:
    return [town[i * len(CONDITIONS)] for i in range(SCENES)]


def test_it_is_a_source_with_a_frame_for_each_scene_and_condition(town: Town) -> None:
    assert isinstance(town, Source)
    assert len(town) == SCENES * 6 == len(town.tokens) == len(set(town.tokens))
    assert list(town.conditions[:6]) == ["day", "dusk", "night", "rain", "fog", "snow"]
    frame = town[10]
    assert frame.token == "town-004001-fog"
    assert frame.condition == "fog"
    assert frame.images.shape == (6, 3, 112, 208)
    assert frame.images.dtype == torch.float32
    assert 0 <= frame.images.min() < frame.images.max() <= 1
    assert frame.points.dtype == torch.float32
    assert frame.points.isfinite().all()
    assert 0 <= frame.points[:, 3].min() <= frame.points[:, 3].max() <= 1
    with pytest.raises(IndexError):
        town[len(town)]


def test_the_card_and_the_generator_agree() -> None:
    card = load_card("synthetic")
    assert card.classes == CLASSES
    assert (*card.clear, *card.adverse) == CONDITIONS
    assert len(card.colours) == len(card.classes)
    assert set(card.box_classes) < set(card.classes)
    ranges = [range(*ends) for ends in card.splits.values()]
    seeds = [seed for span in ranges for seed in span]
    assert len(seeds) == len(set(seeds))  # no split shares a scene with another one


def test_a_misspelt_split_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'probe'"):
        Town(load_card("synthetic"), "prob")


@pytest.mark.parametrize("ends", [4, [1], [3, 3], [-1, 4], ["a", "b"], [0.5, 2]])
def test_a_split_that_is_no_range_of_seeds_is_refused(ends: object) -> None:
    card = load_card("synthetic")
    with pytest.raises(UsageError, match=r"split 'odd' .* must be \[first seed, one past the last\]"):
        Town(replace(card, splits={**card.splits, "odd": ends}), "odd")


def test_a_misspelt_condition_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'snow'"):
        Town(replace(load_card("synthetic"), adverse=("snwo",)), "smoke")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first, again, other = render(4000), render(4000), render(4001)
    assert first.keys() == again.keys()
    for name in first:
        assert first[name].tobytes() == again[name].tobytes(), name
    assert first["images_day"].tobytes() != other["images_day"].tobytes()


def test_conditions_of_a_scene_share_what_is_true(town: Town) -> None:
    frames = [town[i] for i in range(6)]
    for frame in frames[1:]:
        assert torch.equal(frame.pixel_labels, frames[0].pixel_labels)
        assert torch.equal(frame.depth, frames[0].depth)
        assert torch.equal(frame.boxes.geometry, frames[0].boxes.geometry)
        assert torch.equal(frame.cam_from_lidar, frames[0].cam_from_lidar)
        assert not torch.equal(frame.images, frames[0].images)


def _rows(points: torch.Tensor) -> np.ndarray:
    """Each point's place as one value that can be looked up."""
    return np.ascontiguousarray(points[:, :3].numpy()).view([("x", "f4"), ("y", "f4"), ("z", "f4")])[:, 0]


def test_weather_harms_the_camera_far_more_than_the_lidar(town: Town) -> None:
    for scene in range(3):
        clear = town[scene * 6]
        known = _rows(clear.points)
        for offset in range(1, 6):
            frame = town[scene * 6 + offset]
            real = _rows(frame.points[frame.labels >= 0])
            assert np.isin(real, known).all(), "weather moved a point"
            kept = len(real) / len(known)
            stray = (frame.labels < 0).float().mean()
            assert kept > (0.6 if frame.condition == "fog" else 0.85), (frame.token, kept)
            assert stray < 0.04, (frame.token, stray)
            a, b = (f.images.mean(1).flatten() for f in (clear, frame))
            correlation = torch.corrcoef(torch.stack([a, b]))[0, 1]
            contrast = frame.images.flatten(2).std(-1).mean() / clear.images.flatten(2).std(-1).mean()
            assert correlation < 0.93 or contrast < 0.7, (frame.token, correlation, contrast)


def test_points_land_on_pixels_of_their_class_at_their_depth(days: list[Frame]) -> None:
    """Both sensors see one town: judged through the published projection, not through the ray caster."""
    same, near, total = 0, 0, 0
    for frame in days:
        batch = collate([frame])
        found = geometry.pairs(batch)
        column, row = found.pixel.floor().long().unbind(-1)
        inner = (column > 0) & (column < 207) & (row > 0) & (row < 111)
        found, column, row = found[inner], column[inner], row[inner]
        labels, depth = batch.labels[found.point], batch.depth
        around = torch.stack(
            [batch.pixel_labels[found.view, row + i, column + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
        )
        within = (around == around[4]).all(0)  # not on a boundary
        seen = depth[found.view, row, column]
        hidden = found.depth > 1.05 * seen + 0.5  # behind what the camera sees: it hangs elsewhere on the car
        chosen = within & ~hidden & (seen > 0)
        total += int(chosen.sum())
        same += int((around[4] == labels)[chosen].sum())
        near += int(((found.depth - seen).abs() < 0.08 * found.depth + 0.3)[chosen].sum())
        assert hidden.float().mean() < 0.12
    assert total > 10_000
    assert same / total > 0.98
    assert near / total > 0.97


def test_depth_and_sky_are_each_others_complement(days: list[Frame]) -> None:
    for frame in days:
        assert torch.equal(frame.depth == 0, frame.pixel_labels == -1)
        assert frame.depth.max() < 250
        assert 0.02 < (frame.pixel_labels == -1).float().mean() < 0.6


def test_road_pixels_lift_to_the_road(days: list[Frame]) -> None:
    frame = days[0]
    v, u = torch.meshgrid(torch.arange(112) + 0.5, torch.arange(208) + 0.5, indexing="ij")
    pixels = torch.stack([u, v], -1).reshape(-1, 2).double()
    for view in range(6):
        xyz = geometry.unproject(
            pixels, frame.depth[view].flatten().double(), frame.intrinsics[view], frame.cam_from_lidar[view]
        )
        road = frame.pixel_labels[view].flatten() == CLASSES.index("driveable_surface")
        close = road & (frame.depth[view].flatten() < 40)
        assert ((xyz[close, 2] + 1.84).abs() < 0.05).all()


def test_boxes_hold_the_points_of_their_class_and_no_others(days: list[Frame]) -> None:
    card = load_card("synthetic")
    inside_any = torch.zeros(0, dtype=torch.bool)
    for frame in days:
        boxes, xyz = frame.boxes, frame.points[:, :3]
        assert (boxes.classes >= 0).all()
        assert (boxes.geometry[:, 3:6] > 0.2).all()
        loose = boxes.geometry.clone()
        loose[:, 3:6] += 0.2  # range noise
        inside = geometry.points_in_boxes(xyz, loose)
        of_class = torch.tensor([card.box_classes.index(c) if c in card.box_classes else -1 for c in card.classes])
        point_class = of_class[frame.labels]
        right = inside & (point_class[None] == boxes.classes[:, None])
        inside_any = torch.cat([inside_any, right.any(0)[point_class >= 0]])
        tight = boxes.geometry.clone()
        tight[:, 3:6] -= 0.3
        core = geometry.points_in_boxes(xyz, tight)
        assert (core & (point_class[None] == boxes.classes[:, None])).sum() > 0.95 * core.sum()
    assert inside_any.float().mean() > 0.999


def test_some_boxes_move_along_their_heading(days: list[Frame]) -> None:
    velocity = torch.cat([frame.boxes.velocity for frame in days])
    yaw = torch.cat([frame.boxes.geometry[:, 6] for frame in days])
    speed = velocity.norm(dim=-1)
    assert 0.1 < (speed > 0).float().mean() < 0.9
    ahead = torch.stack([yaw.cos(), yaw.sin()], -1)
    assert torch.allclose(velocity, speed[:, None] * ahead, atol=1e-4)


def test_every_class_is_met_in_a_handful_of_scenes() -> None:
    counts = np.zeros((8, len(CLASSES)), int)
    for i in range(8):
        scene = render(5000 + i)
        kept = scene["labels"][scene["kept_day"]]
        counts[i] = np.bincount(kept, minlength=len(CLASSES))
    present = (counts >= 10).mean(0)
    assert (present >= 0.25).all(), dict(zip(CLASSES, present.round(2), strict=True))
    share = counts.sum(0) / counts.sum()
    assert share[CLASSES.index("driveable_surface")] > 0.2
    assert share[CLASSES.index("traffic_cone")] < 0.02  # the tail stays long


def test_another_image_size_keeps_points_on_their_pixels(town: Town, tmp_path: Path) -> None:
    del tmp_path
    small = Town(load_card("synthetic"), "smoke", root=town.cache.root, image_size=(56, 104))
    full, half = town[0], small[0]
    assert half.images.shape == (6, 3, 56, 104)
    assert half.pixel_labels.shape == half.depth.shape == (6, 56, 104)
    a, _ = geometry.project(full.points[:, :3], full.intrinsics, full.cam_from_lidar)
    b, _ = geometry.project(half.points[:, :3], half.intrinsics, half.cam_from_lidar)
    assert torch.allclose(a / 2, b, rtol=1e-9)
    pooled = torch.nn.functional.avg_pool2d(full.images, 2)
    assert (pooled - half.images).abs().mean() < 0.02


@pytest.mark.slow
def test_colour_alone_does_not_give_the_class_away() -> None:
    """A ridge classifier on the colour of single pixels stays under a sixth of what features reach."""
    card = load_card("synthetic")

    def pixels(split: str, scenes: int) -> tuple[torch.Tensor, torch.Tensor]:
        source = Town(card, split)
        frames = [source[i * 6] for i in range(scenes)]
        images = torch.cat([f.images.permute(0, 2, 3, 1)[f.pixel_labels >= 0] for f in frames]).double()
        labels = torch.cat([f.pixel_labels[f.pixel_labels >= 0] for f in frames])
        return torch.cat([images, torch.ones(len(images), 1)], 1), labels

    x, y = pixels("probe", 60)
    target = torch.nn.functional.one_hot(y, len(CLASSES)).double()
    weights = torch.linalg.solve(x.T @ x + 1e-3 * torch.eye(4), x.T @ target)
    x, y = pixels("test", 100)
    matrix = torch.bincount(y * len(CLASSES) + (x @ weights).argmax(1), minlength=len(CLASSES) ** 2)
    matrix = matrix.view(len(CLASSES), -1).double()
    union = matrix.sum(0) + matrix.sum(1) - matrix.diag()
    assert (matrix.diag() / union).mean() < 0.12
