"""Every corruption of weather-v1: what it may change, and that the same frame gives the same bits, whoever asks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.data.weather import frames
from lidar2d.data.weather.corruption import Corruption
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint
from lidar2d.data.weather.reach import reaches
from lidar2d.data.weather.table import Table, load_table
from lidar2d.errors import DataError, UsageError
from lidar2d.recipe import names

CARD = load_card("synthetic")
TABLE = load_table("weather-v1")
NAMES = list(TABLE.corruptions)
WEATHER = ("fog", "rain", "snow", "wet_ground", "night", "spray")


@pytest.fixture(scope="module")
def made(day):
    """Every corruption at every severity, once."""
    return {(n, s): corrupt(day, Bad(TABLE, n, s), CARD) for n in NAMES for s in range(1, 6)}


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_its_own_sensors_alone_and_repeats_to_the_bit(made, day, name):
    for severity in (1, 5):
        found, corruption = made[name, severity], TABLE.at(name, severity)
        assert torch.equal(found.images, day.images) != corruption.cameras
        assert (found.points.shape == day.points.shape and torch.equal(found.points, day.points)) != corruption.lidar
        assert found.points.isfinite().all()
        assert float(found.images.min()) >= 0
        assert float(found.images.max()) <= 1
        assert torch.equal(found.images * 255, (found.images * 255).round())
        again = corrupt(day, Bad(TABLE, name, severity), CARD)
        assert fingerprint(again) == fingerprint(found)
    others = {fingerprint(corrupt(replace(day, token=str(i)), Bad(TABLE, name, 3), CARD)) for i in range(6)}
    assert len(others) > 1 or name in {"exposure", "jpeg"}  # which leave nothing to luck


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_not_read_and_follow_their_points(made, day, name):
    found = made[name, 3]
    blind = corrupt(replace(day, labels=None, boxes=None, pixel_labels=None), Bad(TABLE, name, 3), CARD)
    assert torch.equal(blind.images, found.images)
    assert torch.equal(blind.points, found.points)
    marked = replace(day, labels=torch.arange(len(day.points)))
    source = corrupt(marked, Bad(TABLE, name, 3), CARD).labels
    kept = source >= 0
    assert len(source) == len(found.points)
    assert torch.equal(found.labels[kept], day.labels[source[kept]])
    assert (found.labels[~kept] == -1).all()
    # a point that is kept stands on the beam that it came on
    here, there = found.points[kept, :3], day.points[source[kept], :3]
    cosine = torch.nn.functional.cosine_similarity(here, there)
    assert float(cosine.min()) > 1 - 1e-6


@pytest.mark.parametrize("name", ["fog", "rain", "wet_ground", "spray", "beam_loss", "cross_sensor"])
def test_more_severity_leaves_fewer_points_of_the_scene(made, day, name):
    counts = [len(day.points), *(int((made[name, s].labels >= 0).sum()) for s in range(1, 6))]
    own = int((day.labels >= 0).sum())
    counts[0] = own
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < own


@pytest.mark.parametrize("name", [n for n in NAMES if TABLE.at(n, 1).lidar])
def test_no_severity_adds_a_return(made, day, name):
    assert all(len(made[name, s].points) <= len(day.points) for s in range(1, 6))


def energy(images):
    return float((images[..., 1:] - images[..., :-1]).square().mean())


@pytest.mark.parametrize("name", ["fog", "motion_blur", "camera_loss", "spray"])
def test_more_severity_leaves_less_detail_in_the_images(made, day, name):
    found = [energy(day.images), *(energy(made[name, s].images) for s in range(1, 6))]
    assert found == sorted(found, reverse=True)


def test_night_leaves_the_lidar_and_the_truth_as_they_were(made, day):
    night = made["night", 5]
    assert torch.equal(night.points, day.points)
    assert torch.equal(night.depth, day.depth)
    assert torch.equal(night.pixel_labels, day.pixel_labels)
    assert float(night.images.mean()) < 0.5 * float(day.images.mean())


def test_boxes_keep_the_points_they_had_in_clear_air(made, day):
    hits = made["fog", 5].boxes.hits
    assert hits is not None
    assert len(hits) == len(day.boxes)
    assert torch.equal(hits, made["beam_loss", 1].boxes.hits)


def test_cameras_and_beams_that_fail_are_different_ones(made):
    for severity, count in enumerate((1, 2, 3, 4, 5), 1):
        black = made["camera_loss", severity].images.flatten(1).amax(1) == 0
        assert int(black.sum()) == count


def test_a_corruption_that_changes_nothing_is_told(day):
    class Nothing(Corruption):
        def picture(self, view, rng):  # noqa: ARG002 as the others have it
            return view.image

    table = Table("own", 1, {"nothing": (Nothing(),)})
    with pytest.raises(DataError, match="nothing-1 has left the images of frame"):
        corrupt(day, Bad(table, "nothing", 1), CARD)


def test_distance_is_looked_for_once_and_where_it_is_asked_for_alone(day, monkeypatch):
    calls = []
    monkeypatch.setattr(frames, "reaches", lambda frame: calls.append(frame) or reaches(frame))
    for name in ("jpeg", "exposure", "lens_dirt", "camera_loss"):
        corrupt(day, Bad(TABLE, name, 3), CARD)
    assert not calls
    corrupt(day, Bad(TABLE, "fog", 3), CARD)
    assert len(calls) == 1


def test_another_version_is_another_draw():
    later = replace(TABLE, version=TABLE.version + 1)
    assert Bad(TABLE, "snow", 1).seed("a", "lidar") != Bad(later, "snow", 1).seed("a", "lidar")
    # pinned: a change here changes every number
    assert Bad(TABLE, "snow", 1).seed("a", "lidar") == Bad(TABLE, "snow", 5).seed("a", "lidar") == 16070596484471759957


@pytest.mark.parametrize("name", names("corruptions"))
def test_shipped_tables_are_read(name):
    table = load_table(name)
    assert table.corruptions
    assert all(len(levels) in (3, 5) for levels in table.corruptions.values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1", "needs the keys version"),
        ("version: x\ncorruptions: {}", "needs the keys version, a whole number"),
        ("version: 1\ncorruptions: {}", "no mapping of names"),
        ("version: 1\ncorruptions: {fog: {visibility: [1]}}", "fog needs a class_path"),
        ("version: 1\ncorruptions: {fog: {class_path: a.B, visibility: [1]}}", "no class a.B"),
        ("version: 1\ncorruptions: {fog: {class_path: lidar2d.frame.Frame}}", "is no Corruption"),
        ("version: 1\ncorruptions: {fog: {class_path: lidar2d.data.weather.fog.Fog, visibilty: [9]}}", "'visibility'"),
        ("version: 1\ncorruptions: {fog: {class_path: lidar2d.data.weather.fog.Fog, visibility: 9}}", "needs a list"),
        ("version: 1\ncorruptions: {fog: {class_path: lidar2d.data.weather.fog.Fog}}", "needs values for visibility"),
        (
            "version: 1\ncorruptions: {fog: {class_path: lidar2d.data.weather.fog.Fog, visibility: [-9]}}",
            "visibility is -9",
        ),
    ],
)
def test_a_bad_table_is_told(tmp_path, text, told):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as error:
        load_table(str(path))
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_names_and_severities_that_are_not_there_are_told():
    with pytest.raises(UsageError, match="did you mean 'fog'"):
        TABLE.at("fogg", 1)
    with pytest.raises(UsageError, match="severities 1 to 5; 6 was asked for"):
        TABLE.at("fog", 6)


def test_ages_of_older_sweeps_stay_with_their_points(day):
    aged = replace(day, points=torch.cat([day.points, torch.arange(len(day.points))[:, None].float()], 1))
    found = corrupt(replace(aged, labels=torch.arange(len(aged.points))), Bad(TABLE, "rain", 4), CARD)
    kept = found.labels >= 0
    assert torch.equal(found.points[kept, 4].long(), found.labels[kept])


def test_a_frame_without_cameras_or_points_is_corrupted_as_far_as_it_goes(day):
    none = slice(0, 0)
    blind = replace(
        day,
        images=day.images[none],
        intrinsics=day.intrinsics[none],
        cam_from_lidar=day.cam_from_lidar[none],
        depth=None,
        pixel_labels=None,
    )
    assert len(corrupt(blind, Bad(TABLE, "fog", 5), CARD).points) < len(day.points)
    pictures = replace(day, points=day.points[none], labels=day.labels[none], boxes=None)
    assert not torch.equal(corrupt(pictures, Bad(TABLE, "rain", 5), CARD).images, day.images)


def test_geometry_is_found_without_depth_too(day):
    sparse = corrupt(replace(day, depth=None), Bad(TABLE, "fog", 4), CARD)
    dense = corrupt(day, Bad(TABLE, "fog", 4), CARD)
    assert float((sparse.images - dense.images).abs().mean()) < 0.08
    assert np.isclose(float(sparse.images.mean()), float(dense.images.mean()), atol=0.08)
