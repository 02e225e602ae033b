"""Cityscapes, Foggy Cityscapes, ACDC, NYUv2: layouts, classes against torchvision's table, every kind of bad file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import load_card
from lidar2d.data.files import BadFileError
from lidar2d.data.glance import glance
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.labelled_images import LabelledImages
from lidar2d.data.source import FromFiles, Source, open_source
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Batch

CAMERA = {"intrinsic": {"fx": 22.6, "fy": 22.5, "u0": 10.9, "v0": 5.1}, "extrinsic": {}}
SIZE = (10, 20)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Two towns, two images each, in fog of three densities."""
    root, rng = tmp_path / "city scapes ü", np.random.default_rng(0)
    for town in ("aachen", "bonn"):
        for number in range(2):
            name = f"{town}_000000_{number:06d}"
            picture = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            save(root / f"leftImg8bit/train/{town}/{name}_leftImg8bit.png", picture)
            for beta in ("0.005", "0.01", "0.02"):
                save(root / f"leftImg8bit_foggy/train/{town}/{name}_leftImg8bit_foggy_beta_{beta}.png", picture)
            save(root / f"gtFine/train/{town}/{name}_gtFine_labelIds.png", rng.integers(0, 34, SIZE, dtype=np.uint8))
            camera = root / f"camera/train/{town}/{name}_camera.json"
            camera.parent.mkdir(parents=True, exist_ok=True)
            camera.write_text(json.dumps(CAMERA))
    return root


def test_cityscapes_is_read_in_its_layout(city: Path):
    source = open_source(load_card("cityscapes"), "train", city)
    assert isinstance(source, Source)
    assert isinstance(source, FromFiles)
    assert source.tokens[0] == "leftImg8bit/train/aachen/aachen_000000_000000_leftImg8bit"
    assert [source[i].token for i in range(4)] == source.tokens
    frame = source[2]
    assert frame.points.shape == (0, 4)
    stored = np.array(Image.open(city / source.image_files(2)[0]))
    np.testing.assert_array_equal((frame.images[0] * 255).round().permute(1, 2, 0), stored)
    raw = np.array(Image.open(city / "gtFine/train/bonn/bonn_000000_000000_gtFine_labelIds.png"))
    expected = {kind.id: kind.train_id if 0 <= kind.train_id < 19 else -1 for kind in datasets.Cityscapes.classes}
    assert frame.pixel_labels is not None
    assert frame.pixel_labels[0].tolist() == [[expected[int(value)] for value in row] for row in raw]
    assert frame.intrinsics[0].tolist() == [[22.6, 0, 11.4], [0, 22.5, 5.6], [0, 0, 1]]


def test_classes_are_the_official_ones():
    names = {
        kind.train_id: kind.name.replace(" ", "_") for kind in datasets.Cityscapes.classes if 0 <= kind.train_id < 19
    }
    colours = {kind.train_id: kind.color for kind in datasets.Cityscapes.classes if 0 <= kind.train_id < 19}
    for name in ("cityscapes", "foggy_cityscapes", "acdc"):
        card = load_card(name)
        assert dict(enumerate(card.classes)) == names
        assert dict(enumerate(card.colours)) == colours


@pytest.mark.parametrize("name", ["cityscapes", "acdc"])
def test_every_raw_label_is_the_official_class_or_an_error(name: str, tmp_path: Path):
    table = LabelMap(load_card(name), 256)
    if name == "acdc":
        expected = {**{index: index for index in range(19)}, 255: -1}
    else:
        official = datasets.Cityscapes.classes
        expected = {kind.id: kind.train_id if 0 <= kind.train_id < 19 else -1 for kind in official if kind.id >= 0}
    for raw in range(256):
        value = np.array([raw], np.uint8)
        if raw in expected:
            assert table.classes(value, tmp_path).item() == expected[raw]
        else:
            with pytest.raises(BadFileError, match=f"has label {raw},"):
                table.classes(value, tmp_path)


def test_fog_has_the_labels_of_its_clear_image(city: Path):
    source = LabelledImages(load_card("foggy_cityscapes"), "train", city)
    assert len(source) == 16
    assert source.conditions == ["clear"] * 4 + ["fog-600m"] * 4 + ["fog-300m"] * 4 + ["fog-150m"] * 4
    for index in range(4):
        twins = [source[index + 4 * step] for step in range(4)]
        assert all(torch.equal(twin.pixel_labels, twins[0].pixel_labels) for twin in twins)
        assert len({twin.token for twin in twins}) == 4


def test_acdc_is_read_by_condition_and_its_test_has_no_labels(acdc_tree: Path):
    card = load_card("acdc")
    source = LabelledImages(card, "train", acdc_tree)
    assert source.conditions == ["fog", "night", "rain", "snow"]
    frame = source[1]
    assert frame.pixel_labels is not None
    assert -1 <= frame.pixel_labels.min() <= frame.pixel_labels.max() < 19
    assert frame.intrinsics[0].tolist() == np.eye(3).tolist()
    assert LabelledImages(card, "test", acdc_tree)[0].pixel_labels is None


def test_crops_carry_the_labels(city: Path):
    source = LabelledImages(load_card("cityscapes"), "train", city)
    recipe = Augment(crop=(0.5, 0.9), crop_ratio=(1.5, 2.5), crop_size=(8, 16), flip_image=0.5)
    batch = TrainingFrames(source, 0, recipe, None, None, "stop")[[(0, 0), (0, 1)]]
    assert isinstance(batch, Batch)
    assert batch.images.shape == (2, 3, 8, 16)
    assert batch.pixel_labels is not None
    assert batch.pixel_labels.shape == (2, 8, 16)
    assert batch.pixel_labels.dtype == torch.int64
    small = open_source(load_card("cityscapes"), "train", city, image_size=(5, 10))[0]
    assert small.images.shape[-2:] == (5, 10)
    assert small.pixel_labels is not None
    assert small.pixel_labels.shape == (1, 5, 10)


def test_cameras_may_be_absent_but_not_one_of_them(city: Path):
    camera = city / "camera/train/aachen/aachen_000000_000001_camera.json"
    camera.unlink()
    source = LabelledImages(load_card("cityscapes"), "train", city)
    with pytest.raises(DataError, match=r"000001_camera\.json: missing"):
        source[1]
    (city / "camera").rename(city / "elsewhere")
    assert source[1].intrinsics[0].tolist() == np.eye(3).tolist()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("image", cut, "unreadable image"),
    ("image", lambda path: path.write_bytes(b""), "unreadable image"),
    ("image", lambda path: path.write_bytes(b"garbage"), "unreadable image"),
    ("labels", Path.unlink, "missing"),
    ("labels", cut, "unreadable image"),
    ("labels", lambda path: save(path, np.zeros((5, 5), np.uint8)), "is 5x5 pixels; its image has 20x10"),
    ("labels", lambda path: save(path, np.full(SIZE, 77, np.uint8)), "has label 77"),
    ("labels", lambda path: save(path, np.zeros((*SIZE, 3), np.uint8)), "has pixels of mode RGB"),
    ("camera", lambda path: path.write_text("{}"), "no camera: KeyError"),
    ("camera", lambda path: path.write_text("["), "no camera: JSONDecodeError"),
    ("camera", lambda path: path.write_text(json.dumps(CAMERA).replace("22.6", "-22.6")), "not positive"),
    ("camera", lambda path: path.write_text('{"intrinsic": {"fx": NaN, "fy": 1, "u0": 1, "v0": 1}}'), "not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "harm", "fault"), BAD)
def test_bad_file_is_named_and_found(city: Path, kind: str, harm: Callable[[Path], object], fault: str):
    source, name = LabelledImages(load_card("cityscapes"), "train", city), "bonn/bonn_000000_000001"
    path = {
        "image": city / f"leftImg8bit/train/{name}_leftImg8bit.png",
        "labels": city / f"gtFine/train/{name}_gtFine_labelIds.png",
        "camera": city / f"camera/train/{name}_camera.json",
    }[kind]
    harm(path)
    with pytest.raises(DataError, match=fault) as raised:
        source[3]
    assert str(path) in str(raised.value)
    found = [problem for _, each in source.check() for problem in each]
    assert [problem.path for problem in found] == [path]


def test_a_folder_without_images_is_named(tmp_path: Path):
    said = r"has no image leftImg8bit/val.*\n--data.root must name .*`lidar2d list datasets cityscapes` says"
    with pytest.raises(DataError, match=said):
        LabelledImages(load_card("cityscapes"), "val", tmp_path)
    with pytest.raises(UsageError, match="cityscapes needs its folder"):
        LabelledImages(load_card("cityscapes"), "val")


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    root, rng = tmp_path / "nyu ü", np.random.default_rng(2)
    for scene in ("bathroom", "office"):
        for number in (45, 46):
            folder = root / "official_splits" / "test" / scene
            save(folder / f"rgb_{number:05d}.jpg", rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
            save(folder / f"sync_depth_{number:05d}.png", rng.integers(0, 10_000, SIZE).astype(np.uint16))
    return root


def test_depth_is_that_of_the_file_in_metres(rooms: Path):
    card = load_card("nyuv2")
    source = LabelledImages(card, "test", rooms)
    assert source.tokens[1] == "official_splits/test/bathroom/rgb_00046"
    frame = source[1]
    stored = np.array(Image.open(rooms / "official_splits/test/bathroom/sync_depth_00046.png"))
    assert frame.depth is not None
    np.testing.assert_allclose(frame.depth[0], stored / 1000, rtol=1e-6)
    assert frame.pixel_labels is None
    assert frame.intrinsics[0, 0].tolist() == [518.8579, 0.0, 326.0824]
    small = LabelledImages(card, "test", rooms, (5, 10))[1]
    assert small.depth is not None
    assert small.depth.shape == (1, 5, 10)
    assert small.intrinsics[0, 0, 0].item() == pytest.approx(518.8579 / 2)
    assert not [problem for _, each in source.check() for problem in each]


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (Path.unlink, "missing"),
        (cut, "unreadable image"),
        (lambda path: save(path, np.zeros(SIZE, np.uint8)), "depth has 16 bits"),
        (lambda path: save(path, np.zeros((4, 4), np.uint16)), "is 4x4 pixels; its image has 20x10"),
    ],
)
def test_bad_depth_is_named(rooms: Path, harm: Callable[[Path], object], fault: str):
    path = rooms / "official_splits/test/office/sync_depth_00045.png"
    harm(path)
    source = LabelledImages(load_card("nyuv2"), "test", rooms)
    with pytest.raises(DataError, match=fault) as raised:
        source[2]
    assert str(path) in str(raised.value)
    assert [problem.path for _, each in source.check() for problem in each] == [path]


def test_a_matrix_of_another_length_is_refused(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nlike: nyuv2\nintrinsics: [500.0, 320.0, 240.0]\n")
    with pytest.raises(UsageError, match="intrinsics has 3 numbers; 9 are needed"):
        load_card(str(path))


def test_a_real_room(samples: Path, tmp_path: Path):
    """Of another layout than the card's: a card of one's own says how its files are named."""
    path = tmp_path / "mine.yaml"
    words = "{images/: annotations/, .jpg: .png}"
    path.write_text(
        f"name: mine\nlike: nyuv2\nsplits: {{train: {{images: {{indoor: images/*.jpg}}, depth: {words}}}}}\n"
    )
    frame = LabelledImages(load_card(str(path)), "train", samples / "nyu_tiny")[0]
    assert frame.images.shape == (1, 3, 120, 160)
    assert frame.depth is not None
    known = frame.depth[frame.depth > 0]
    assert len(known) > 0.5 * 120 * 160
    assert 0.5 < known.min() < known.max() < 12


def test_a_quick_look_finds_cameras_and_sizes(city: Path):
    source = open_source(load_card("cityscapes"), "train", city)
    assert not [problem for _, found in glance(source) for problem in found]
    (city / "camera/train/bonn/bonn_000000_000001_camera.json").unlink()
    save(city / "gtFine/train/aachen/aachen_000000_000000_gtFine_labelIds.png", np.zeros((5, 20), np.uint8))
    faults = {problem.path.name: problem.fault for _, found in glance(source) for problem in found}
    assert faults == {
        "bonn_000000_000001_camera.json": "missing",
        "aachen_000000_000000_gtFine_labelIds.png": "is 20x5 pixels; its image has 20x10",
    }


def test_patterns_that_name_the_same_images_are_refused(city: Path):
    card = load_card("cityscapes")
    twice = {"clear": "leftImg8bit/train/*/*.png", "fog": "leftImg8bit/train/bonn/*.png"}
    card = replace(card, splits={**card.splits, "both": {"images": twice}})
    with pytest.raises(UsageError, match="two patterns of its images name the same files"):
        open_source(card, "both", city)
    for wrong in ("/leftImg8bit/*.png", "", ["a"]):
        card = replace(card, splits={**card.splits, "wrong": {"images": {"clear": wrong}}})
        with pytest.raises(UsageError, match="give a path below the root"):
            open_source(card, "wrong", city)
