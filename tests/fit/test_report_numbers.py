"""Figures of the report, and of the studies' tables beside it."""

import family
import pytest

from lidar2d.fit.report import _number


@pytest.mark.parametrize("say", [_number, lambda value, sign: family._spread([value], sign)])
def test_what_rounds_to_nothing_has_no_sign(say):
    assert [say(value, "+") for value in (-0.04, 0.04, 0.06)] == ["0.0", "0.0", "+0.1"]
