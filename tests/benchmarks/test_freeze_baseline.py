"""A frozen baseline says what its records say, and is found by the table that they are of."""

import json

import pytest
from freeze_baseline import frozen

from lidar2d.leaderboard.board import resilience, tables
from lidar2d.results.baseline import load_baseline
from lidar2d.results.record import Record


def record(method, condition, severity, seed, miou):
    about = {"metrics": {"miou": miou}, "weather": "weather-v1@1", "backbone": "SmallConv"}
    return Record("weather", method, "synthetic", condition, severity, "seg2d-lin/town@1", 100, seed, **about)


def test_a_row_beside_itself_has_an_error_of_100(tmp_path):
    records = [
        record(method, condition, severity, seed, better + 50 - 5 * severity + seed)
        for method, better in (("teacher", 0), ("collab", 5))
        for condition, severity in (("clear", 0), ("fog", 1), ("fog", 3), ("rain", 1), ("rain", 3))
        for seed in (0, 1)
    ]
    (table,) = tables(records)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(frozen("own", table, table.row("teacher"))))
    (beside,) = tables(records, [load_baseline(str(path))])
    assert beside.baseline.scores["fog"] == pytest.approx((0.455, 0.355))
    assert resilience(beside, beside.row("teacher")).mce.value == pytest.approx(100)
    assert resilience(beside, beside.row("collab")).mce.value < 100
