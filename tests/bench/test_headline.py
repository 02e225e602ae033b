"""The line that `lidar2d bench` prints of an evaluation: numbers that its tables show."""

from dataclasses import replace

import pytest

from lidar2d.bench.run import _headline
from lidar2d.results.record import Record

ALL = Record("s", "m", "synthetic", "all", 0, "seg3d-lp/town@1", 100, 0, {"accuracy": 90.0, "miou": 35.48}, seconds=9.0)


def judged(condition, severity, miou):
    return replace(ALL, condition=condition, severity=severity, metrics={"miou": miou})


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([judged("day", 0, 40.0), ALL], "  all: accuracy 90.00, miou 35.48  (9 s)"),
        (
            [judged("clear", 0, 50.0), judged("fog", 1, 40.0), judged("fog", 3, 20.0), judged("jpeg", 1, 10.0), ALL],
            "  clear: miou 50.00, bad weather: miou 20.00  (9 s)",
        ),
        ([replace(ALL, metrics={}, error="no truth")], "  all:   (9 s)"),
    ],
    ids=["days", "weather", "nothing"],
)
def test_an_evaluation_is_told_by_numbers_of_its_table(records, said):
    assert _headline(records) == said
