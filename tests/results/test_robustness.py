"""mCE, mRR, gap and worst case by hand, and against what goes wrong."""

import pytest

from lidar2d.results.robustness import (
    corruption_error,
    depth_error,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rate,
    summary,
)

SCORES = {"fog": (0.6, 0.4), "snow": (0.5, 0.3)}
BASELINE = {"fog": (0.5, 0.3), "snow": (0.5, 0.1)}


def test_errors_are_a_ratio_of_sums_not_a_mean_of_ratios():
    assert corruption_error((0.6, 0.4), (0.5, 0.3)) == pytest.approx(100 * (0.4 + 0.6) / (0.5 + 0.7))
    assert corruption_error((0.6, 0.4), (0.5, 0.3)) != pytest.approx(100 * (0.4 / 0.5 + 0.6 / 0.7) / 2)
    assert mean_corruption_error(SCORES, BASELINE) == pytest.approx(50 * (1.0 / 1.2 + 1.2 / 1.4))
    assert mean_corruption_error(BASELINE, BASELINE) == pytest.approx(100)


def test_resilience_is_what_is_left_of_the_clear_score():
    assert resilience_rate((0.6, 0.4), 0.8) == pytest.approx(62.5)
    assert mean_resilience_rate(SCORES, 0.8) == pytest.approx((62.5 + 50) / 2)


@pytest.mark.parametrize("clear", [0.0, -0.1])  # a depth score may lie below nothing
def test_of_nothing_nothing_is_left(clear):
    assert mean_resilience_rate(SCORES, clear) is None
    assert summary(SCORES, clear, BASELINE).mrr is None


def test_a_summary_has_all_of_them():
    found = summary(SCORES, 0.8, BASELINE)
    assert (found.clear, found.mean, found.worst) == pytest.approx((80, 45, 30))
    assert found.gap == pytest.approx(35)
    assert found.mce == pytest.approx(mean_corruption_error(SCORES, BASELINE))
    assert summary(SCORES, 0.8).mce is None


def test_depth_error_is_0_where_nothing_is_wrong():
    assert depth_error(0.0, 1.0) == 0
    assert depth_error(0.2, 0.7) == pytest.approx(0.25)


def test_what_does_not_fit_together_is_told():
    with pytest.raises(ValueError, match="the baseline has no snow"):
        mean_corruption_error(SCORES, {"fog": (0.5, 0.3)})
    with pytest.raises(ValueError, match="2 severities, and 3 of the baseline"):
        corruption_error((0.5, 0.3), (0.5, 0.3, 0.1))
    with pytest.raises(ValueError, match="no corruption"):
        summary({}, 0.5)
