"""KITTI raw drives: geometry against pykitti, annotated depth, the Eigen split, and every kind of bad file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.card import load_card
from lidar2d.data.glance import glance
from lidar2d.data.kitti import KittiRaw
from lidar2d.data.source import FromFiles, Source, open_source
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import collate
from lidar2d.geometry import pairs, project

CARD = load_card("kitti_raw")
DAY, DRIVE = "2011_09_26", "2011_09_26_drive_0001_sync"
WITH_DEPTH = replace(
    CARD, splits={"train": {"frames": {DRIVE: "5 6"}, "depth": True}}, train="train", cameras=("image_02", "image_03")
)
SIZE = (37, 122)


def row(values: np.ndarray) -> str:
    return " ".join(f"{value:.12e}" for value in np.asarray(values).ravel())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One drive of frames 5 and 6 of two colour cameras, with all that pykitti wants of it, and depth in val/."""
    root, rng = tmp_path / "kitti raw ü", np.random.default_rng(4)
    drive = root / DAY / DRIVE
    turn = np.array([[np.cos(0.02), 0, np.sin(0.02)], [0, 1, 0], [-np.sin(0.02), 0, np.cos(0.02)]])
    keys = {f"R_rect_0{number}": turn for number in range(4)}
    for number, shift in enumerate((0.0, -40.0, 4.5, -33.0)):
        keys[f"P_rect_0{number}"] = np.array([[70.0, 0, 61, shift], [0, 71, 18, 0.2], [0, 0, 1, 0.003]])
    (root / DAY).mkdir(parents=True)
    text = "calib_time: 09-Jan-2012 13:57:47\n" + "".join(f"{key}: {row(value)}\n" for key, value in keys.items())
    (root / DAY / "calib_cam_to_cam.txt").write_text(text)
    axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    for name in ("velo_to_cam", "imu_to_velo"):
        matrix = axes if name == "velo_to_cam" else np.eye(3)
        (root / DAY / f"calib_{name}.txt").write_text(f"R: {row(matrix)}\nT: {row(np.array([0.01, -0.08, -0.27]))}\n")
    for number in (5, 6):
        scan = np.column_stack([rng.uniform(-20, 20, (400, 3)), rng.uniform(0, 0.99, 400)]).astype(np.float32)
        path = drive / "velodyne_points" / "data" / f"{number:010d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        scan.tofile(path)
        for view in range(4):
            path = drive / f"image_0{view}" / "data" / f"{number:010d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(path)
        depth = root / "val" / DRIVE / "proj_depth" / "groundtruth" / "image_02" / f"{number:010d}.png"
        depth.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((rng.integers(0, 80 * 256, SIZE) * (rng.random(SIZE) < 0.3)).astype(np.uint16)).save(depth)
    (drive / "oxts" / "data").mkdir(parents=True)
    for number in (5, 6):
        (drive / "oxts" / "data" / f"{number:010d}.txt").write_text("49.0 8.4 " + "0 " * 23 + "0 4 4 4 0")
    (drive / "oxts" / "timestamps.txt").write_text("2011-09-26 13:02:25.964389445\n2011-09-26 13:02:26.064389445\n")
    return root


def test_drives_are_read_in_their_layout(root: Path):
    source = open_source(CARD, "all", root, image_size=(20, 40))
    assert isinstance(source, Source)
    assert isinstance(source, FromFiles)
    assert source.tokens == [f"{DRIVE}/{number:010d}" for number in (5, 6)]
    frame = source[1]
    assert frame.images.shape == (1, 3, 20, 40)
    raw = np.fromfile(root / DAY / DRIVE / "velodyne_points" / "data" / "0000000006.bin", np.float32).reshape(-1, 4)
    assert torch.equal(frame.points, torch.from_numpy(raw))
    assert frame.depth is None
    assert len(pairs(collate([frame]))) > 5


def test_calibration_is_that_of_pykitti(root: Path):
    theirs = pytest.importorskip("pykitti").raw(str(root), DAY, "0001").calib
    frame = KittiRaw(WITH_DEPTH, "train", root).unread(0)
    half_pixel = torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    rect_from_lidar = theirs.T_cam0_velo
    for view, number in enumerate((2, 3)):
        plain = frame.intrinsics[view] - half_pixel
        np.testing.assert_allclose(plain, getattr(theirs, f"K_cam{number}"), atol=1e-9)
        projection = getattr(theirs, f"P_rect_{number}0") @ rect_from_lidar
        np.testing.assert_allclose(plain @ frame.cam_from_lidar[view, :3], projection, atol=1e-9)


def test_real_drive(samples: Path):
    source = open_source(CARD, "all", samples / "kitti_raw")
    assert len(source) == 8
    frame = source[3]
    assert frame.images.shape == (1, 3, 375, 1242)
    found = pairs(collate([frame]))
    assert len(found) > 15_000  # of the 120,000 points of a scan, those in front of the camera
    pixels, depth = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    assert torch.equal(pixels[0][found.point], found.pixel)
    assert depth[0][found.point].median() < 20


def test_depth_is_that_of_the_file_and_follows_the_images(root: Path):
    source = KittiRaw(WITH_DEPTH, "train", root)
    frame = source[0]
    path = root / "val" / DRIVE / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png"
    stored = np.array(Image.open(path)).astype(np.float64) / 256
    assert frame.depth is not None
    assert frame.depth.shape == (2, *SIZE)
    np.testing.assert_allclose(frame.depth[0], stored)
    assert (frame.depth[1] == 0).all()
    small = KittiRaw(WITH_DEPTH, "train", root, (18, 61))[0]
    assert small.depth is not None
    assert small.depth.shape == (2, 18, 61)
    assert set(small.depth.unique().tolist()) <= set(frame.depth.unique().tolist())
    (root / "val").rename(root / "train")
    assert torch.equal(KittiRaw(WITH_DEPTH, "train", root)[0].depth, frame.depth)


def test_the_eigen_split_has_its_frames():
    frames = CARD.splits["eigen_test"]["frames"]
    assert len(frames) == 28
    assert sum(len(str(numbers).split()) for numbers in frames.values()) == 652
    assert all(int(number) >= 5 for numbers in frames.values() for number in str(numbers).split())
    assert str(frames["2011_09_26_drive_0002_sync"]).split()[:3] == ["69", "54", "42"]


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("scan", Path.unlink, "missing"),
    ("scan", lambda path: path.write_bytes(path.read_bytes()[:-3]), "truncated"),
    ("image", Path.unlink, "missing"),
    ("image", lambda path: path.write_bytes(path.read_bytes()[:900]), "unreadable image"),
    ("depth", Path.unlink, "missing"),
    ("depth", lambda path: path.write_bytes(path.read_bytes()[:60]), "unreadable image"),
    ("depth", lambda path: Image.new("L", (122, 37)).save(path), "has pixels of mode L"),
    ("depth", lambda path: Image.fromarray(np.zeros((5, 5), np.uint16)).save(path), "is 5x5 pixels; its image"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "harm", "fault"), BAD)
def test_bad_file_is_named_and_found(root: Path, kind: str, harm: Callable[[Path], object], fault: str):
    source = KittiRaw(WITH_DEPTH, "train", root)
    assert not [problem for _, each in glance(source) for problem in each]
    assert not [problem for _, each in source.check() for problem in each]
    path = {
        "scan": root / DAY / DRIVE / "velodyne_points" / "data" / "0000000006.bin",
        "image": root / DAY / DRIVE / "image_03" / "data" / "0000000006.png",
        "depth": root / "val" / DRIVE / "proj_depth" / "groundtruth" / "image_02" / "0000000006.png",
    }[kind]
    harm(path)
    with pytest.raises(DataError, match=fault) as raised:
        source[1]
    assert path.name in str(raised.value)
    assert [problem.path.name for _, each in source.check() for problem in each] == [path.name]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("calib_velo_to_cam.txt", "R: 1 2 3", "'R' has 3 values"),
        ("calib_velo_to_cam.txt", "R: 1 1 1 1 1 1 1 1 1\nT: 0 0 0", "R is no rotation"),
        ("calib_cam_to_cam.txt", "P_rect_02: 1", "no key 'R_rect_00'"),
    ],
)
def test_bad_calibration_is_named(root: Path, name: str, text: str, fault: str):
    (root / DAY / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}: {fault}"):
        open_source(CARD, "all", root)[0]


def test_drives_that_are_not_there_are_named(root: Path, tmp_path: Path):
    for drives, error, fault in (
        ("2011_09_26_drive_0099_sync", DataError, "no folder"),
        ("0099", UsageError, "names such as"),
    ):
        card = replace(CARD, splits={"all": {"drives": drives}})
        with pytest.raises(error, match=fault):
            KittiRaw(card, "all", root)
    with pytest.raises(DataError, match="has no drive such as"):
        KittiRaw(CARD, "all", tmp_path)
