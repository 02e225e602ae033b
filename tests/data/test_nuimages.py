"""nuImages: a miniature version against nuimages' own reader, masks against pycocotools, every kind of bad file."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harm import hurt
from hypothesis import given
from hypothesis import strategies as st
from nuimages import NuImages as Official
from nuimages.utils.utils import name_to_index_mapping
from PIL import Image
from pycocotools import mask as coco

from lidar2d.check import check
from lidar2d.data.card import load_card
from lidar2d.data.glance import glance
from lidar2d.data.nuimages import NuImages
from lidar2d.data.nuimages.masks import decode_mask
from lidar2d.data.source import FromFiles, Source, open_source
from lidar2d.errors import DataError

SIZE = (36, 64)
TABLES = ("sample", "sample_data", "calibrated_sensor", "category", "surface_ann", "object_ann")
CAMERA = [[50.0, 0, 31.5], [0, 51.0, 17.5], [0, 0, 1]]


def encode(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": base64.b64encode(code["counts"]).decode()}


class Tree:
    """Six images of two cameras; masks overlap, and one annotation has none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        rng = np.random.default_rng(3)
        names = [*load_card("nuimages").category_map]
        categories = [{"token": f"{100 - row:032d}", "name": name} for row, name in enumerate(rng.permutation(names))]
        of_name = {record["name"]: record["token"] for record in categories}
        sensors = [{"token": f"s{k}", "channel": channel, "modality": "camera"} for k, channel in enumerate("AB")]
        mounts = [
            {"token": f"m{k}", "sensor_token": f"s{k}", "camera_intrinsic": (np.array(CAMERA) + 0.0).tolist()}
            for k in range(2)
        ]
        mounts[1]["camera_intrinsic"][0][0] = 60.0
        samples, data, surfaces, objects = [], [], [], []
        for number in range(6):
            channel = "AB"[number % 2]
            token = f"{rng.integers(1 << 60):032x}"
            samples.append({"token": f"{number:032x}", "timestamp": number, "key_camera_token": token})
            shot = {"sample_token": samples[-1]["token"], "calibrated_sensor_token": f"m{number % 2}"}
            shot |= {"width": SIZE[1], "height": SIZE[0], "is_key_frame": True, "ego_pose_token": "", "timestamp": 0}
            name = f"samples/{channel}/n003-2018-01-02__{channel}__1517293259{number:06d}.jpg"
            data += [
                {"token": f"before{number}", **shot, "is_key_frame": False, "filename": "sweeps/none.jpg"},
                {"token": token, **shot, "filename": name},
            ]
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(root / name)
            if number == 5:
                continue  # an image without any annotation
            for table, kind in ((surfaces, "flat.driveable_surface"), (surfaces, "vehicle.ego")):
                table.append(annotation(rng, token, of_name[kind]))
            things = rng.choice([name for name in names if name not in ("flat.driveable_surface", "vehicle.ego")], 4)
            objects += [annotation(rng, token, of_name[kind]) for kind in things]
            objects.append({**objects[-1], "token": f"none{number}", "mask": None})
        self.tables: dict[str, list[dict[str, Any]]] = {
            "sample": samples,
            "sample_data": data,
            "sensor": sensors,
            "calibrated_sensor": mounts,
            "category": categories,
            "surface_ann": surfaces,
            "object_ann": objects,
        }
        self.write()

    def write(self) -> None:
        folder = self.root / "v1.0-mini"
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows))

    def file(self, number: int) -> Path:
        return self.root / self.tables["sample_data"][2 * number + 1]["filename"]


def annotation(rng: np.random.Generator, image: str, category: str) -> dict[str, Any]:
    top, left = rng.integers(0, SIZE[0] - 1), rng.integers(0, SIZE[1] - 1)
    mask = np.zeros(SIZE, bool)
    mask[top : top + 20, left : left + 30] = rng.random((min(20, SIZE[0] - top), min(30, SIZE[1] - left))) < 0.9
    return {
        "token": f"{rng.integers(1 << 60):032x}",
        "sample_data_token": image,
        "category_token": category,
        "mask": encode(mask),
    }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "nu images ü")


def test_pixels_have_the_classes_of_the_official_reader(tree: Tree):
    card = load_card("nuimages")
    source = open_source(card, "mini", tree.root)
    assert isinstance(source, Source)
    assert isinstance(source, FromFiles)
    official = Official("v1.0-mini", str(tree.root), lazy=True, verbose=False)
    numbers = name_to_index_mapping(official.category)
    class_of = np.full(32, -1)
    for name, number in numbers.items():
        class_of[number] = card.category_map[name]
    seen = set()
    for index, sample in enumerate(official.sample):
        frame = source[index]
        theirs, _ = official.get_segmentation(sample["key_camera_token"])
        np.testing.assert_array_equal(frame.pixel_labels[0], class_of[theirs])
        seen |= set(np.unique(theirs).tolist())
        stored = Image.open(tree.file(index))
        assert (frame.images[0] * 255 - torch.from_numpy(np.array(stored)).permute(2, 0, 1)).abs().max() < 1e-3
        focal = 60.0 if index % 2 else 50.0
        assert frame.intrinsics[0].tolist() == [[focal, 0, 32.0], [0, 51.0, 18.0], [0, 0, 1]]
        assert frame.token == sample["token"]
        assert frame.points.shape == (0, 4)
    assert len(seen) > 12


def test_the_cards_map_is_that_of_lidarseg():
    """NuImages' categories have lidarseg's numbers, so both maps must say the same."""
    card, points = load_card("nuimages"), load_card("nuscenes")
    assert card.classes == points.classes
    numbers = name_to_index_mapping([{"name": name} for name in card.category_map])
    assert {number: card.category_map[name] for name, number in numbers.items()} == {
        number: points.label_map[number] for number in [*range(1, 25), 31]
    }


def test_labels_follow_the_image_size(tree: Tree):
    frame = open_source(load_card("nuimages"), "mini", tree.root, (18, 32))[0]
    assert frame.images.shape == (1, 3, 18, 32)
    assert frame.pixel_labels.shape == (1, 18, 32)


def test_workers_get_the_index_by_name(tree: Tree):
    source = open_source(load_card("nuimages"), "mini", tree.root)
    sent = pickle.dumps(source)
    assert len(sent) < 20_000
    assert torch.equal(pickle.loads(sent)[3].pixel_labels, source[3].pixel_labels)


def test_images_without_annotations_have_no_class(tree: Tree):
    assert (open_source(load_card("nuimages"), "mini", tree.root)[5].pixel_labels == -1).all()
    tree.tables["object_ann"], tree.tables["surface_ann"] = [], []
    tree.write()
    assert open_source(load_card("nuimages"), "mini", tree.root)[0].pixel_labels is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.integers(1, 70), st.floats(0, 1))
def test_masks_are_those_of_pycocotools(seed: int, height: int, width: int, share: float):
    mask = np.random.default_rng(seed).random((height, width)) < share
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    np.testing.assert_array_equal(decode_mask(np.frombuffer(code, np.uint8), (height, width)), mask)


@pytest.mark.parametrize("mask", [np.zeros((900, 1600), bool), np.ones((900, 1600), bool)])
def test_long_runs_are_those_of_pycocotools(mask: np.ndarray):
    mask[450:, 800:] = True
    code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    np.testing.assert_array_equal(decode_mask(np.frombuffer(code, np.uint8), mask.shape), mask)


@given(st.binary(max_size=60))
def test_garbage_is_no_mask_or_one_of_the_size(code: bytes):
    with contextlib.suppress(ValueError):
        assert decode_mask(np.frombuffer(code, np.uint8), (7, 9)).shape == (7, 9)


def edit(table: str, row: int, **values: object) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        tree.tables[table][row] |= values
        tree.write()

    return change


def drop(table: str, row: int) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        del tree.tables[table][row]
        tree.write()

    return change


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (edit("category", 3, name="vehicle.boat"), r"category\.json: has category vehicle\.boat, which the card's"),
        (drop("sample_data", 1), r"sample_data\.json: sample 0{32} has no key image"),
        (edit("sample_data", 1, calibrated_sensor_token="none"), r"sample_data\.json: record .* no such key or record"),
        (edit("sample_data", 1, height=0), r"sample_data\.json: .* an image of 64x0 pixels"),
        (edit("sample_data", 1, height=None), r"sample_data\.json: .* bad value"),
        (edit("calibrated_sensor", 0, camera_intrinsic=[]), r"no finite 3x3 matrix"),
        (edit("object_ann", 0, category_token="none"), r"object_ann\.json: record .* no such key or record: 'none'"),
        (edit("object_ann", 0, mask={"counts": "no base64!"}), r"object_ann\.json: record .* bad value"),
        (edit("surface_ann", 0, mask=7), r"surface_ann\.json: record .* bad value"),
        (edit("sample", 0, token="x" * 40), r"sample\.json: record x+: bad value: token"),
        (edit("sample", 0, token="\u00fc"), r"sample\.json"),
        (lambda tree: (tree.root / "v1.0-mini/object_ann.json").unlink(), r"object_ann\.json: missing"),
        (lambda tree: (tree.root / "v1.0-mini/category.json").write_bytes(b"\xff\x00["), r"category\.json: ends in"),
    ],
)
def test_bad_tables_are_named(tree: Tree, harm: Callable[[Tree], object], said: str):
    harm(tree)
    with pytest.raises(DataError, match=said):
        open_source(load_card("nuimages"), "mini", tree.root)


@pytest.mark.parametrize(
    ("harm", "path", "said"),
    [
        (lambda tree: tree.file(0).unlink(), "samples", "missing"),
        (lambda tree: tree.file(0).write_bytes(b""), "samples", "unreadable image"),
        (lambda tree: tree.file(0).write_bytes(tree.file(0).read_bytes()[:300]), "samples", "unreadable image"),
        (lambda tree: Image.new("RGB", (64, 64)).save(tree.file(0)), "samples", "64x64 pixels; .* for 64x36"),
        (
            edit("object_ann", 1, mask={"counts": base64.b64encode(b"111").decode()}),
            "object_ann.json",
            "a mask of 0+: its runs are no 64x36 pixels",
        ),
    ],
)
def test_bad_files_are_named_once(tree: Tree, harm: Callable[[Tree], object], path: str, said: str):
    harm(tree)
    source = open_source(load_card("nuimages"), "mini", tree.root)
    with pytest.raises(DataError, match=said):
        source[0]
    found = [problem for _, problems in source.check() for problem in problems]
    assert len(found) == 1
    assert path in str(found[0].path)
    assert source[1].images.shape == (1, 3, *SIZE)


def test_check_looks_quickly_and_deeply(tree: Tree, capsys):
    assert check("nuimages", str(tree.root), "mini") == 0
    assert "6 frames, every file is there and readable" in capsys.readouterr().out
    tree.file(2).unlink()
    source = open_source(load_card("nuimages"), "mini", tree.root)
    assert [problem.fault for _, problems in glance(source) for problem in problems] == ["missing"]


def test_a_folder_without_the_version_is_told(tree: Tree):
    with pytest.raises(DataError, match=r"no folder v1\.0-train"):
        open_source(load_card("nuimages"), "train", tree.root)


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "table", ["sample", "sample_data", "calibrated_sensor", "category", "surface_ann", "object_ann"]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_harm_is_named_or_harmless(tree: Tree, own_cache: Path, table: str, count: int):
    card = load_card("nuimages")

    def read(_: Path) -> None:
        shutil.rmtree(own_cache, ignore_errors=True)  # equal sizes and times would hide the harm
        source = NuImages(card, "mini", tree.root)
        for row in range(len(source)):
            labels = source.classes(row)
            assert labels is None or -1 <= labels.min() <= labels.max() < len(card.classes)

    hurt(tree.root / "v1.0-mini" / f"{table}.json", read, count)
