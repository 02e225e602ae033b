"""What results/README.md says of the suite of bad weather stands in its tables."""

import re
from pathlib import Path

import pytest

from lidar2d.leaderboard.files import read
from lidar2d.leaderboard.markdown import sections
from lidar2d.results.store import Store

RESULTS = Path(__file__).parents[2] / "results"
INTERVAL = re.compile(r"[+-]?\d+\.\d \[[^]]*\]")
BESIDE = ("teacher", "photometric", "random", "collab", "ppkt", "slidr", "hvdistill")


@pytest.fixture(scope="module")
def claims():
    whole = (RESULTS / "README.md").read_text()
    return whole.partition("`weather/`\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def suite():
    return next(each for each in read(Store(RESULTS)) if each.name == "weather")


def test_every_interval_of_the_claims_is_one_of_the_tables(claims, suite):
    tables = "\n".join(part for name in BESIDE for part in sections(suite.tables, name))
    assert len(found := INTERVAL.findall(claims)) > 40
    assert [each for each in found if each not in tables] == []


def test_the_judging_took_the_minutes_that_are_told(claims, suite):
    seconds = {(each.method, each.protocol, each.seed): each.seconds for each in suite.records}
    assert len(seconds) == 96
    assert f"sum up to {sum(seconds.values()) / 60 / 2:.0f} minutes of two cores" in claims
