"""One clear frame of the town."""

import pytest

from lidar2d.data.card import load_card
from lidar2d.data.synthetic.town import Town


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    return Town(load_card("synthetic"), "smoke", tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def day(town):
    return town[0]
