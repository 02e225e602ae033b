"""Twins: which frames are of one scene."""

from types import SimpleNamespace

from lidar2d.data.card import load_card
from lidar2d.data.twins import scenes


def source(*frames):
    tokens, conditions = zip(*frames, strict=True)
    return SimpleNamespace(card=load_card("synthetic"), tokens=tokens, conditions=conditions)


def test_frames_whose_tokens_differ_in_the_condition_alone_are_twins_and_the_clear_one_is_first():
    found = scenes(source(("a-fog", "fog"), ("b-day", "day"), ("a-day", "day"), ("b-rain", "rain"), ("a-rain", "rain")))
    assert found == [[2, 0, 4], [1, 3]]


def test_frames_whose_tokens_name_no_condition_have_no_twins():
    assert scenes(source(("a", "day"), ("b", "fog"), ("foggy-day", "fog"))) == [[0], [1], [2]]
