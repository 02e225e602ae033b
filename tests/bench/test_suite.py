"""Suites: what they are made of, which cells are missing, and how they are shared out."""

import subprocess
import sys
from datetime import date

import pytest
import yaml

from lidar2d.arguments import eval_parser, parse
from lidar2d.bench.run import fit_words, judge_words
from lidar2d.bench.suite import Cell, done, load_suite, shard
from lidar2d.data.card import load_card
from lidar2d.data.module import LidarData
from lidar2d.errors import UsageError
from lidar2d.fit.saved import resolve
from lidar2d.recipe import digest, find, names, read
from lidar2d.results.record import Record

GIVEN = {
    "methods": {"ppkt": {"method.pretrain.steps": 1}, "mine": {"recipe": "slidr"}},
    "judge": [
        {"data": "synthetic", "protocols": ["seg3d-lp/town@1", "depth-lin/town@1"], "settings": {"test": "smoke"}},
        {"data": "semantickitti", "protocols": ["seg3d-lp/town@1"], "labels": [1, 100]},
    ],
    "seeds": [0, 1],
}


def suite(tmp_path, **changes):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in {**GIVEN, **changes}.items() if value != "left out"}))
    return load_suite(str(path))


def record(cell, **changes):
    given = {"metrics": {"miou": 1.0}, **changes}
    return Record("own", cell.method, cell.data, "all", 0, cell.protocol, cell.labels, cell.seed, **given)


@pytest.mark.parametrize("name", names("suites"))
def test_shipped_suites_are_read(name):
    found = load_suite(name)
    for cell in found.cells():
        judged, protocol = found.judged(cell)
        assert protocol == cell.protocol
        data = load_card(cell.data)
        for split in ("probe", "val", "test"):
            if split in judged.settings:
                data.split(judged.settings[split])


@pytest.mark.parametrize("name", ["clean", "nuscenes"])  # the others have rows of these
def test_rows_are_recipes_with_the_folder_of_their_data(name):
    found = load_suite(name)
    for method in found.methods:
        content = resolve(fit_words(found, method, 3, {"nuscenes": "somewhere"}))
        assert content["seed"] == 3
        assert content["data"]["root"] == ("somewhere" if content["data"]["card"] == "nuscenes" else None)


@pytest.mark.parametrize("name", names("suites"))
def test_what_a_judge_sets_is_a_setting(name):
    for judged in load_suite(name).judge:
        parser = eval_parser(LidarData)
        assert parse(parser, judge_words(judged, {"nuscenes": "somewhere"})).data.card == judged.data


def test_a_judge_may_be_of_some_methods(tmp_path):
    judge = [{**GIVEN["judge"][0], "methods": ["mine"]}, {**GIVEN["judge"][0], "methods": ["ppkt"], "settings": {}}]
    found = suite(tmp_path, judge=judge)
    assert len(found.cells()) == 2 * 2 * 2
    assert {cell.method: found.judged(cell)[0].settings for cell in found.cells()} == {
        "mine": {"test": "smoke"},
        "ppkt": {},
    }
    with pytest.raises(UsageError, match="methods of a judge has 'slidr', which is no row; known: mine, ppkt"):
        suite(tmp_path, judge=[{**GIVEN["judge"][0], "methods": ["slidr"]}])
    with pytest.raises(UsageError, match="depth-lin/town@1 on synthetic stands twice"):
        suite(tmp_path, judge=[judge[0], {**judge[1], "methods": []}])


def test_cells_are_the_product_and_those_of_a_run_stand_together(tmp_path):
    found = suite(tmp_path)
    cells = found.cells()
    assert len(cells) == len(set(cells)) == 2 * 2 * (2 + 2)
    runs = [(cell.method, cell.seed) for cell in cells]
    assert runs == sorted(runs, key=runs.index)
    assert found.methods["mine"].recipe == "slidr"
    assert found.judged(cells[0])[0].settings == {"test": "smoke"}
    assert (
        str(next(cell for cell in cells if cell.labels == 1))
        == "mine, seed 0: seg3d-lp/town@1 on semantickitti, 1 % of the labels"
    )


def test_a_suite_is_not_called_as_the_records_of_eval_are(tmp_path):
    path = tmp_path / "eval.yaml"
    path.write_text(yaml.safe_dump(GIVEN))
    with pytest.raises(UsageError, match="cannot be called eval"):
        load_suite(str(path))


def test_files_that_records_would_call_the_same_are_refused(tmp_path):
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "own.yaml").write_text("{}")
    protocols = [str(tmp_path / "own.yaml"), str(tmp_path / "sub" / "own.yaml")]
    with pytest.raises(UsageError, match="own/own@0 on synthetic stands twice in judge; files need names of their own"):
        suite(tmp_path / "sub", judge=[{"data": "synthetic", "protocols": protocols}])


def test_shards_are_whole_runs_and_together_everything(tmp_path):
    cells = suite(tmp_path).cells()
    for count in (1, 2, 3, 5):
        parts = [shard(cells, f"{k}/{count}") for k in range(1, count + 1)]
        assert sorted(map(str, [cell for part in parts for cell in part])) == sorted(map(str, cells))
        runs = [{(cell.method, cell.seed) for cell in part} for part in parts]
        assert sum(map(len, runs)) == 4
    for wrong in ("0/2", "3/2", "1", "1/0", "a/b", "-1/2"):
        with pytest.raises(UsageError, match="give k/n"):
            shard(cells, wrong)


def test_done_cells_have_a_record_and_failed_ones_can_be_tried_again(tmp_path):
    asked = suite(tmp_path)
    cells = asked.cells()
    of_it = {"suite_version": asked.version, "asked": digest(find("protocols", cells[0].protocol))}
    records = [record(cells[0], **of_it), record(cells[1], metrics={}, error="no space", **of_it)]
    assert done(asked, cells, records) == {cells[0]: False, cells[1]: True}
    other = Cell("ppkt", 7, "synthetic", "seg3d-lp/town@1", 100)
    assert done(asked, cells, [record(other, **of_it)]) == {}


def test_records_of_another_version_or_of_another_protocols_text_do_not_count(tmp_path):
    asked = suite(tmp_path)
    cells = asked.cells()
    assert done(asked, cells, [record(cells[0], suite_version=asked.version + 1)]) == {}
    own = digest(find("protocols", cells[0].protocol))
    assert done(asked, cells, [record(cells[0], suite_version=asked.version, asked=own)]) == {cells[0]: False}
    assert done(asked, cells, [record(cells[0], suite_version=asked.version, asked="another")]) == {}


def test_records_of_other_weather_do_not_count(tmp_path):
    weather = {"corruptions": ["fog"], "severities": [1]}
    asked = suite(tmp_path, judge=[{**GIVEN["judge"][0], "settings": {"weather": weather}}])
    cells = asked.cells()
    of_it = {"suite_version": asked.version, "asked": digest(find("protocols", cells[0].protocol))}
    table = f"weather-v1@{read(find('corruptions', 'weather-v1'))['version']}"
    assert done(asked, cells, [record(cells[0], weather=table, **of_it)]) == {cells[0]: False}
    assert done(asked, cells, [record(cells[0], weather="weather-v1@0", **of_it)]) == {}
    assert done(asked, cells, [record(cells[0], **of_it)]) == {}


def judged_in(weather):
    return [{**GIVEN["judge"][0], "settings": {"test": "smoke", "weather": weather}}]


@pytest.mark.parametrize(
    ("weather", "said"),
    [
        ({"corruptions": ["foggy"]}, r"corruptions: weather-v1 has no 'foggy'; did you mean 'fog'\?"),
        ({"corruptions": []}, r"corruptions is \[\]; it must be a list of names"),
        ({"corruptions": "fog"}, "corruptions is 'fog'; it must be a list of names"),
        ({"corruptions": ["fog", "fog"]}, "each must stand once"),
        ({"severities": [9]}, "severities has 9; fog of weather-v1 has 1 to 5"),
        ({"severities": []}, r"severities is \[\]; it must be a list of whole numbers"),
        ({"severities": [1.5]}, r"severities is \[1\.5\]; it must be a list of whole numbers"),
        ({"severities": [4], "table": "robo3d-compat-nuscenes"}, "of robo3d-compat-nuscenes has 1 to 3"),
        ({"sevs": [1]}, "settings.weather has no key 'sevs'; known: corruptions, keep, severities, table"),
        ({"table": "nope"}, "settings.weather.table: no corruption 'nope'; known: imagenet-c-compat"),
        ({"table": 3}, "settings.weather.table is 3; name one: weather-v1"),
        ({"keep": "maybe"}, "settings.weather.keep is 'maybe'; it is true or false"),
        ("weather-v1", "settings.weather is 'weather-v1'; give its settings: {table: weather-v1}"),
    ],
)
def test_weather_that_a_table_does_not_have_is_told_before_anything_is_trained(tmp_path, weather, said):
    with pytest.raises(UsageError, match=said) as raised:
        suite(tmp_path, judge=judged_in(weather))
    assert str(raised.value).startswith(str(tmp_path / "own.yaml"))


def test_a_suite_is_read_without_torch():
    code = "import sys; from lidar2d.bench import suite; suite.load_suite('weather'); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_of_weather_may_stand_apart(tmp_path):
    apart = {"weather.corruptions": ["fog"], "weather.table": "weather-v1"}
    found = suite(tmp_path, judge=[{**GIVEN["judge"][0], "settings": apart}])
    assert found.judge[0].settings == {"weather": {"corruptions": ["fog"], "table": "weather-v1"}}


def test_records_of_another_source_do_not_count(tmp_path):
    measured, smoke = suite(tmp_path), suite(tmp_path, source="smoke")
    cells = measured.cells()
    own = {"suite_version": 1, "asked": digest(find("protocols", cells[0].protocol))}
    assert done(measured, cells, [record(cells[0], **own)]) == {cells[0]: False}
    assert done(smoke, cells, [record(cells[0], **own)]) == {}
    assert done(smoke, cells, [record(cells[0], metrics={}, error="no space", **own)]) == {}
    assert done(smoke, cells, [record(cells[0], source="smoke", **own)]) == {cells[0]: False}


def test_a_row_that_is_not_taught_says_so(tmp_path):
    asked = suite(tmp_path, methods={"ppkt": None, "teacher": {"recipe": "ppkt", "taught": False}})
    assert [entry.taught for entry in asked.methods.values()] == [True, False]
    with pytest.raises(UsageError, match=r"methods\.ppkt\.taught is 'no'; it is true or false"):
        suite(tmp_path, methods={"ppkt": {"taught": "no"}})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": "left out"}, "missing key 'methods'"),
        ({"judge": []}, "missing key 'judge'"),
        ({"judge": {"data": "synthetic"}}, "judge is no list"),
        ({"method": {}}, r"unknown key 'method'; did you mean 'methods'\?"),
        ({"methods": {"pptk": None}}, r"no method 'pptk'; did you mean 'ppkt'\?"),
        ({"methods": {"ppkt": 3}}, "methods.ppkt is 3"),
        ({"judge": [{"data": "town", "protocols": ["seg3d-lp/town@1"]}]}, "no dataset 'town'"),
        ({"judge": [{"data": "synthetic", "protocols": ["seg3d-lp/twon@1"]}]}, r"did you mean 'seg3d-lp/town@1'\?"),
        ({"judge": [{"data": "synthetic", "protocols": "seg3d-lp/town@1"}]}, "protocols is no list"),
        ({"judge": GIVEN["judge"][:1] * 2}, "depth-lin/town@1 on synthetic stands twice"),
        ({"judge": [{**GIVEN["judge"][0], "labels": [2]}]}, "labels has 2; known: 1, 5, 10"),
        ({"seeds": [0, 0]}, "seeds has a number twice"),
        ({"seeds": 3}, "seeds is 3; it must be a list"),
        ({"seeds": [99999999999]}, "seeds has 99999999999; the largest is 4294967295"),
        ({"version": 1.5}, r"version is 1\.5; it must be a whole number"),
        ({"methods": {"ppkt": {"tought": False}}}, r"methods\.ppkt has no key 'tought'; did you mean 'taught'\?"),
        ({"pretrain": {"trainr.devices": 2}}, r"pretrain has no key 'trainr\.devices'; did you mean 'trainer'\?"),
        ({"source": "paper"}, "source is 'paper'; it is measured or smoke"),
        ({"methods": {"../ppkt": {"recipe": "ppkt"}}}, "the name of a row is '../ppkt'"),
        ({"pretrain": {"seed": 7}}, "pretrain.seed has no meaning in a suite"),
        ({"judge": [{**GIVEN["judge"][0], "settings": {"card": "kitti"}}]}, "settings.card has no meaning"),
        ({"judge": [{**GIVEN["judge"][0], "settings": {"share": 1}}]}, "settings.share has no meaning"),
        ({"judge": [{**GIVEN["judge"][0], "methods": [["ppkt"]]}]}, "which is no row"),
        ({"pretrain": {"data.root": date(2020, 1, 1)}}, "data.root is '2020-01-01'; give text"),
    ],
)
def test_wrong_suites_are_told(tmp_path, changes, said):
    with pytest.raises(UsageError, match=said) as raised:
        suite(tmp_path, **changes)
    assert str(raised.value).startswith(str(tmp_path / "own.yaml"))
