"""Shares of the labels: the published rules on lists of the official length, and other draws."""

import hashlib
from dataclasses import replace

import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.data.nuscenes.reader import scene_names
from lidar2d.data.shares import digest, share
from lidar2d.errors import UsageError
from lidar2d.frame import Frame

LENGTHS = {
    "00": 4541, "01": 1101, "02": 4661, "03": 801, "04": 271,
    "05": 2761, "06": 1101, "07": 1101, "09": 1591, "10": 1201,
}  # fmt: skip


class Listed:
    """A source that is a list of tokens."""

    def __init__(self, card, tokens):
        self.card, self.tokens = card, tokens
        self.conditions = [card.clear[0]] * len(tokens)

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
        return Frame(torch.zeros(0, 4), *none, token=self.tokens[index])

    def check(self):
        yield from ((token, []) for token in self.tokens)


@pytest.fixture
def kitti():
    tokens = [f"{sequence}/{frame:06d}" for sequence, count in LENGTHS.items() for frame in range(count)]
    assert len(tokens) == 19130
    return Listed(load_card("semantickitti"), tokens)


@pytest.fixture
def nuscenes():
    card = load_card("nuscenes")
    scenes = sorted(scene_names(card.splits["train"]["scenes"]))
    source = Listed(card, [f"{scene}-{frame}" for scene in scenes for frame in range(40)])
    source.scenes = [scene for scene in scenes for _ in range(40)]
    source.listed = scenes
    return source


def scenes_of(source):
    return list(dict.fromkeys(token.rpartition("-")[0] for token in source.tokens))


def test_one_percent_of_nuscenes_is_seven_scenes(nuscenes):
    """Every hundredth training scene in the tables' order, which is that of their names."""
    part = share(nuscenes, 1)
    numbers = (171, 300, 435, 589, 747, 959, 1110)
    assert scenes_of(part) == [f"scene-{number:04d}" for number in numbers]
    assert len(part) == 280
    assert part[40].token == "scene-0300-0"


def test_one_percent_of_kitti_is_192_frames(kitti):
    part = share(kitti, 1)
    assert len(part) == 192
    assert part.tokens == kitti.tokens[::100]


@pytest.mark.parametrize(
    ("percent", "scenes", "frames"), [(5, 35, 957), (10, 70, 1913), (25, 175, 4783), (50, 350, 9565)]
)
def test_larger_shares(nuscenes, kitti, percent, scenes, frames):
    assert len(scenes_of(share(nuscenes, percent))) == scenes
    assert len(share(kitti, percent)) == frames


def test_all_of_it_is_the_source_itself(nuscenes):
    assert share(nuscenes, 100) is nuscenes


@pytest.mark.parametrize("which", ["nuscenes", "kitti"])
def test_other_draws_keep_as_many_and_are_reproduced(request, which):
    source = request.getfixturevalue(which)
    draws = [share(source, 5, draw) for draw in range(4)]
    assert len({len(part) for part in draws}) == 1
    assert len({digest(part.tokens) for part in draws}) == 4
    assert all(set(part.tokens) < set(source.tokens) for part in draws)
    assert digest(share(source, 5, 2).tokens) == digest(draws[2].tokens)
    order = {token: row for row, token in enumerate(source.tokens)}
    assert all(sorted(part.tokens, key=order.get) == part.tokens for part in draws)


def test_the_digest_is_that_of_the_list():
    assert digest(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()


def test_a_part_is_checked_alone(kitti):
    assert [token for token, _ in share(kitti, 1).check()] == kitti.tokens[::100]


def test_what_cannot_be_shared_is_told(kitti, nuscenes):
    with pytest.raises(UsageError, match="kitti has no published rule"):
        share(Listed(load_card("kitti"), ["000001"]), 10)
    few = Listed(nuscenes.card, nuscenes.tokens[:80])
    few.scenes, few.listed = nuscenes.scenes[:80], nuscenes.listed[:2]
    with pytest.raises(UsageError, match="1 % of nuscenes leaves nothing: it counts every 100th scene"):
        share(few, 1)
    with pytest.raises(UsageError, match="names no scenes"):
        share(Listed(replace(kitti.card, share_by="scene"), kitti.tokens), 1)
