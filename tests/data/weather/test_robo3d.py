"""The tables after Robo3D: what each of its corruptions does by its own definition, and which one reads labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lidar2d.bench.evaluate import _check_weather, _seen
from lidar2d.data.card import load_card
from lidar2d.data.weather import robo3d, robo3d_faults
from lidar2d.data.weather.beams import reach
from lidar2d.data.weather.corruption import Scene, Sweep
from lidar2d.data.weather.faults import beam_of
from lidar2d.data.weather.fog import echo_by_target
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint
from lidar2d.data.weather.source import Weather, Weathered
from lidar2d.data.weather.table import load_table
from lidar2d.data.weather.wet import on_road
from lidar2d.data.wrapped import Part
from lidar2d.errors import DataError, UsageError

CARD = load_card("synthetic")
TABLE = load_table("robo3d-compat-nuscenes")
TABLES = ("robo3d-compat-nuscenes", "robo3d-compat-semantickitti", "robo3d-compat-kitti")
NAMES = list(TABLE.corruptions)
VEHICLES = ("bicycle", "bus", "car", "construction_vehicle", "motorcycle", "trailer", "truck")


@pytest.fixture(scope="module")
def sweep(day):
    return Sweep(day.points.numpy(), Scene(np.array([0.0, 0.0, 1.0, 1.84]), 5, 6), CARD.elevation, CARD.beams)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_the_sweep_alone_and_repeats_to_the_bit(day, name):
    seen = set()
    for severity in (1, 2, 3):
        found = corrupt(day, Bad(TABLE, name, severity), CARD)
        assert torch.equal(found.images, day.images)
        assert found.points.isfinite().all()
        assert 0 <= float(found.points[:, 3].min()) <= float(found.points[:, 3].max()) <= 1
        assert len(found.labels) == len(found.points) <= len(day.points)
        assert fingerprint(corrupt(day, Bad(TABLE, name, severity), CARD)) == fingerprint(found)
        seen.add(fingerprint(found))
    assert len(seen) == 3


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_read_where_the_class_says_so_alone(day, name):
    bad = Bad(TABLE, name, 2)
    blind = replace(day, labels=None, boxes=None, pixel_labels=None)
    assert bad.corruption.reads_labels == (name == "incomplete_echo")
    if bad.corruption.reads_labels:
        with pytest.raises(DataError, match="robo3d-compat-nuscenes@1 reads the labels of points, and frame"):
            corrupt(blind, bad, CARD)
    else:
        assert torch.equal(corrupt(blind, bad, CARD).points, corrupt(day, bad, CARD).points)


@pytest.mark.parametrize("name", TABLES)
def test_each_table_has_three_severities_and_says_what_it_is(name):
    table = load_table(name)
    assert set(NAMES) - set(table.corruptions) == ({"incomplete_echo"} if name.endswith("-kitti") else set())
    assert {len(levels) for levels in table.corruptions.values()} == {3}
    asked = Weather(table=name).listed()
    assert len(asked) == 3 * len(table.corruptions)
    assert not any(bad.corruption.cameras for bad in asked)
    assert all(bad.corruption.lidar for bad in asked)


def test_severities_that_a_table_has_not_are_told():
    with pytest.raises(UsageError, match=r"fog of robo3d-compat-kitti has severities 1 to 3; 4 was asked for"):
        Weather(table="robo3d-compat-kitti", severities=(1, 2, 3, 4, 5)).listed()


# ---- fog


def test_fog_draws_its_extinction_for_each_frame_and_keeps_it_through_severities(sweep):
    drawn = set()
    for seed in range(60):
        own = replace(sweep, scene=replace(sweep.scene, seed=seed))
        kept = [robo3d.Fog(1e-9, 0).echoes(own, rng()).points[:, 3] for _ in range(2)]
        np.testing.assert_array_equal(*kept)
        far = int(np.argmax(reach(sweep.points) * (sweep.points[:, 3] > 0.05)))
        alpha = -np.log(kept[0][far] / sweep.points[far, 3]) / 2 / reach(sweep.points)[far]
        drawn.add(round(float(alpha), 4) + 0.0)
    assert drawn == {0, 0.005, 0.01, 0.02, 0.03, 0.06}


def test_the_stronger_of_two_echoes_is_returned_and_none_is_lost(sweep):
    fog = robo3d.Fog(0.2, 255)
    found = fog.echoes(sweep, rng())
    alpha = float(sweep.scene.rng().choice([0.0, 0.005, 0.01, 0.02, 0.03, 0.06]))
    np.testing.assert_array_equal(found.source, np.arange(len(sweep.points)))
    assert 0.02 < found.synthetic.mean() < 0.98
    ratio, _ = echo_by_target(alpha, 0.2, reach(sweep.points))
    for row in range(0, len(sweep.points), 97):
        x, y, z, i = sweep.points[row].astype(float)
        far = np.sqrt(x * x + y * y + z * z)
        hard = i * np.exp(-2 * alpha * far)
        soft, hard = hard * ratio[row], round(hard * 255) / 255
        assert found.synthetic[row] == (soft > hard)
        assert found.points[row, 3] == pytest.approx(min(max(soft, hard), 1), rel=1e-4, abs=1e-6)
        now = np.linalg.norm(found.points[row, :3])
        assert now <= far * (1 + 1e-5)
        if not found.synthetic[row]:
            assert now == pytest.approx(far, rel=1e-5)


def test_backscatter_scales_the_echo_of_fog():
    far = np.array([10.0, 40.0], np.float32)
    once, _ = echo_by_target(0.02, 0.008, far)
    np.testing.assert_allclose(echo_by_target(0.02, 0.2, far)[0], 25 * once, rtol=1e-5)


# ---- wet ground and snow


def test_water_dims_the_road_alone_and_the_dimmest_of_it_is_lost(sweep):
    road = on_road(sweep)
    damp, wet = (robo3d.WetGround(film, 0.2).echoes(sweep, rng()) for film in (0.2, 1.2))
    for found in (damp, wet):
        own = ~road[found.source]
        np.testing.assert_array_equal(found.points[own], sweep.points[found.source[own]])
        assert own.sum() == (~road).sum()
    assert road[damp.source].sum() >= road[wet.source].sum()
    kept = robo3d.WetGround(1.2, 0.0).echoes(sweep, rng())
    assert len(kept.points) == len(sweep.points)
    assert kept.points[road, 3].mean() < 0.8 * sweep.points[road, 3].mean()
    fewer = [len(robo3d.WetGround(1.2, floor).echoes(sweep, rng()).points) for floor in (0.2, 0.7, 1.0)]
    assert fewer == sorted(fewer, reverse=True)
    assert fewer[-1] < len(sweep.points)


def test_without_water_nothing_happens_to_the_road(sweep):
    found = robo3d.WetGround(0.0, 0.2).echoes(sweep, rng())
    np.testing.assert_array_equal(found.points, sweep.points)


def test_snow_fills_the_published_share_of_the_air():
    found = [level.occupancy for level in TABLE.corruptions["snow"]]
    assert found == pytest.approx([6.9e-7, 1.7e-6, 4.3e-6], rel=0.03)


# ---- faults


def test_a_sweep_is_shifted_as_a_whole_and_its_points_tremble(sweep):
    shifts, own = [], []
    for seed in range(200):
        moved = robo3d_faults.MotionBlur(0.3).echoes(sweep, rng(seed)).points[:, :3] - sweep.points[:, :3]
        shifts.append(moved.mean(0))
        own.append(moved.std(0))
    np.testing.assert_allclose(np.std(shifts, axis=0), 0.3, rtol=0.2)
    np.testing.assert_allclose(np.mean(own, axis=0), [0.03, 0.03, 0.015], rtol=0.02)


@pytest.mark.parametrize(
    ("table", "beams", "lost"),
    [("robo3d-compat-nuscenes", 32, (7.0, 12.2, 16.1)), ("robo3d-compat-kitti", 64, (14.0, 24.4, 32.2))],
)
def test_drawn_with_replacement_fewer_beams_are_lost(table, beams, lost):
    low, high = (-30.0, 10.0)
    angle = np.radians(np.linspace(low, high, beams))
    points = np.column_stack([20 * np.cos(angle), np.zeros(beams), 20 * np.sin(angle), np.ones(beams)]).astype("f4")
    one = Sweep(points, Scene(np.array([0, 0, 1, 1.8]), 0, 0), (low, high), beams)
    for level, expected in zip(load_table(table).corruptions["beam_missing"], lost, strict=True):
        counts = [beams - len(level.echoes(one, rng(seed)).points) for seed in range(1500)]
        assert np.mean(counts) == pytest.approx(expected, abs=0.15)
    with pytest.raises(UsageError, match=rf"LiDAR with {beams}, and this one has 16"):
        level.echoes(replace(one, beams=16), rng())


def test_disturbed_points_differ_in_all_they_have_and_are_nobodys(sweep):
    found = robo3d_faults.Crosstalk(0.1, 3, 10).echoes(sweep, rng())
    changed = (found.points != sweep.points).any(1)
    assert found.synthetic.sum() == round(0.1 * len(sweep.points))
    assert not changed[~found.synthetic].any()
    error = (found.points - sweep.points)[found.synthetic]
    np.testing.assert_allclose(error[:, :3].std(0), 3, rtol=0.1)
    inside = (found.points[found.synthetic, 3] > 0) & (found.points[found.synthetic, 3] < 1)
    assert 0.1 < error[inside, 3].std() < 0.3


def test_vehicles_lose_a_share_of_their_points_class_by_class(day):
    indices = [CARD.classes.index(name) for name in VEHICLES]
    for severity, share in ((1, 0.75), (3, 0.95)):
        found = corrupt(day, Bad(TABLE, "incomplete_echo", severity), CARD)
        for index in range(-1, len(CARD.classes)):
            before, after = (int((labels == index).sum()) for labels in (day.labels, found.labels))
            lost = round(share * before) if index in indices and before > 10 else 0
            assert before - after == lost
    assert any(int((day.labels == index).sum()) > 10 for index in indices)
    few = replace(day, labels=torch.full_like(day.labels, CARD.classes.index("vegetation")))
    few.labels[:10] = CARD.classes.index("car")
    same = corrupt(few, Bad(TABLE, "incomplete_echo", 3), CARD)  # there is nothing to lose, and that is no fault
    assert torch.equal(same.points, few.points)


def test_data_without_vehicles_has_no_incomplete_echoes(day):
    with pytest.raises(UsageError, match="no class of this data set's points is one"):
        corrupt(day, Bad(TABLE, "incomplete_echo", 1), replace(CARD, classes=("tree",) * len(CARD.classes)))


def test_records_say_which_corruption_reads_labels_or_leaves_the_sensor_alone(town):
    source = Weathered(Part(town, [0]), Weather(TABLE.name, ("fog", "incomplete_echo"), (1,)), None)
    assert _seen("", source, "incomplete_echo-1", "points") == ", corruption reads labels"
    assert _seen("", source, "fog-1", "points") == _seen("", source, "clear", "points") == ""
    assert _seen("", source, "fog-1", "images") == ", corruption leaves images as they are"
    with pytest.raises(UsageError, match="judges features of images, and the corruptions that are named change points"):
        _check_weather(source, "images")
    _check_weather(source, "points")


@pytest.mark.parametrize(("severity", "share"), [(1, 0.375), (2, 0.25), (3, 0.125)])
def test_another_sensor_has_fewer_beams_and_every_other_point_of_them(sweep, severity, share):
    found = TABLE.at("cross_sensor", severity).echoes(sweep, rng())
    beams = np.unique(beam_of(sweep)[found.source])
    assert len(beams) == round(2 * share * 32)
    assert 1 not in beams
    of_them = np.flatnonzero(np.isin(beam_of(sweep), beams))
    np.testing.assert_array_equal(found.source, of_them[::2])


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: robo3d.Fog(-1, 0), "backscatter is -1"),
        (lambda: robo3d.WetGround(0.2, 2), "floor is 2"),
        (lambda: robo3d.Snow(0, 1), "rate is 0"),
        (lambda: robo3d_faults.MotionBlur(-1), "shift is -1"),
        (lambda: robo3d_faults.BeamMissing(8, 20, 10, 32), "highest is 10; it must be from 20 to 31"),
        (lambda: robo3d_faults.Crosstalk(2, 3, 1), "share is 2"),
        (lambda: robo3d_faults.IncompleteEcho(1.5), r"share is 1\.5"),
        (lambda: robo3d_faults.CrossSensor(1), "step is 1"),
    ],
)
def test_values_without_meaning_are_told(build, told):
    with pytest.raises(UsageError, match=told):
        build()
