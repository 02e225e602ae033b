"""What Collaborative Distillation is worth on the town: the recorded runs, and (slow, half an hour) one made afresh."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest
import worth

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "results" / "studies" / "foundation" / "collab.jsonl"
ADVERSE = ("dusk", "night", "rain", "fog", "snow")


@pytest.fixture(scope="module", params=["recorded", pytest.param("fresh", marks=pytest.mark.slow)])
def gains(request, tmp_path_factory):
    """Student minus teacher in points of mIoU of the probe fitted on clear scenes, by variant and condition."""
    path = RECORDED
    if request.param == "fresh":
        folder = tmp_path_factory.mktemp("worth")
        path = folder / "collab.jsonl"
        variants = [variant for variant in worth.VARIANTS if variant != "minkunet"]
        words = ["--seeds", "0", "--variants", *variants, "--runs", str(folder / "runs"), "--out", str(path)]
        subprocess.run([sys.executable, str(ROOT / "benchmarks" / "worth.py"), *words], check=True)
    gained = {}
    for record in map(json.loads, path.read_text().splitlines()):
        student, teacher = (record["features"][name]["clear_probe"]["miou"] for name in ("student", "teacher"))
        for condition in teacher:
            found = gained.setdefault(record["variant"], {}).setdefault(condition, [])
            found.append(student[condition] - teacher[condition])
    return {variant: {c: mean(values) for c, values in found.items()} for variant, found in gained.items()}


def adverse(gained):
    return mean(gained[condition] for condition in ADVERSE)


def test_the_student_gains_in_every_adverse_condition(gains):
    assert adverse(gains["collab"]) >= 8
    assert min(gains["collab"][condition] for condition in ADVERSE) >= 4


def test_the_student_keeps_clear_days(gains):
    assert gains["collab"]["day"] >= -1


def test_the_student_gains_half_of_what_the_clear_twin_would_give(gains):
    assert adverse(gains["collab"]) >= adverse(gains["oracle"]) / 2


def test_lidar_is_worth_more_than_photometric_augmentation(gains):
    for condition in ("fog", "rain", "snow"):
        assert gains["collab"][condition] >= gains["photometric"][condition] + 3, condition


@pytest.mark.parametrize("control", ["shuffled", "untrained"])
def test_the_gain_is_gone_without_a_taught_lidar_network(gains, control):
    # what is left comes from the photometric distortion of clear images, as the next test shows
    assert adverse(gains[control]) < adverse(gains["collab"]) / 5


def test_lidar_alone_makes_the_gain_and_nothing_is_left_of_it_without_its_targets(gains):
    assert adverse(gains["undistorted"]) >= adverse(gains["photometric"])
    assert adverse(gains["undistorted-shuffled"]) < 0


@pytest.mark.parametrize(("probe", "page"), [("clear_probe", "README.md"), ("mixed_probe", "results/README.md")])
def test_the_pages_show_the_recorded_table(probe, page):
    records = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    assert worth.table(records, probe) in (ROOT / page).read_text()
