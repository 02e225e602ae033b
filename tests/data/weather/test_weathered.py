"""The clear frames of a source under every corruption: names, truth, what is kept on disk, and what is told."""

import re
from dataclasses import replace

import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.data.twins import scenes
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint
from lidar2d.data.weather.source import Weather, Weathered
from lidar2d.data.weather.table import load_table
from lidar2d.data.wrapped import Part
from lidar2d.errors import DataError, SettingError, UsageError

WEATHER = Weather(corruptions=("fog", "beam_loss"), severities=(1, 4))


@pytest.fixture(scope="module")
def two(town):
    """Two scenes in all their own conditions."""
    return Part(town, range(12))


def test_frames_are_the_clear_ones_in_each_weather(two):
    source = Weathered(two, WEATHER, None)
    names = ["clear", "fog-1", "fog-4", "beam_loss-1", "beam_loss-4"]
    assert list(source.conditions) == [name for name in names for _ in range(2)]
    assert len(set(source.tokens)) == len(source) == 10
    assert source.card.clear == ("clear",)
    assert [len(rows) for rows in scenes(source)] == [5, 5]
    assert all(source[i].token == source.tokens[i] for i in (0, 3, 9))
    clear, bad = source[1], source[3]
    assert torch.equal(clear.points, two[6].points)
    assert len(bad.points) < len(clear.points)
    assert torch.equal(bad.depth, clear.depth)
    assert source.fingerprint("clear") != source.fingerprint("fog-1") != ""
    assert source.fingerprint("fog-4") == ""  # none of them was read
    with pytest.raises(IndexError):
        source[10]


def test_what_is_kept_on_disk_is_what_would_be_made(two, tmp_path):
    made, kept = Weathered(two, WEATHER, (56, 104)), Weathered(two, WEATHER, (56, 104), tmp_path)
    for index in (2, 9):
        first, second, direct = kept[index], kept[index], made[index]
        assert len(list(tmp_path.rglob("*.npz"))) == (1 if index == 2 else 2)
        for other in (second, direct):
            assert fingerprint(other) == fingerprint(first)
            assert torch.equal(other.labels, first.labels)
            assert torch.equal(other.boxes.hits, first.boxes.hits)
        assert first.images.shape[-2:] == (56, 104)


class Sparse:
    """The same frames without truth of pixels."""

    def __init__(self, source):
        self.source, self.card = source, source.card
        self.tokens, self.conditions = source.tokens, source.conditions

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return replace(self.source[index], depth=None, pixel_labels=None)

    def check(self):
        return iter(())


def test_truth_of_pixels_is_what_lidar_saw_in_clear_air(two):
    source = Weathered(Sparse(two), Weather(corruptions=("beam_loss",), severities=(5,)), None)
    clear, bad = source[0], source[2]
    assert clear.depth is None  # a task makes it of the points
    assert int((bad.depth > 0).sum()) > 5000
    assert int((bad.pixel_labels >= 0).sum()) > 5000
    assert len(bad.points) < 0.5 * len(clear.points)


def test_severities_are_all_that_each_corruption_has(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "version: 3\ncorruptions:\n"
        "  fog: {class_path: lidar2d.data.weather.fog.Fog, visibility: [200, 50]}\n"
        "  jpeg: {class_path: lidar2d.data.weather.camera.Jpeg, quality: [5]}\n"
    )
    assert [str(bad) for bad in Weather(str(path)).listed()] == ["fog-1", "fog-2", "jpeg-1"]
    assert len(Weather(corruptions=("fog",)).listed()) == 5
    with pytest.raises(UsageError, match="jpeg of own has severities 1 to 1; 2 was asked for"):
        Weather(str(path), severities=(1, 2)).listed()


def test_weather_without_meaning_is_told(two):
    with pytest.raises(UsageError, match="did you mean 'fog'"):
        Weathered(two, Weather(corruptions=("fogg",)), None)
    with pytest.raises(UsageError, match="severities 1 to 5; 6 was asked for"):
        Weathered(two, Weather(corruptions=("fog",), severities=(6,)), None)
    for corruptions, severities, told in (
        ((), (1,), "corruptions is []; name at least one, or leave it out for all"),
        (("fog", "fog"), (1,), "corruptions is ['fog', 'fog']; each must stand once"),
        (("fog",), (), "severities is []; name at least one, or leave it out for all"),
        (("fog",), (1, 1), "severities is [1, 1]; each must stand once"),
    ):
        with pytest.raises(SettingError) as error:
            Weathered(two, Weather(corruptions=corruptions, severities=severities), None)
        assert str(error.value) == f"--data.weather.{told}"
    with pytest.raises(UsageError, match="no frame has a clear condition"):
        Weathered(Part(two, [1, 2]), WEATHER, None)


def test_where_cameras_are_judged_points_are_those_of_clear_air(two):
    source = Weathered(two, WEATHER, None)
    other = source.with_clear_points()
    clear, foggy, found = source[0], source[4], other[4]
    assert torch.equal(found.points, clear.points)
    assert torch.equal(found.labels, clear.labels)
    assert torch.equal(found.images, foggy.images)
    assert len(foggy.points) < len(clear.points)
    assert other.fingerprint("fog-4") == source.fingerprint("fog-4") != ""  # what the sensors saw


def table(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(f"version: 1\ncorruptions:\n  {text}\n")
    return str(path)


def test_spray_may_pass_by_a_frame_and_not_by_all(two, tmp_path):
    none = "spray: {class_path: lidar2d.data.weather.spray.Spray, extinction: [0.0]}"
    source = Weathered(two, Weather(table(tmp_path, none)), None)
    assert torch.equal(source[2].images, source[0].images)
    with pytest.raises(DataError, match="spray-1 of mine@1 has left all 1 frames as they were"):
        source.fingerprint("spray-1")
    assert source.fingerprint("clear")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "fog: {class_path: lidar2d.data.weather.fog.Fog, visibility: [null]}",
            "visibility holds None, which is not a",
        ),
        (
            "fog: {class_path: lidar2d.data.weather.fog.Fog, visibility: ['']}",
            "visibility holds '', which is not a num",
        ),
        (
            "x: {class_path: lidar2d.data.weather.camera.Jpeg, quality: [50.5]}",
            "50.5, which is not a whole number",
        ),
        ("x: {class_path: .fog.Fog, visibility: [100]}", "no class .fog.Fog"),
        ("'../x': {class_path: lidar2d.data.weather.fog.Fog, visibility: [100]}", "a corruption is '../x'"),
        ("'': {class_path: lidar2d.data.weather.fog.Fog, visibility: [100]}", "a corruption is ''"),
    ],
)
def test_a_table_of_ones_own_with_a_wrong_value_is_told(tmp_path, text, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        load_table(table(tmp_path, text))


def test_frames_without_points_and_depth_have_no_weather_but_that_of_pixels(day):
    alone = replace(day, points=day.points[:0], labels=None, depth=None)
    with pytest.raises(DataError, match="nothing tells how far frame"):
        corrupt(alone, Bad(load_table("weather-v1"), "fog", 3), load_card("synthetic"))
    corrupt(alone, Bad(load_table("imagenet-c-compat"), "fog", 3), load_card("synthetic"))
