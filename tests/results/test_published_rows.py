"""mCE, mRR and DEE of published rows, made anew: which equations the field uses, told by its own numbers."""

import json
from pathlib import Path

import pytest

from lidar2d.results.baseline import load_baseline
from lidar2d.results.robustness import (
    corruption_error,
    depth_error,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rate,
    summary,
)

FOLDER = Path(__file__).parent / "published"


def published(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def near(number, tolerance=0.01):
    return pytest.approx(number, abs=tolerance)


SEGMENTATION = published("robo3d-nuscenes-c")
SEVERITIES = published("robo3d-semantickitti-c")["rows"]
DEPTH = published("robodepth-kitti-c")["rows"]
DETECTION = published("robobev-nuscenes-c")["rows"]


def shares(scores):
    """Percentages of each corruption, one or several a severity, as shares."""
    return {name: [value / 100 for value in values] for name, values in scores.items()}


@pytest.mark.parametrize("network", SEGMENTATION["rows"])
def test_every_row_of_nuscenes_c_gives_its_mce_and_mrr(network):
    row = SEGMENTATION["rows"][network]
    scores = shares({name: [value] for name, value in zip(SEGMENTATION["corruptions"], row["scores"], strict=True)})
    found = summary(scores, row["clear"] / 100, load_baseline("robo3d-nuscenes-c").over(1))
    assert found.mce == near(row["mce"])
    assert found.mrr == near(row["mrr"])


def test_the_three_that_are_pinned():
    pinned = {"FRNet": (98.63, 77.48), "GFNet": (92.55, 83.31), "MinkUNet18": (100.00, 74.44)}
    assert {name: (SEGMENTATION["rows"][name]["mce"], SEGMENTATION["rows"][name]["mrr"]) for name in pinned} == pinned


def test_a_published_row_tells_the_ratio_of_sums_from_the_mean_of_ratios():
    ours, theirs = SEVERITIES["GFNet"], SEVERITIES["MinkUNet18"]
    scores, baseline = shares(ours["scores"]), shares(theirs["scores"])
    for name, values in scores.items():
        # theirs are of means with two decimals
        assert corruption_error(values, baseline[name]) == near(ours["ce"][name], 0.015)
        assert resilience_rate(values, ours["clear"] / 100) == near(ours["rr"][name])
    assert mean_corruption_error(scores, baseline) == near(ours["mce"])
    assert mean_resilience_rate(scores, ours["clear"] / 100) == near(ours["mrr"])

    def mean_of_ratios(name):
        ratios = [(1 - a) / (1 - b) for a, b in zip(scores[name], baseline[name], strict=True)]
        return 100 * sum(ratios) / len(ratios)

    assert corruption_error(scores["fog"], baseline["fog"]) == near(131.34)
    assert mean_of_ratios("fog") == near(131.90)
    assert sum(map(mean_of_ratios, scores)) / len(scores) == near(109.01)  # published: 108.68


def test_means_over_severities_give_the_same_ratio_of_sums():
    ours, theirs = shares(SEVERITIES["GFNet"]["scores"]), shares(SEVERITIES["MinkUNet18"]["scores"])
    for name in ours:
        means = [[sum(values[name]) / 3] for values in (ours, theirs)]
        assert corruption_error(*means) == pytest.approx(corruption_error(ours[name], theirs[name]))


@pytest.mark.parametrize("network", DEPTH)
def test_depth_errors_of_kitti_c_are_those_of_abs_rel_and_d1(network):
    row = DEPTH[network]
    assert depth_error(*row["clear"]["abs_rel_d1"]) == near(row["clear"]["dee"], 0.001)
    assert len(row["abs_rel_d1"]) == 18
    for name, severities in row["abs_rel_d1"].items():
        assert len(severities) == 5
        assert sum(depth_error(*pair) for pair in severities) / 5 == near(row["dee"][name], 0.001)


@pytest.mark.parametrize("network", DEPTH)
def test_every_row_of_kitti_c_gives_its_mce_and_mrr(network):
    row, baseline = DEPTH[network], load_baseline("robodepth-kitti-c")
    clear = 1 - row["clear"]["dee"]
    means = {name: [1 - error] for name, error in row["dee"].items()}
    assert {name: error for name, (error,) in baseline.scores.items()} == {
        name: pytest.approx(1 - error) for name, error in DEPTH["MonoDepth2-R18"]["dee"].items()
    }
    for name, values in means.items():
        assert corruption_error(values, baseline.over(1)[name]) == near(100 * row["ce"][name])
    assert mean_corruption_error(means, baseline.over(1)) == near(row["mce"])
    assert mean_resilience_rate(means, clear) == near(row["mrr"])


def test_monovit_severity_by_severity():
    def scores(network):
        return {n: [1 - depth_error(*pair) for pair in s] for n, s in DEPTH[network]["abs_rel_d1"].items()}

    ours, theirs = scores("MonoViT"), scores("MonoDepth2-R18")
    assert mean_corruption_error(ours, theirs) == near(79.33)
    assert mean_resilience_rate(ours, 1 - DEPTH["MonoViT"]["clear"]["dee"]) == near(89.15)
    # a mean of ratios is another number here as well
    ratios = [[(1 - a) / (1 - b) for a, b in zip(ours[n], theirs[n], strict=True)] for n in ours]
    assert 100 * sum(sum(five) / 5 for five in ratios) / 18 == near(79.12)


@pytest.mark.parametrize("network", DETECTION)
def test_every_row_of_the_birds_eye_view_gives_its_mce_and_mrr(network):
    row = DETECTION[network]
    found = summary(row["scores"], row["clear"], load_baseline("robobev-nuscenes-c").over(3))
    assert found.mce == near(row["mce"])
    assert found.mrr == near(row["mrr"])
    for name, values in row["scores"].items():
        assert sum(values) / 3 == near(row["means"][name], 0.0001)


def test_bevformer_is_pinned():
    row = DETECTION["BEVFormer-Base"]
    assert (row["mce"], row["mrr"], row["clear"]) == (97.97, 60.40, 0.5174)
