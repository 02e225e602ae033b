"""How numbers are written: with as many digits as they have, and without the sign of nothing."""

from statistics import fmean

import pytest

from lidar2d.results.measures import decimals, written


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (-0.04, "", "0.0"),
        (-0.04, "+", "0.0"),
        (0.04, "+", "0.0"),
        (0.06, "+", "+0.1"),
        (-0.06, "", "-0.1"),
        (3, "", "3.0"),
    ],
)
def test_what_rounds_to_nothing_has_no_sign(value, sign, text):
    assert written(value, 1, sign) == text


def test_a_half_is_rounded_as_it_reads_however_it_was_summed():
    seeds = (54.1033, 54.4613, 54.7854)
    assert {written(sum(seeds) / 3), written(fmean(seeds)), written(100 * fmean(each / 100 for each in seeds))} == {
        "54.5"
    }


@pytest.mark.parametrize(
    ("value", "count"), [(72.36, 2), (48.0, 0), (0.4, 1), (100, 0), (0.298, 3), (1e-7, 7), (1e7, 0)]
)
def test_the_decimals_of_a_number_are_counted(value, count):
    assert decimals(value) == count
