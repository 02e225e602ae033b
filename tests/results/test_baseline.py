"""Baselines: frozen tables that are read whole, or refused with the key that is wrong."""

import json
import subprocess
import sys

import pytest

from lidar2d import recipe
from lidar2d.errors import UsageError
from lidar2d.results.baseline import load_baseline
from lidar2d.results.robustness import mean_corruption_error

GOOD = {
    "version": 1,
    "name": "mine",
    "network": "a network",
    "citation": "somebody, 2023",
    "table": "Table 1",
    "score": "miou",
    "unit": "percent",
    "severities": 3,
    "clear": 75.0,
    "scores": {"fog": [60.0, 50.0, 40.0], "snow": [30]},
}
OWN = {"data": "town", "protocol": "p@1", "weather": "w@1", "method": "teacher", "judged": [1, 3, 5]}
# what the released files say: a change of a number goes with a new version, and with a new line here
FROZEN = {
    "robo3d-nuscenes-c": (1, "8b27d163bbf5"),
    "robobev-nuscenes-c": (1, "2c7a412ce50c"),
    "robodepth-kitti-c": (1, "3108149c7911"),
    "town-depth-weather-v1": (1, "0d3f2f41757d"),
    "town-det3d-weather-v1": (1, "3b63975f67ac"),
    "town-match-weather-v1": (1, "08fd07a15e14"),
    "town-normals-weather-v1": (1, "33693734a225"),
    "town-seg2d-weather-v1": (1, "3af5dd35d8a4"),
    "town-seg3d-weather-v1": (1, "0b460e7fd2b3"),
}


@pytest.fixture
def mine(tmp_path):
    def write(text=None, **changed):
        given = {key: value for key, value in (GOOD | changed).items() if value is not None}
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(given) if text is None else text)
        return str(path)

    return write


def test_the_released_tables_stay_as_they_are():
    assert set(recipe.names("baselines")) == set(FROZEN)
    found = {name: load_baseline(name) for name in FROZEN}
    assert {name: (each.version, each.digest) for name, each in found.items()} == FROZEN
    for name, each in found.items():
        assert each.name == name
        assert mean_corruption_error(each.over(each.severities), each.over(each.severities)) == pytest.approx(100)


def test_it_measures_what_was_judged_as_it_was(mine):
    found = load_baseline(mine(**OWN))
    whole = [(name, severity) for name in ("fog", "snow") for severity in (1, 3, 5)]
    assert found.of("town", "p@1", "w@1", whole)
    assert found.of("town", "p@1", "w@1", whole[:3])
    assert not any(
        found.of(*other, whole) for other in [("x", "p@1", "w@1"), ("town", "x", "w@1"), ("town", "p@1", "x")]
    )
    for other in ([*whole, ("rain", 1)], [*whole, ("fog", 2)], whole[:2], [("fog", 1), ("fog", 2), ("fog", 3)]):
        assert not found.of("town", "p@1", "w@1", other)
    assert not load_baseline(mine()).of("", "", "", whole)


def test_scores_are_shares_whatever_the_file_has(mine):
    found = load_baseline(mine())
    assert (found.clear, found.scores) == (0.75, {"fog": (0.6, 0.5, 0.4), "snow": (0.3,)})
    found = load_baseline(mine(unit="error", clear=0.1, scores={"fog": [1.25]}))
    assert (found.clear, found.scores) == (0.9, {"fog": (-0.25,)})
    assert load_baseline(mine(unit="share", clear=1, scores={"fog": [0.5]})).scores == {"fog": (0.5,)}


def test_a_mean_stands_for_each_severity(mine):
    found = load_baseline(mine())
    assert found.over(3) == {"fog": (0.6, 0.5, 0.4), "snow": (0.3, 0.3, 0.3)}
    assert found.over(1) == {"fog": (pytest.approx(0.5),), "snow": (0.3,)}
    with pytest.raises(UsageError, match="baseline mine has 3 severities, and 5 were judged"):
        found.over(5)


def test_the_digest_follows_what_is_said_not_how_it_is_laid_out(mine):
    first = load_baseline(mine()).digest
    assert len(first) == 12
    assert load_baseline(mine(json.dumps(GOOD, indent=4, sort_keys=True))).digest == first
    assert load_baseline(mine(clear=75.1)).digest != first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"citation": None}, "missing key 'citation'"),
        ({"sources": "x"}, "unknown key 'sources'"),
        ({"citation": ""}, "citation is ''; it must be a text"),
        ({"table": 3}, "table is 3; it must be a text"),
        ({"name": "yours"}, "name is 'yours'; a baseline is called as its file, mine"),
        ({"unit": "percents"}, "unit is 'percents'; known: percent, share, error"),
        ({"version": 0}, "version is 0; it must be a whole number from 1"),
        ({"version": True}, "version is True"),
        ({"severities": "3"}, "severities is '3'"),
        ({"clear": 101}, "clear holds 101; numbers of unit percent are 0 to 100"),
        ({"clear": "75"}, "clear holds '75'"),
        ({"clear": 10**400}, "clear holds 1000"),
        ({"scores": {}}, "scores must hold a list of numbers for each corruption"),
        ({"scores": [1.0]}, "scores must hold a list"),
        ({"scores": {"fog": 50.0}}, r"scores\.fog is 50\.0; give one number a severity \(3\), or their mean"),
        ({"scores": {"fog": []}}, r"scores\.fog is \[\]"),
        ({"scores": {"fog": [1.0, 2.0]}}, r"scores\.fog is \[1\.0, 2\.0\]"),
        ({"scores": {"fog": [-1]}}, r"scores\.fog holds -1; numbers of unit percent are 0 to 100"),
        ({"scores": {"fog": [False]}}, r"scores\.fog holds False"),
        ({"scores": {"fog": [100, 100, 100]}}, r"scores\.fog has no error"),
        ({"unit": "share"}, r"numbers of unit share are 0 to 1"),
        ({"data": "synthetic"}, "a baseline with data needs all of data, protocol, weather, method, judged"),
        (OWN | {"judged": None}, "a baseline with data needs all of"),
        (OWN | {"method": 3}, "method is 3; it must be a text"),
        (OWN | {"judged": [1, 3]}, r"judged is \[1, 3\]; it must list as many severities as there are, 3"),
        (OWN | {"judged": [1, 3, 3]}, r"judged is \[1, 3, 3\]"),
        (OWN | {"judged": [1, 3, "5"]}, r"judged is \[1, 3, '5'\]"),
        (OWN | {"judged": 3}, "judged is 3"),
    ],
)
def test_what_means_nothing_is_refused_with_the_file_and_the_key(mine, changed, said):
    with pytest.raises(UsageError, match=rf"mine\.json: .*{said}"):
        load_baseline(mine(**changed))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"version": 1,\n', r"line 3: not valid JSON"),
        ("", r"line 1: not valid JSON"),
        ("version: 1", r"line 1: not valid JSON"),
        ("[1]", r"expected 'key: value'"),
        ('{"version": 1, "version": 2}', r"'version' stands twice"),
        ('{"clear": NaN}', "NaN is no number"),
        ('{"clear": ' + "[" * 100000, "has a value that is none|not valid JSON"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(mine, text, said):
    with pytest.raises(UsageError, match=rf"mine\.json.*{said}"):
        load_baseline(mine(text))


def test_names_and_files_that_are_not_there():
    with pytest.raises(UsageError, match=r"no baseline 'robo3d-nuscenes'; did you mean 'robo3d-nuscenes-c'\?"):
        load_baseline("robo3d-nuscenes")
    with pytest.raises(UsageError, match=r"no file .*nowhere\.json"):
        load_baseline("./nowhere.json")


def test_no_torch_is_needed():
    code = "import sys; from lidar2d.results.baseline import load_baseline; load_baseline('robo3d-nuscenes-c')"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
