from pathlib import Path
from typing import Any

import pytest
import yaml

from lidar2d import recipe
from lidar2d.data.card import load_card
from lidar2d.data.source import open_source
from lidar2d.errors import UsageError


def mine(folder: Path, **changes: Any) -> str:
    """Return a card of one's own: the town's with some lines changed."""
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe.read(recipe.find("datasets", "synthetic")) | changes))
    return str(path)


@pytest.mark.parametrize("name", recipe.names("datasets"))
def test_shipped_cards_are_whole(name: str):
    assert load_card(name).name == name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 112),
        ("image_size", [112]),
        ("image_size", [112, "wide"]),
        ("image_size", [0, 0]),
        ("clear", "day"),
        ("splits", 3),
        ("train", "nosuch"),
        ("probe", "nosuch"),
        ("intensity_scale", 0),
        ("intensity_scale", "much"),
        ("label_map", {"road": 1}),
        ("colours", [[1, 2, 3]]),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, key: str, value: object):
    with pytest.raises(UsageError, match=r"mine\.yaml: ") as error:
        load_card(mine(tmp_path, **{key: value}))
    assert key in str(error.value) or str(value) in str(error.value) or "1 colours" in str(error.value)


def test_what_a_card_leaves_out_is_that_of_the_one_it_is_like(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nlike: synthetic\ntitle: Mine\n")
    card, town = load_card(str(path)), load_card("synthetic")
    assert (card.name, card.title) == ("mine", "Mine")
    assert (card.classes, card.splits) == (town.classes, town.splits)
    path.write_text("name: mine\nlike: sinthetic\n")
    with pytest.raises(UsageError, match="did you mean 'synthetic'"):
        load_card(str(path))


@pytest.mark.parametrize("reader", ["Town", "lidar2d.data.nosuch.Town", "lidar2d.data.synthetic.town.Twon"])
def test_a_reader_that_is_not_there_is_named(tmp_path: Path, reader: str):
    with pytest.raises(UsageError, match=f"no reader {reader}"):
        open_source(load_card(mine(tmp_path, reader=reader)), "train")


def test_a_split_without_frames_is_refused(tmp_path: Path):
    empty = load_card(mine(tmp_path, splits={"train": [0, 1], "none": [5, 5]}, val="", probe="", test=""))
    with pytest.raises(UsageError, match="split 'none' of synthetic is"):
        open_source(empty, "none")


def test_cards_may_be_like_cards_that_are_like_others(tmp_path: Path):
    (tmp_path / "first.yaml").write_text("like: acdc\nname: first\n")
    (tmp_path / "second.yaml").write_text("like: first.yaml\nname: second\ntitle: Mine\n")
    found = load_card(str(tmp_path / "second.yaml"))
    assert (found.name, found.title, found.classes) == ("second", "Mine", load_card("cityscapes").classes)
    (tmp_path / "first.yaml").write_text("like: second.yaml\nname: first\n")
    with pytest.raises(UsageError, match=r"second\.yaml: is like itself, by way of first\.yaml"):
        load_card(str(tmp_path / "second.yaml"))
    (tmp_path / "first.yaml").write_text("like: third.yaml\nname: first\n")
    with pytest.raises(UsageError, match=r"first\.yaml: like third\.yaml: no file .*third\.yaml"):
        load_card(str(tmp_path / "second.yaml"))
