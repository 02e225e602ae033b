"""What images teach a 3D network on the town: the recorded runs."""

import json
from pathlib import Path
from statistics import mean

import family
import pytest

ROOT = Path(__file__).parents[2]
RECORDS = [
    json.loads(line) for line in (ROOT / "results" / "studies" / "town" / "points.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("method", family.METHODS)
def test_a_method_is_worth_ten_points_within_the_time_and_memory_of_a_laptop(method):
    mine = [record for record in RECORDS if record["method"] == method]
    assert {record["seed"] for record in mine} == {0, 1, 2}
    clear = {
        name: [record["features"][name]["clear_probe"]["clear"] for record in mine]
        for name in ("distilled", "untrained")
    }
    assert mean(clear["distilled"]) >= mean(clear["untrained"]) + 10
    assert max(record["seconds"] for record in mine) <= 600
    assert max(record["gigabytes"] for record in mine) <= 4


def test_the_page_shows_the_recorded_table():
    assert family.table(RECORDS) in (ROOT / "README.md").read_text()
