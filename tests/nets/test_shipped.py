import hashlib

import pytest
import torch
import yaml

from lidar2d.nets.small import SmallConv
from lidar2d.nets.weights import SHIPPED

CARDS = sorted(SHIPPED.glob("*.yaml"))


def test_every_shipped_file_has_a_card():
    assert CARDS
    assert {path.stem for path in SHIPPED.glob("*.safetensors")} == {path.stem for path in CARDS}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_shipped_weights_are_what_their_card_says(path):
    card = yaml.safe_load(path.read_text())
    file = path.with_suffix(".safetensors")
    assert card["name"] == path.stem
    assert hashlib.sha256(file.read_bytes()).hexdigest() == card["sha256"]
    assert file.stat().st_size <= 8e6
    assert card["supervised"] == ("supervised" in path.stem)  # a name that does not say so would mislead


def test_the_town_encoder_runs():
    maps = SmallConv(weights="town-supervised").eval()(torch.rand(1, 3, 112, 208))
    assert maps.shape == (1, 64, 28, 52)
    assert torch.isfinite(maps).all()
