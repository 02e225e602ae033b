"""Records as a suite of bad weather leaves them, without the hours that one takes."""

import numpy as np
import pytest

from lidar2d.results.record import Record
from lidar2d.results.store import Store

SEVERITIES = (1, 3, 5)
CORRUPTIONS = ("fog", "rain")
DRAWN = 100


def weather_records(method, strength, seeds=(0, 1, 2), protocol="seg2d-lin/town@1", suite="weather", **changes):
    """Make the records of one method: the stronger, the less is lost."""
    found = []
    for seed in seeds:
        luck = np.random.default_rng(0).normal(0, 0.02, DRAWN)  # of the scenes: the same for all
        for condition, severity in [("clear", 0), *((name, s) for name in CORRUPTIONS for s in SEVERITIES)]:
            lost = severity * (0.09 if condition == "fog" else 0.05) * (1 - strength)
            value = 0.5 - lost + 0.004 * (seed - 1)
            given = {
                "metrics": {"miou": 100 * value, "accuracy": 80.0},
                "draws": list(value + luck),
                "weather": "weather-v1@1",
                "backbone": "SmallConv town-supervised",
                "teacher": "SmallConv town-supervised",
                "asked": "a1b2c3",
                "seconds": 12.0,
                "frames": 100,
                **changes,
            }
            found.append(Record(suite, method, "synthetic", condition, severity, protocol, 100, seed, **given))
    return found


@pytest.fixture
def records():
    """Three methods in fog and rain, three seeds each."""
    return [
        *weather_records("collab", 0.6),
        *weather_records("teacher", 0.0),
        *weather_records("photometric", 0.3),
    ]


@pytest.fixture
def results(tmp_path, records):
    """A folder of their records, beside a README that shows a leaderboard."""
    Store(tmp_path / "results").add(records)
    text = "# A project\n\n<!-- leaderboard: weather -->\nold\n<!-- end of the leaderboard -->\n\nMore.\n"
    (tmp_path / "README.md").write_text(text)
    return tmp_path / "results"
