"""Published numbers: each says where it stands, none stands twice, and sums of theirs come out as they were printed."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from lidar2d import recipe
from lidar2d.results.baseline import load_baseline
from lidar2d.results.record import check_name
from lidar2d.results.robustness import mean_corruption_error, mean_resilience_rate
from lidar2d.results.store import Store

FOLDER = Path(__file__).parents[2] / "results"
RECORDS = Store(FOLDER).read("published")
CORRUPTIONS = set(load_baseline("robo3d-nuscenes-c").scores)
CITATION = re.compile(
    r"(arXiv:\d{4}\.\d{5}, )?github\.com/[\w.-]+/[\w.-]+@[0-9a-f]{7}, (README|MODEL_CARD)\.md: \w[^\n]*"
)
# protocols of others that no file here follows; results/README.md says what they are
FOREIGN = {
    *("seg3d-lp/superflow@1", "seg3d-lp/seal@1", "seg3d-lp/st-slidr@1", "seg3d-lp/afov@1", "seg3d-lp/lima@1"),
    *("seg3d-ft/scalr@1", "seg3d-ft/seal@1", "seg3d-ft/st-slidr@1", "seg3d-ft/afov@1", "seg3d-ft/lima@1"),
    *("det3d-ft/pv-rcnn-r40@1", "det3d-ft/second-r40@1", "det3d-ft/pointrcnn-minkunet@1"),
    *("det3d-ft/lima-centerpoint@1", "det3d-ft/uvtr@1", "det3d/openpcdet@1", "det3d/robo3d@1"),
    *("seg2d-lin/dinov2-multiscale@1", "depth-lin/dinov2-nyu-4-layers@1"),
    *("match/dinov3-navi@1", "match/dinov3-spair@1"),
}
# data sets that no card here reads
UNREAD = {
    *("waymo", "synth4d", "rellis3d", "semanticposs", "synlidar", "daps3d", "pandar64", "pandargt"),
    *("ade20k", "sunrgbd", "navi", "spair"),
}
# (method, protocol) of rows that are printed with a number their own scores do not give, and what they give
MCE_SLIPS = {("ppkt", "seg3d-ft/seal@1"): (105.64, 105.94)}
MRR_SLIPS = {("ppkt", "seg3d-ft/seal@1"): (76.06, 75.96)}


def near(number, tolerance=0.01):
    return pytest.approx(number, abs=tolerance)


def number(method, protocol, data="nuscenes", labels=100, condition="all", metric="miou"):
    """The one published number of a cell."""
    asked = (method, protocol, data, labels, condition)
    (found,) = (r for r in RECORDS if (r.method, r.protocol, r.data, r.labels, r.condition) == asked)
    return found.metrics[metric]


def rows():
    """The records of each network in Robo3D's corruptions, by condition; those of clear frames are not among them."""
    found = defaultdict(dict)
    for record in RECORDS:
        if record.weather:
            found[record.method, record.data, record.protocol][record.condition] = record
    return found


ROWS = rows()


def shares(row):
    """The scores of a row as shares, one a corruption: published are means over three severities."""
    scores = {name: list(record.metrics.values()) for name, record in row.items() if name != "corrupted"}
    assert set(scores) == CORRUPTIONS
    return {name: [value / 100] for name, (value,) in scores.items()}


def test_every_number_says_where_it_stands():
    assert len(RECORDS) > 600
    for record in RECORDS:
        assert record.source == "paper"
        assert CITATION.fullmatch(record.citation), record.citation
        assert (record.seed, record.severity, record.commit, record.version, record.recipe) == (0, 0, "", "", "")


def test_no_two_are_of_the_same_cell():
    assert len({record.cell for record in RECORDS}) == len(RECORDS)


def test_names_are_those_of_the_project_or_are_known_to_be_others():
    assert {r.protocol for r in RECORDS} - set(recipe.names("protocols")) == FOREIGN
    assert {r.data for r in RECORDS} - set(recipe.names("datasets")) == UNREAD
    assert {r.condition for r in RECORDS} == CORRUPTIONS | {"all", "corrupted"}
    for record in RECORDS:
        assert check_name(record.method, "method") == record.method
        assert record.weather == ("" if record.condition == "all" else "robo3d@1")


def test_metrics_are_called_and_measured_as_here():
    known = r"miou|map|nds|mce|mrr|rmse|recall|ap3d(-r11)?(/(Car|Pedestrian|Cyclist))?/moderate"
    for record in RECORDS:
        for name, value in record.metrics.items():
            assert re.fullmatch(known, name), name
            low, high = {"rmse": (0.2, 1), "mce": (80, 200)}.get(name, (5, 100))  # percent, metres of rooms
            assert low < value < high, record


def test_files_are_as_the_store_writes_them():
    for path in (FOLDER / "published").glob("*.jsonl"):
        own = sorted(record.line() for record in RECORDS if record.method == path.stem)
        assert path.read_bytes() == "".join(f"{line}\n" for line in own).encode(), path


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_mce_comes_out_of_the_row(row):
    method, data, protocol = row
    if protocol.startswith("seg3d"):
        baseline = load_baseline("robo3d-nuscenes-c").over(1)
    else:
        baseline = shares(ROWS["centerpoint", data, protocol])
    found, printed = mean_corruption_error(shares(ROWS[row]), baseline), ROWS[row]["corrupted"].metrics["mce"]
    if (method, protocol) in MCE_SLIPS:
        assert (printed, found) == (MCE_SLIPS[method, protocol][0], near(MCE_SLIPS[method, protocol][1]))
        assert "105.94" in ROWS[row]["corrupted"].citation
    else:
        assert found == near(printed)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_mrr_comes_out_of_the_row_and_a_published_clear_score(row):
    method, data, protocol = row
    # SuperFlow's and LiMoE's tables of corruptions do not say with which teacher; one of them fits
    clear = [
        next(iter(r.metrics.values()))
        for r in RECORDS
        if (r.data, r.protocol, r.labels, r.condition) == (data, protocol, 100, "all")
        and re.fullmatch(rf"{re.escape(method)}(-dinov2-[sbl])?", r.method)
    ]
    printed = ROWS[row]["corrupted"].metrics["mrr"]
    found = [mean_resilience_rate(shares(ROWS[row]), score / 100) for score in clear]
    if (method, protocol) in MRR_SLIPS:
        assert (printed, found) == (MRR_SLIPS[method, protocol][0], [near(MRR_SLIPS[method, protocol][1])])
    else:
        assert any(value == near(printed) for value in found), found


def test_the_mean_of_kittis_classes_is_theirs():
    judged = [r.metrics for r in RECORDS if "ap3d/Car/moderate" in r.metrics]
    assert len(judged) == 8
    for own in judged:
        mean = sum(own[f"ap3d/{name}/moderate"] for name in ("Car", "Pedestrian", "Cyclist")) / 3
        assert mean == near(own["ap3d/moderate"], 0.1)


@pytest.mark.parametrize(
    ("method", "protocol", "where", "printed"),
    [
        ("random", "seg3d-lp/slidr@1", {}, 8.1),
        ("ppkt", "seg3d-lp/slidr@1", {}, 36.4),
        ("slidr", "seg3d-lp/slidr@1", {}, 38.8),
        ("slidr", "seg3d-ft/slidr@1", {"labels": 1}, 38.3),
        ("slidr", "seg3d-ft/slidr-kitti@1", {"labels": 1, "data": "semantickitti"}, 44.6),
        ("olivine", "seg3d-lp/slidr@1", {}, 50.0),
        ("olivine", "seg3d-ft/slidr@1", {"labels": 25}, 70.1),
        ("st-slidr-swav", "seg3d-ft/st-slidr@1", {"labels": 1}, 41.20),
        ("ppkt", "seg3d-lp/seal@1", {}, 35.90),
        ("seal", "seg3d-ft/seal@1", {"labels": 50, "data": "semanticstf"}, 53.46),
        ("ppkt", "seg3d-ft/seal@1", {"labels": 10, "data": "synth4d"}, 62.41),
        ("slidr-dinov2-s", "seg3d-lp/superflow@1", {}, 44.70),
        ("seal-dinov2-l", "seg3d-ft/superflow@1", {"labels": 1}, 46.27),
        ("superflow-dinov2-b", "seg3d-lp/superflow@1", {}, 47.66),
        ("superflow-dinov2-b", "seg3d-ft/superflow@1", {"labels": 1, "data": "waymo"}, 50.20),
        ("superflow-limoe-dinov2-l", "seg3d-ft/superflow@1", {}, 77.85),
        ("slidr-limoe-dinov2-s", "seg3d-ft/superflow@1", {"labels": 1, "data": "semantickitti"}, 46.81),
        ("scalr-minkunet34-dinov2-b", "seg3d-lp/lima@1", {}, 51.90),
        ("scalr", "seg3d-lp/scalr@1", {}, 67.8),
        ("random", "seg3d-ft/scalr@1", {}, 78.7),
        ("afov-san", "seg3d-lp/afov@1", {}, 56.35),
        ("seal", "seg3d-ft/seal@1", {"condition": "fog"}, 72.66),
        ("superflow-limoe", "seg3d-lp/superflow@1", {"condition": "corrupted", "metric": "mce"}, 155.77),
        ("second-mh", "det3d/robo3d@1", {"condition": "corrupted", "metric": "mce"}, 97.50),
        ("olivine", "det3d-ft/pv-rcnn-r40@1", {"data": "kitti", "metric": "ap3d/Pedestrian/moderate"}, 59.3),
        ("deepcluster", "det3d-ft/second-r40@1", {"data": "kitti", "metric": "ap3d/moderate"}, 66.1),
        ("slidr", "det3d-ft/pointrcnn-minkunet@1", {"data": "kitti", "labels": 20, "metric": "map"}, 62.4),
        ("scalr", "det3d-ft/lima-centerpoint@1", {"labels": 5, "metric": "nds"}, 53.3),
        ("voxel-rcnn", "det3d/openpcdet@1", {"data": "kitti", "metric": "ap3d-r11/Car/moderate"}, 84.54),
        ("voxelnext-0.075", "det3d/openpcdet@1", {"metric": "nds"}, 66.65),
        ("unipad-lidar", "det3d-ft/uvtr@1", {"metric": "nds"}, 70.6),
        ("dinov2-l", "depth-lin/dinov2-nyu-4-layers@1", {"data": "nyuv2", "metric": "rmse"}, 0.333),
        ("dinov2-g", "seg2d-lin/dinov2-multiscale@1", {"data": "ade20k"}, 53.0),
        ("dinov3-b", "seg2d-lin/dinov3@1", {"data": "ade20k"}, 51.8),
        ("dinov3-7b", "depth-lin/dinov3@1", {"data": "nyuv2", "metric": "rmse"}, 0.309),
        ("dinov3-l", "match/dinov3-spair@1", {"data": "spair", "labels": 0, "metric": "recall"}, 61.3),
    ],
)
def test_numbers_are_as_printed(method, protocol, where, printed):
    assert number(method, protocol, **where) == printed


def test_tables_with_names_of_classes_are_told_apart():
    text = {r.method for r in RECORDS if r.uses_text_supervision}
    assert text == {"olivine", "afov-san", "afov-tmp-san"}


def test_what_no_table_could_be_found_for_is_not_here():
    assert not {r.method for r in RECORDS} & {"hvdistill", "csc", "collab", "cleverdistiller", "hilda", "largead"}
