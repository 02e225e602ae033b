"""SemanticSTF: what the files hold, the weather of each scan, and every kind of bad file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import SEMANTICSTF_WEATHER as NAMES
from lidar2d.data.card import load_card
from lidar2d.data.glance import glance
from lidar2d.data.module import LidarData
from lidar2d.data.semanticstf import SemanticSTF
from lidar2d.data.source import Source, open_source
from lidar2d.errors import DataError
from lidar2d.frame import collate

CARD = load_card("semanticstf")


@pytest.fixture
def root(semanticstf_tree: Path) -> Path:
    return semanticstf_tree


def opened(root: Path) -> SemanticSTF:
    return SemanticSTF(CARD, "val", root)


def test_frames_hold_what_the_files_hold(root: Path):
    source = open_source(CARD, "val", root)
    assert isinstance(source, Source)
    assert dict(zip(source.tokens, source.conditions, strict=True)) == NAMES
    frame = source[1]
    raw = np.fromfile(root / "val" / "velodyne" / f"{frame.token}.bin", np.float32).reshape(-1, 5)
    np.testing.assert_array_equal(frame.points[:, :3], raw[:, :3])
    np.testing.assert_allclose(frame.points[:, 3] * 255, raw[:, 3], rtol=1e-6)
    labels = np.fromfile(root / "val" / "labels" / f"{frame.token}.label", np.uint32) & 0xFFFF
    assert frame.labels is not None
    assert frame.labels.tolist() == [-1 if value in (0, 20) else int(value) - 1 for value in labels]
    assert frame.condition == "dense_fog"
    batch = collate([source[0], frame], clear=CARD.clear)
    assert len(batch.images) == 0
    assert batch.clear is not None
    assert not batch.clear.any()


def test_the_classes_are_those_of_semantickitti():
    kitti = load_card("semantickitti")
    assert CARD.classes == kitti.classes
    assert CARD.label_map == {0: -1, **{index + 1: index for index in range(19)}, 20: -1}


def test_it_is_judged_through_the_datamodule(root: Path):
    batches = (
        list(LidarData("semanticstf", str(root), split="val", batch_size=2).test_dataloader()) if CARD.test else []
    )
    batches = batches or list(
        LidarData("semanticstf", str(root), split="val", test="val", batch_size=2).test_dataloader()
    )
    assert [token for batch in batches for token in batch.tokens] == list(NAMES)
    assert all(torch.isfinite(batch.points).all() for batch in batches)


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("velodyne", Path.unlink, "missing"),
    ("velodyne", lambda path: path.write_bytes(path.read_bytes()[:-3]), "truncated"),
    ("velodyne", lambda path: path.write_bytes(b""), "empty"),
    ("velodyne", lambda path: np.full(10, np.nan, np.float32).tofile(path), "NaN"),
    ("velodyne", lambda path: np.full(10, 300, np.float32).tofile(path), "intensities"),
    ("labels", Path.unlink, "missing"),
    ("labels", lambda path: path.write_bytes(path.read_bytes()[:-3]), "truncated"),
    ("labels", lambda path: path.write_bytes(path.read_bytes()[:-4]), "has 199 labels; its scan has 200"),
    ("labels", lambda path: np.full(200, 21, np.uint32).tofile(path), "has label 21"),
]


@pytest.mark.parametrize(("kind", "harm", "fault"), BAD)
def test_bad_file_is_named_and_found(root: Path, kind: str, harm: Callable[[Path], object], fault: str):
    source = opened(root)
    path = next((root / "val" / kind).glob(f"{source.tokens[2]}.*"))
    assert not [problem for _, each in glance(source) for problem in each]
    harm(path)
    with pytest.raises(DataError, match=fault) as raised:
        source[2]
    assert str(path) in str(raised.value)
    assert [problem.path for _, each in source.check() for problem in each] == [path]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "missing"),
        ("", "lists no scan"),
        ("a,snow\nb,hail\n", "line 2 is 'b,hail'"),
        ("a\n", "line 1 is 'a'"),
        ("../a,snow\n", "line 1"),
        ("a,snow\na.bin,rain\n", "line 2 lists a again"),
    ],
)
def test_a_bad_list_is_named(root: Path, text: str | None, fault: str):
    path = root / "val" / "val.txt"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError, match=rf"val\.txt: {fault}"):
        opened(root)
