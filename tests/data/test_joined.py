"""Several data sets in one run: tokens, labels, and how many frames of each are shown."""

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from lidar2d import cli
from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.joined import Also, Joined, cycle, join
from lidar2d.data.module import LidarData
from lidar2d.errors import UsageError
from lidar2d.frame import Batch

sys.path.insert(0, str(Path(__file__).parents[1] / "fit"))
import tiny_source


@pytest.fixture
def cards(tmp_path):
    """Two cards of the same reader; the second knows other classes and another clear condition."""
    first, second = tmp_path / "tiny.yaml", tmp_path / "other.yaml"
    first.write_text(tiny_source.CARD)
    other = tiny_source.CARD.replace("name: tiny", "name: other").replace("[ground, thing]", "[road, tree]")
    second.write_text(
        other.replace("clear: [day]", "clear: [fog]").replace("adverse: [fog, night]", "adverse: [day, night]")
    )
    return str(first), str(second)


def test_frames_of_both_are_there_under_their_names(cards):
    data = LidarData(cards[0], also=[Also(cards[1], split="probe")])
    source = data.shown()
    assert isinstance(source, Joined)
    assert len(source) == 8 + 6
    assert len(set(source.tokens)) == 14
    assert source.tokens[0].startswith("tiny/train-")
    assert source.tokens[8].startswith("other/probe-")
    assert [source[index].token for index in (0, 7, 8, 13)] == [source.tokens[index] for index in (0, 7, 8, 13)]
    assert source[0].labels is not None
    assert source[8].labels is None  # its classes are others
    assert source[8].pixel_labels is None
    assert set(source.card.clear) == {"day", "fog"}


@pytest.mark.parametrize(("weights", "shares"), [((1, 1), (50, 50)), ((3, 1), (75, 25)), ((1, 2), (33, 67))])
def test_weights_say_how_often_each_is_shown(cards, weights, shares):
    data = LidarData(cards[0], weight=weights[0], also=[Also(cards[1], weight=weights[1])], batch_size=4)
    stream = data.stream("all", "none", seed=0)
    shown = Counter(data.shown().find(index)[0] for step in range(50) for _, index in stream.batch(step))
    assert shown[0] + shown[1] == 200
    assert abs(shown[0] / 2 - shares[0]) <= 1


def test_a_cycle_is_spread_evenly():
    places = cycle([2, 1, 1])
    assert len(places) == 100
    assert Counter(places) == {0: 50, 1: 25, 2: 25}
    assert all(set(places[start : start + 4]) == {0, 1, 2} for start in range(0, 100, 4))


def test_clear_frames_are_those_of_each_card(cards):
    data = LidarData(cards[0], also=[Also(cards[1])], batch_size=2)
    source = data.shown()
    keys = [index for step in range(30) for _, index in data.stream("clear", "none", 0).batch(step)]
    assert {source.conditions[index] for index in keys} == {"day", "fog"}


def test_batches_hold_frames_of_both(cards):
    source = join([LidarData(card).source() for card in cards])
    batch = TrainingFrames(source, 0, Augment(flip_image=0.5), None, None, "stop")[[(0, 0), (0, 8)]]
    assert isinstance(batch, Batch)
    assert [token.split("/")[0] for token in batch.tokens] == ["tiny", "other"]
    assert batch.labels is None
    assert torch.equal(batch.view_frame, torch.tensor([0, 0, 1, 1]))


def test_what_cannot_be_joined_is_told(cards):
    with pytest.raises(UsageError, match=r"with --data\.also it must be none"):
        LidarData(cards[0], also=[Also(cards[1])]).stream("all", "half", 0)
    with pytest.raises(UsageError, match="stands twice"):
        LidarData(cards[0], also=[Also(cards[0])]).shown()
    with pytest.raises(UsageError, match=r"is 0; it must be from 0\.001"):
        Also(cards[0], weight=0)


def test_the_command_line_takes_others(cards, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(tiny_source.__file__).parent))
    words = ["fit", "--method", "ppkt", "--data", cards[0], "--data.also", f"[{{card: {cards[1]}, weight: 2}}]"]
    assert cli.main([*words, "--print_config"]) == 0
    said = capsys.readouterr().out
    assert f"- card: {cards[1]}" in said
    assert "weight: 2.0" in said


def test_a_weight_without_a_place_is_refused():
    with pytest.raises(UsageError, match=r"weight 0\.004 beside 1 shows less than one frame in 100"):
        cycle([1, 0.004])
    assert set(cycle([1, 0.02])) == {0, 1}
