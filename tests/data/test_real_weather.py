"""Real weather: eval gives a record for each condition of nuScenes, SemanticSTF and ACDC."""

from pathlib import Path

import pytest

from conftest import SEMANTICSTF_WEATHER, NuScenesTree
from lidar2d import cli
from lidar2d.data.card import load_card
from lidar2d.data.nuscenes.reader import scene_names
from lidar2d.results.record import Record, parse

PROBE = """\
class_path: lidar2d.bench.probe.Probe
init_args:
  task: {class_path: lidar2d.tasks.segmentation.TASK}
  training: {epochs: 1, rates: [0.01], batch_size: 2}
"""
SMALL = ("--method.points.width", "8", "--method.images.width", "16", "--method.images.weights", "null")


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Judge untaught networks through the command line and return the records by condition."""
    monkeypatch.setenv("LIDAR2D_CACHE", str(tmp_path / "cache"))

    def run(task: str, *words: str) -> dict[str, Record]:
        protocol = tmp_path / "own.yaml"
        protocol.write_text(PROBE.replace("TASK", task))
        asked = ["--protocol", str(protocol), "--results", str(tmp_path / "results")]
        assert cli.main(["eval", "--method", "ppkt", *SMALL, *asked, *words]) == 0
        (file,) = (tmp_path / "results").rglob("*.jsonl")
        records = [parse(line) for line in file.read_text().splitlines()]
        return {record.condition: record for record in records}

    return run


def test_scans_are_judged_by_their_weather(judged, semanticstf_tree: Path):
    words = ("--data.probe", "val", "--data.test", "val")
    found = judged("PointSegmentation", "--data", "semanticstf", "--data.root", str(semanticstf_tree), *words)
    assert set(found) == {*SEMANTICSTF_WEATHER.values(), "all"}
    assert found["all"].frames == 3
    assert all(0 <= record.metrics["miou"] <= 100 and not record.weather for record in found.values())


def test_images_are_judged_by_their_condition(judged, acdc_tree: Path):
    words = ("--data.probe", "train", "--data.test", "train", "--data.image_size", "[32,64]")
    found = judged("PixelSegmentation", "--data", "acdc", "--data.root", str(acdc_tree), *words)
    assert {name: record.frames for name, record in found.items()} == {
        **dict.fromkeys(load_card("acdc").adverse, 1),
        "all": 4,
    }


def test_key_frames_are_judged_by_the_condition_of_their_scene(judged, nuscenes_tree: NuScenesTree):
    names = {"scene-0061": "scene-1065", "scene-0103": "scene-0904"}
    nuscenes_tree.edit("scene", lambda record: record.update(name=names[record["name"]]))
    words = ("--data.probe", "mini", "--data.test", "mini", "--data.image_size", "[32,64]")
    found = judged("PointSegmentation", "--data", "nuscenes", "--data.root", str(nuscenes_tree.root), *words)
    assert {name: record.frames for name, record in found.items()} == {"night-rain": 4, "day-rain": 1, "all": 5}


def test_nuscenes_validation_is_parted_in_four():
    """As a list that was made by hand and is public has it: 24 in rain by day, 15 at night, three of those wet."""
    card = load_card("nuscenes")
    val = scene_names(card.splits["val"]["scenes"])
    lists = {name: scene_names(written) & val for name, written in card.scene_conditions.items()}
    lists[card.usual] = val - set.union(*lists.values())
    assert set(lists) == {"day-dry", "day-rain", "night-dry", "night-rain"} == {*card.clear, *card.adverse}
    assert lists["day-rain"] == scene_names("625-627 629-630 632-638 904-915")
    assert lists["night-rain"] == scene_names("1060 1065 1067")
    assert lists["night-dry"] | lists["night-rain"] == scene_names("1059-1073")
    assert sum(map(len, lists.values())) == len(set.union(*lists.values())) == len(val) == 150
    splits = pytest.importorskip("nuscenes.utils.splits")
    assert val == set(splits.val)
