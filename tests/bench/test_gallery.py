"""The gallery: as many frames of each condition as are asked, on a page whose links lead to files."""

import re
from urllib.parse import unquote

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.bench.gallery import Gallery
from lidar2d.data.card import load_card
from lidar2d.errors import UsageError
from lidar2d.frame import Frame
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.segmentation import PixelSegmentation, PointSegmentation

CARD = load_card("synthetic")


def frame(condition, number):
    eye = torch.eye(4, dtype=torch.float64)[None]
    points = torch.rand(50, 4, generator=torch.Generator().manual_seed(number))
    images = torch.full((1, 3, 16, 24), 0.5)
    return Frame(points, images, eye[:, :3, :3], eye, condition=condition, token=f"{number}-{condition}")


def linked(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    return page, [unquote(name) for name in re.findall(r'<img src="([^"]*)"', page)]


def look(gallery, task, condition, number, right):
    shape = (50,) if isinstance(task, PointSegmentation) else (1, 16, 24)
    truth = torch.full(shape, 3.0 if isinstance(task, Depth) else 3)
    gallery(task, frame(condition, number), truth if right else truth + 7, truth)


@pytest.mark.parametrize("kind", [PixelSegmentation, PointSegmentation, Depth])
def test_each_condition_has_as_many_pictures_as_are_asked_and_each_link_leads_to_a_file(tmp_path, kind):
    gallery = Gallery(tmp_path / "new", CARD, "a <title>", each=2)
    for number in range(3):
        for condition in ("day", "wet & cold"):
            look(gallery, kind(CARD), condition, number, right=True)
    assert gallery.write() == tmp_path / "new" / "index.html"
    page, names = linked(tmp_path / "new")
    assert names == ["day-0.png", "wet & cold-0.png", "day-1.png", "wet & cold-1.png"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {*names, "index.html"}
    assert all(np.asarray(Image.open(tmp_path / "new" / name)).ndim == 3 for name in names)
    assert page.count("Columns:") == 1
    assert "a &lt;title&gt;" in page
    assert "wet &amp; cold: 1-wet &amp; cold" in page
    assert ('class="key"' in page) == (kind is not Depth)  # depth has no classes


def test_what_is_wrong_is_red_and_a_second_run_takes_the_place_of_the_first(tmp_path):
    pictures = []
    for conditions, right in ((("day", "fog"), True), (("day",), False)):
        gallery = Gallery(tmp_path, CARD, "title")
        for condition in conditions:
            look(gallery, PixelSegmentation(CARD), condition, 0, right)
        gallery.write()
        pictures.append(np.asarray(Image.open(tmp_path / "day-0.png")))
    reddish = [int(((shown[..., 0] > 180) & (shown[..., 1:] < 80).all(-1)).sum()) for shown in pictures]
    assert reddish[0] < reddish[1]
    assert linked(tmp_path)[1] == ["day-0.png"]


def test_a_folder_with_the_pictures_of_another_evaluation_is_left_alone(tmp_path):
    gallery = Gallery(tmp_path, CARD, "one & the same")
    look(gallery, PixelSegmentation(CARD), "day", 0, True)
    gallery.write()
    assert Gallery(tmp_path, CARD, "one & the same").drawn == []
    with pytest.raises(UsageError, match="has pictures of another evaluation; name another folder"):
        Gallery(tmp_path, CARD, "another")


def test_a_map_of_features_stands_on_the_page_with_what_it_is(tmp_path):
    gallery = Gallery(tmp_path, CARD, "title")
    assert not gallery.drawn
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([3, 15]).repeat(20)
    gallery.features(torch.randn(40, 2, generator=generator), labels, ["day", "day", "fog", "fog"] * 10, "what < it is")
    gallery.write()
    page, names = linked(tmp_path)
    assert names == ["features.png"]
    assert "what &lt; it is" in page
    assert 'class="key"' not in page  # the picture has its own
    drawn = np.asarray(Image.open(tmp_path / "features.png"))
    for label in (3, 15):
        assert (drawn == CARD.colours[label]).all(-1).sum() > 50
    assert not (drawn == CARD.colours[6]).all(-1).any()
