"""Records: whole lines, validated when they are read, the same bytes whatever the order they came in."""

import json
import random
from dataclasses import replace

import pytest

from lidar2d.errors import DataError, UsageError
from lidar2d.results.record import Record, check_name, parse
from lidar2d.results.store import Store

RECORD = Record(
    suite="smoke",
    method="ppkt",
    data="synthetic",
    condition="day",
    severity=0,
    protocol="seg3d-ridge/lidar2d@1",
    labels=100,
    seed=0,
    metrics={"miou": 29.698212345, "iou/car": 61.0},
    backbone="RangeView",
    seconds=12.3456789,
)
# a line as the first version wrote it: it must stay readable
OLD = (
    '{"backbone": "RangeView", "condition": "day", "data": "synthetic", "labels": 100, "method": "ppkt", "metrics": '
    '{"iou/car": 61.0, "miou": 29.6982}, "protocol": "seg3d-ridge/lidar2d@1", "schema": 1, "seconds": 12.3457, '
    '"seed": 0, "severity": 0, "suite": "smoke"}'
)


def test_a_line_is_read_back():
    assert RECORD.line() == OLD
    assert parse(OLD) == replace(RECORD, metrics={"iou/car": 61.0, "miou": 29.6982}, seconds=12.3457)
    assert parse(OLD).line() == OLD


def changed(**values):
    given = json.loads(OLD) | values
    return json.dumps({key: value for key, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[]", "no record, but list"),
        (changed(schema=2), "schema 2; this version reads 1"),
        (changed(mIoU=3), "unknown field 'mIoU'"),
        (changed(seed=None), "missing field 'seed'"),
        (changed(seed="0"), "seed is '0'"),
        (changed(seed=True), "seed is True"),
        (changed(method=""), "method is empty"),
        (changed(protocol="ridge"), "not of the form task/name@version"),
        (changed(severity=6), "severity is 6"),
        (changed(condition="clear", severity=3), "condition is 'clear', which has no severity"),
        (changed(condition="a\\nb", severity=3), "which has no severity"),
        (changed(labels=101), "labels is 101"),
        (changed(metrics={}), "either metrics or an error"),
        (changed(draws=[0.5, 1.5]), "draws has a score above 1"),
        (changed(draws="0.5"), "draws is '0.5'"),
        (changed(error="no space"), "either metrics or an error"),
        (changed(metrics={"miou": "high"}), "metrics is"),
        (changed(source="rumour"), "source is 'rumour'"),
        (changed(source="paper"), "published numbers have a citation"),
        (changed(citation="somebody"), "published numbers have a citation"),
        (OLD.replace("29.6982", "NaN"), "NaN is no number"),
        (OLD.replace("29.6982", "1" + 400 * "0"), "metric miou is 1000"),
        (OLD.replace("12.3457", "NaN"), "NaN is no number"),
        (OLD.replace("12.3457", "1e999"), "seconds is inf"),
        (OLD.replace('"seconds"', '"peak_gib"').replace("12.3457", "1e999"), "peak_gib is inf"),
        (changed(teacher="ViT \ud800"), r"teacher is 'ViT \\ud800'; it holds half of a character"),
        (changed(metrics={"iou/\udfff": 1.0}), "metrics is .* it holds half of a character"),
        (5000 * "[", "no JSON"),
    ],
)
def test_lines_that_are_no_record_say_why(line, said):
    with pytest.raises(DataError, match=said):
        parse(line)


def test_files_have_the_same_bytes_whatever_the_order(tmp_path):
    records = [
        replace(RECORD, method=method, condition=condition, seed=seed)
        for method in ("ppkt", "slidr")
        for condition in ("day", "night")
        for seed in range(3)
    ]
    for number in range(4):
        shuffle = random.Random(number).shuffle
        evaluations = [[each for each in records if each.seed == seed] for seed in range(3)]
        shuffle(evaluations)
        store = Store(tmp_path / str(number))
        for each in evaluations:
            shuffle(each)
            store.add(each)
    files = sorted(path.relative_to(tmp_path / "0") for path in (tmp_path / "0").rglob("*.jsonl"))
    assert [str(path) for path in files] == ["smoke/ppkt.jsonl", "smoke/slidr.jsonl"]
    for path in files:
        assert len({(tmp_path / str(number) / path).read_bytes() for number in range(4)}) == 1
    assert len(Store(tmp_path / "0").read("smoke")) == 12


def test_a_cell_that_is_made_again_takes_its_place(tmp_path):
    store = Store(tmp_path)
    store.add([replace(RECORD, metrics={}, error="no space left")])
    store.add([RECORD])
    assert store.read("smoke") == [parse(OLD)]


def test_a_new_evaluation_takes_the_place_of_all_of_an_older_one(tmp_path):
    store = Store(tmp_path)
    store.add([RECORD, replace(RECORD, condition="fog"), replace(RECORD, condition="all")])
    store.add([replace(RECORD, metrics={"miou": 9.0})])
    assert [(each.condition, each.metrics) for each in store.read("smoke")] == [("day", {"miou": 9.0})]


@pytest.mark.parametrize("name", ["a\u2028b", "ä", "x" * 100, "town-segmenter", "slidr+2"])
def test_whatever_is_written_is_read_again(tmp_path, name):
    store = Store(tmp_path)
    for seed in (0, 1):
        store.add([replace(RECORD, method=name, seed=seed, teacher="one\u2028two\x85three")])
    assert len(store.read("smoke")) == 2


@pytest.mark.parametrize("name", ["", ".", "../up", "a/b", "a\nb", "\0", "x" * 101, "a\u2028b", "-x", "\udcff"])
def test_names_that_no_file_should_have_are_refused(name):
    with pytest.raises(UsageError, match="give at most 100 letters"):
        check_name(name, "--name")


def test_what_fails_leaves_numbers_of_its_version_and_takes_the_place_of_older_ones(tmp_path):
    store, failure = Store(tmp_path), replace(RECORD, condition="all", metrics={}, error="no space left")
    store.add([RECORD])
    store.add([failure])
    assert store.read("smoke") == [parse(OLD)]
    store.add([replace(failure, suite_version=2)])
    assert [each.error for each in store.read("smoke")] == ["no space left"]
    store.add([replace(RECORD, suite_version=2), replace(RECORD, condition="fog", suite_version=2)])
    store.add([replace(RECORD, suite_version=3)])
    assert [(each.condition, each.suite_version) for each in store.read("smoke")] == [("day", 3)]


def test_what_stands_in_the_wrong_place_or_twice_is_told(tmp_path):
    store = Store(tmp_path)
    path = store.path("smoke", "ppkt")
    path.parent.mkdir()
    for text, said in (
        (f"{OLD}\n{OLD}\n", "line 2: stands already in line 1"),
        (changed(method="slidr"), "line 1: is of suite smoke and method slidr"),
        ("nonsense", "line 1: no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"ppkt\.jsonl, {said}"):
            store.read("smoke")
        with pytest.raises(DataError):
            store.add([RECORD])
        assert path.read_text() == text


def test_nothing_is_half_written(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add([RECORD])
    before = store.path("smoke", "ppkt").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match=r"cannot write .*ppkt\.jsonl: No space left on device"):
        store.add([replace(RECORD, seed=1)])
    assert store.path("smoke", "ppkt").read_bytes() == before
    assert {path.name for path in (tmp_path / "smoke").iterdir()} == {"ppkt.jsonl", ".ppkt.jsonl.lock"}
