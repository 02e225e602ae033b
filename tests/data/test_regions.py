"""Superpixels: they tile images, are kept, and are made again when anything that made them is another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.annotations import Annotated, annotated
from lidar2d.data.card import load_card
from lidar2d.data.regions import Superpixels
from lidar2d.data.source import open_source
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Frame


class Pictures:
    """Two frames of two cameras each: halves of two colours, at another column in each."""

    def __init__(self):
        self.card = load_card("synthetic")
        self.tokens, self.conditions = ["a/0", "b"], ["day", "day"]
        self.columns = [12, 20]
        self.read = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        self.read += 1
        images = torch.zeros(2, 3, 24, 32)
        images[..., self.columns[index] :] = 1
        none = torch.zeros(2, 3, 3).double()
        return Frame(torch.zeros(0, 4), images, none, torch.eye(4).double().expand(2, 4, 4), token=self.tokens[index])

    def check(self):
        return iter(())


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIDAR2D_CACHE", str(tmp_path))


FINE = Superpixels(segments=12, sigma=0.0)


@pytest.mark.parametrize("superpixels", [FINE, Superpixels("felzenszwalb", sigma=0.0, smallest=20)])
def test_superpixels_tile_the_image_and_do_not_cross_its_edges(superpixels):
    source = Annotated(Pictures(), superpixels)
    for index, column in enumerate((12, 20)):
        regions = source[index].regions
        assert regions.shape == (2, 24, 32)
        assert regions.dtype == torch.int64
        assert regions.min() == 0
        for view in regions:
            assert not set(view[:, :column].unique().tolist()) & set(view[:, column:].unique().tolist())
            assert view.unique().tolist() == list(range(int(view.max()) + 1))


def test_about_as_many_as_asked_for_come_out():
    images = torch.from_numpy((np.random.default_rng(0).random((1, 3, 90, 160)) * 255).astype(np.uint8))
    assert 100 <= len(np.unique(Superpixels(segments=150).of(images))) <= 200
    assert 20 <= len(np.unique(Superpixels(segments=30).of(images))) <= 40


def test_they_are_kept_and_made_again_where_images_or_settings_are_others(monkeypatch):
    made = []
    of = Superpixels.of
    monkeypatch.setattr(Superpixels, "of", lambda self, images: made.extend(images) or of(self, images))
    pictures = Pictures()
    first = Annotated(pictures, FINE)[0].regions
    assert len(made) == 2
    assert torch.equal(Annotated(pictures, FINE)[0].regions, first)
    assert len(made) == 2
    Annotated(pictures, replace(FINE, segments=6))[0]
    assert len(made) == 4
    Annotated(pictures, replace(FINE, smallest=7))[0]  # SLIC does not use it
    assert len(made) == 4
    pictures.columns[0] = 16
    assert not torch.equal(Annotated(pictures, FINE)[0].regions, first)
    assert len(made) == 6


def test_a_damaged_file_is_made_again_and_a_folder_that_cannot_be_written_is_told(tmp_path):
    source = Annotated(Pictures(), FINE)
    first = source[1].regions
    path = next(tmp_path.rglob("b.npz"))
    path.write_bytes(path.read_bytes()[:50])
    assert torch.equal(source[1].regions, first)
    assert not list(tmp_path.rglob(".*npz*"))
    path.unlink()
    (tmp_path / "superpixels").rename(tmp_path / "moved")
    (tmp_path / "superpixels").write_text("in the way")
    with pytest.raises(DataError, match="LIDAR2D_CACHE"):
        source[1]


def test_preparing_makes_only_what_is_missing(tmp_path):
    pictures = Pictures()
    source = Annotated(pictures, FINE)
    source[0]
    source.prepare(workers=2, progress=False)
    assert sorted(path.name for path in tmp_path.rglob("*.npz")) == ["a-0.npz", "b.npz"]
    read = pictures.read
    source.prepare(workers=2, progress=False)
    assert pictures.read == read


def test_preparing_leaves_out_conditions_that_do_not_train(tmp_path):
    pictures = Pictures()
    pictures.conditions = ["day", "fog"]
    Annotated(pictures, FINE, wanted=["fog"]).prepare(workers=1, progress=False)
    assert [path.name for path in tmp_path.rglob("*.npz")] == ["b.npz"]


def test_what_tells_images_apart():
    def shown(images):
        none = torch.zeros(0, 4), images, torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
        return Annotated(Pictures(), FINE)._shown(0, Frame(*none))

    images = torch.zeros(2, 3, 8, 8)
    other = images.clone()
    other[1, 2, 4, 4] = 1 / 255
    assert shown(images) != shown(other)
    assert shown(images) != shown(images[:1])
    assert shown(images) == shown(images.clone())


@pytest.mark.parametrize("wrong", [{"segments": 1}, {"compactness": 0.0}, {"sigma": -1.0}, {"smallest": 0}])
def test_settings_without_a_meaning_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Superpixels(**wrong)


def test_images_of_files_that_changed_are_prepared_again(kitti_tree):
    card = load_card("kitti")

    def made(**size):
        source = annotated(open_source(card, "train", kitti_tree.root, **size), FINE)
        source.prepare(1, False)
        return {path.name for path in source.folder.iterdir()}, source

    first, source = made(image_size=(24, 64))
    assert len(first) == 2
    assert made(image_size=(24, 64))[0] == first
    second, _ = made(image_size=(20, 60))
    assert len(second) == 4
    path = kitti_tree.file("image_2", "000001")
    Image.open(path).rotate(180).save(path)
    again, _ = made(image_size=(24, 64))
    assert len(again) == 5
    assert source[0].regions.shape == (1, 24, 64)
