"""What the numbers of a report are called."""

import math

from lidar2d.results.numbers import from_report, numbers


def judged(clear, adverse, fog, cosine=None):
    own = {"clear": clear, "adverse": adverse, "miou": {"day": clear, "fog": fog}, "iou": {"fog": {"car": 1.0}}}
    return {"clear_probe": own, "mixed_probe": own, "cosine": {} if cosine is None else {"fog": cosine}}


def test_the_taught_network_the_one_before_and_the_gain_are_named():
    report = {"features": {"student": judged(50.0, 30.5, 30.5, 0.8), "teacher": judged(51.0, 20.0, 20.0, 0.5)}}
    found = numbers(report)
    assert found["clear_probe/clear"] == 50.0
    assert found["mixed_probe/miou/fog"] == 30.5
    assert found["start/clear_probe/adverse"] == 20.0
    assert found["gain/clear_probe/adverse"] == 10.5
    assert found["gain/clear_probe/clear"] == -1.0
    assert found["gain/cosine/fog"] == 0.3  # to six digits, as reports are written
    assert len(found) == 3 * (2 * 4 + 1)
    assert all(from_report(name) for name in found)
    assert not from_report("pretrain/contrast")


def test_point_networks_have_the_same_names():
    report = {"features": {"distilled": judged(3.0, 2.0, 2.0), "untrained": judged(1.0, 1.5, 1.5)}}
    assert numbers(report)["gain/clear_probe/clear"] == 2.0


def test_what_there_is_not_has_no_name():
    report = {"features": {"student": judged(50.0, None, math.nan), "teacher": judged(51.0, 20.0, 20.0)}}
    found = numbers(report)
    assert "clear_probe/adverse" not in found
    assert "clear_probe/miou/fog" not in found
    assert "gain/clear_probe/adverse" not in found
    assert found["start/clear_probe/adverse"] == 20.0
    assert numbers({"losses": {}}) == {}
