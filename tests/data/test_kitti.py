"""KITTI: geometry against the definition of its files, and every kind of bad file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import KittiTree, kitti_calib_text
from lidar2d.data.card import load_card
from lidar2d.data.kitti import Kitti
from lidar2d.data.kitti.calibration import calibration
from lidar2d.data.source import Source, open_source
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Frame, collate
from lidar2d.geometry import pairs, points_in_boxes, project

CARD = load_card("kitti")
HALF_PIXEL = 0.5  # ours minus KITTI's pixel coordinates


def opened(tree: KittiTree, split: str = "train", size: tuple[int, int] | None = None) -> Kitti:
    return Kitti(CARD, split, tree.root, size)


def test_reader_follows_the_protocol(kitti_tree: KittiTree):
    with pytest.raises(UsageError, match="sweeps is 3; kitti has single sweeps"):
        open_source(CARD, "train", kitti_tree.root, sweeps=3)
    source = open_source(CARD, "train", kitti_tree.root)
    assert isinstance(source, Source)
    assert list(source.tokens) == ["000001", "000002"]
    assert [source[i].token for i in range(len(source))] == list(source.tokens)
    assert source.conditions == ["day", "day"]
    assert len(opened(kitti_tree, "val")) == 1


def test_frame_holds_what_the_files_hold(kitti_tree: KittiTree):
    frame = opened(kitti_tree)[1]
    raw = np.fromfile(kitti_tree.file("velodyne", "000002"), np.float32).reshape(-1, 4)
    assert torch.equal(frame.points, torch.from_numpy(raw))
    assert frame.images.shape == (1, 3, 38, 122)
    assert frame.images.dtype == torch.float32
    assert 0 <= frame.images.min() < frame.images.max() <= 1
    assert frame.intrinsics.dtype == frame.cam_from_lidar.dtype == torch.float64
    assert frame.labels is None
    assert frame.condition == "day"


def test_projection_is_that_of_the_full_projection_matrix(kitti_tree: KittiTree):
    frame = opened(kitti_tree)[0]
    pixels, _ = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    for point, pixel in zip(frame.points[:, :3].double().numpy(), pixels[0].numpy(), strict=True):
        u, v, w = kitti_tree.p2 @ kitti_tree.rect_from_lidar @ [*point, 1]
        assert pixel == pytest.approx([u / w + HALF_PIXEL, v / w + HALF_PIXEL], abs=1e-6)


def test_box_holds_the_points_placed_in_it_and_no_other(kitti_tree: KittiTree):
    for frame in (*opened(kitti_tree), *opened(kitti_tree, "val")):
        assert frame.boxes is not None
        assert [CARD.box_classes[c] for c in frame.boxes.classes] == ["Cyclist"]  # DontCare is no box
        inside = points_in_boxes(frame.points[:, :3], frame.boxes.geometry)[0]
        assert inside[: kitti_tree.inside].all()
        assert not inside[kitti_tree.inside :].any()
        assert frame.boxes.geometry[0, 3:6].tolist() == [3.9, 1.6, 1.5]


def test_heading_points_along_the_length(kitti_tree: KittiTree):
    frame = opened(kitti_tree)[0]
    assert frame.boxes is not None
    yaw = frame.boxes.geometry[0, 6]
    heading = kitti_tree.rect_from_lidar[:3, :3] @ [yaw.cos(), yaw.sin(), 0]
    angle = 0.4  # of the label: from the camera's x axis about its y axis, which points down
    assert heading == pytest.approx([np.cos(angle), 0, -np.sin(angle)], abs=1e-6)


def test_resizing_keeps_points_on_their_pixels(kitti_tree: KittiTree):
    plain, small = opened(kitti_tree)[0], opened(kitti_tree, size=(16, 48))[0]
    height, width = plain.images.shape[-2:]
    assert small.images.shape == (1, 3, 16, 48)
    before, _ = project(plain.points[:, :3], plain.intrinsics, plain.cam_from_lidar)
    after, _ = project(small.points[:, :3], small.intrinsics, small.cam_from_lidar)
    scale = torch.tensor([48 / width, 16 / height], dtype=torch.float64)
    torch.testing.assert_close(after, before * scale, atol=1e-9, rtol=0)


def test_images_of_the_cards_size_fit_in_one_batch(kitti_tree: KittiTree):
    with pytest.raises(UsageError, match="differ in size"):
        collate(list(opened(kitti_tree)))
    batch = collate(list(opened(kitti_tree, size=CARD.image_size)))
    assert CARD.image_size is not None
    assert batch.images.shape == (2, 3, *CARD.image_size)
    assert len(pairs(batch)) > 100


def test_training_without_labels_gives_frames_without_boxes(kitti_tree: KittiTree):
    folder = kitti_tree.root / "training" / "label_2"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    source = opened(kitti_tree)
    assert source[0].boxes is None
    assert [found for _, found in source.check()] == [[], []]


def test_missing_list_of_frames_is_named(kitti_tree: KittiTree):
    with pytest.raises(DataError, match=r"ImageSets/trainval\.txt.*missing"):
        opened(kitti_tree, "trainval")


@pytest.mark.parametrize(("text", "fault"), [("", "no frame"), ("../1\n", "'../1'"), ("000001 000001", "000001 twice")])
def test_wrong_list_of_frames_is_named(kitti_tree: KittiTree, text: str, fault: str):
    (kitti_tree.root / "ImageSets" / "train.txt").write_text(text)
    with pytest.raises(DataError, match=rf"train\.txt.*{fault}"):
        opened(kitti_tree)


# ---- bad files


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _spoil(row: int, column: int, value: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        points = np.fromfile(path, np.float32).reshape(-1, 4)
        points[row, column] = value
        points.tofile(path)

    return spoil


def _swap(old: str, new: str) -> Callable[[Path], None]:
    def swap(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return swap


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _away(path: Path) -> None:
    """Turn the camera round, so that it sees none of the points."""
    velo = np.column_stack([np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]), np.zeros(3)])
    path.write_text(kitti_calib_text(np.array([[70.0, 0, 61, 0], [0, 71, 18, 0], [0, 0, 1, 0]]), np.eye(3), velo))


def _row(key: str, numbers: str) -> Callable[[Path], object]:
    """Put other numbers behind a key."""

    def spoil(path: Path) -> None:
        lines = [f"{key}: {numbers}" if line.startswith(key) else line for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines))

    return spoil


_mirrored = _row("R0_rect", "-1 0 0 0 1 0 0 0 1")
_singular = _row("P2", "1 1 0 0 1 1 0 0 0 0 1 0")


def _sixteen_bits(path: Path) -> None:
    with Image.open(path) as image:
        Image.fromarray(np.zeros((image.height, image.width), np.uint16)).save(path)


BAD = [
    ("velodyne", Path.unlink, "missing"),
    ("velodyne", _cut, "truncated"),
    ("velodyne", lambda path: path.write_bytes(path.read_bytes()[:-4]), "truncated"),
    ("velodyne", lambda path: path.write_bytes(b""), "empty"),
    ("velodyne", _spoil(3, 1, np.nan), "1 of 240 points have NaN"),
    ("velodyne", _spoil(3, 2, np.inf), "infinite"),
    ("velodyne", _spoil(3, 3, np.nan), "NaN"),
    ("velodyne", _spoil(3, 0, 1e20), "1e+20 m"),
    ("velodyne", _spoil(3, 3, 200), "intensities"),
    ("velodyne", _pipe, "not a file"),
    ("image_2", Path.unlink, "missing"),
    ("image_2", _half, "unreadable image"),
    ("image_2", lambda path: path.write_bytes(b""), "unreadable image"),
    ("image_2", lambda path: path.write_text("<html>404</html>"), "unreadable image"),
    ("calib", Path.unlink, "missing"),
    ("calib", _swap("P2:", "P9:"), "no key 'P2'"),
    ("calib", _swap("R0_rect:", "R0_rect: 1"), "'R0_rect' has 10 values"),
    ("calib", _swap("Tr_velo_to_cam: 0", "Tr_velo_to_cam: x"), "no number"),
    ("calib", _swap("Tr_velo_to_cam: 0.000000000000e+00", "Tr_velo_to_cam: nan"), "NaN"),
    ("calib", _swap("Tr_velo_to_cam: 0.000000000000e+00", "Tr_velo_to_cam: 3"), "no rotation"),
    ("calib", _swap("P2: 7", "P2: -7"), "focal length"),
    ("calib", lambda path: path.write_bytes(b"\xff\xfe\x00"), "not text"),
    ("label_2", Path.unlink, "missing"),
    ("label_2", _swap("Cyclist", "Horse"), "line 1: unknown class 'Horse'"),
    ("label_2", _swap("1.5 1.6", "1.5 wide"), "line 1: a value is no number"),
    ("label_2", _swap("1.5 1.6", "1.6"), "line 1: a class and 14"),
    ("label_2", _swap("1.5 1.6", "1.5 nan"), "line 1: a class and 14"),
    ("label_2", _swap("1.5 1.6", "-1.5 1.6"), "line 1: a box of [-1.5, 1.6, 3.9] m"),
    ("label_2", _swap("1.5 1.6", "1.5 0"), "line 1: a box of [1.5, 0.0, 3.9] m"),
    ("label_2", _swap("12.0", "1e300"), "line 1: a box"),
    ("calib", _mirrored, "R0_rect is no rotation"),
    ("calib", _singular, "P2 is no projection of a camera: its second row must begin with 0"),
    ("image_2", _sixteen_bits, "has pixels of mode I;16; images have 8 bits a colour"),
]


@pytest.mark.parametrize(("kind", "spoil", "fault"), BAD)
def test_bad_file_is_named(kitti_tree: KittiTree, kind: str, spoil: Callable[[Path], object], fault: str):
    bad = kitti_tree.file(kind, "000002")
    spoil(bad)
    source = opened(kitti_tree)
    source[0]  # the frame before is not touched by it
    with pytest.raises(DataError) as raised:
        source[1]
    assert str(bad) in str(raised.value)
    assert fault in str(raised.value)
    found = dict(source.check())
    assert found["000001"] == []
    assert [(problem.path, fault in problem.fault) for problem in found["000002"]] == [(bad, True)]


def test_image_that_shows_no_point_is_named(kitti_tree: KittiTree):
    _away(kitti_tree.file("calib", "000002"))
    source = opened(kitti_tree)
    with pytest.raises(DataError, match=r"image_2/000002\.png: shows none of the scan's 240 points"):
        source[1]
    assert [len(found) for _, found in source.check()] == [0, 1]


def test_check_names_all_bad_files_of_a_frame(kitti_tree: KittiTree):
    bad = {kitti_tree.file(kind, "000001") for kind in ("velodyne", "image_2", "calib", "label_2")}
    for path in bad:
        path.unlink()
    found = dict(opened(kitti_tree).check())
    assert {problem.path for problem in found["000001"]} == bad
    assert len(found["000001"]) == 4
    assert found["000002"] == []


# ---- against pykitti


def _pykitti_tree(root: Path, p2: np.ndarray, r0: np.ndarray, velo: np.ndarray) -> Path:
    """Write the same calibration as KITTI's raw recordings have it, for pykitti."""
    date = root / "2011_09_26"
    (date / "2011_09_26_drive_0001_sync" / "oxts").mkdir(parents=True)
    (date / "2011_09_26_drive_0001_sync" / "oxts" / "timestamps.txt").write_text("")

    def line(key: str, value: np.ndarray) -> str:
        return f"{key}: " + " ".join(f"{v:.12e}" for v in np.ravel(value)) + "\n"

    rigid = line("R", velo[:, :3]) + line("T", velo[:, 3])
    (date / "calib_velo_to_cam.txt").write_text(rigid)
    (date / "calib_imu_to_velo.txt").write_text(rigid)
    cameras = [line(f"P_rect_0{i}", p2) + line(f"R_rect_0{i}", r0) for i in range(4)]
    (date / "calib_cam_to_cam.txt").write_text("".join(cameras))
    return root


def _object_calibration(path: Path, p2: np.ndarray, r0: np.ndarray, velo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    path.write_text(kitti_calib_text(p2, r0, velo))
    intrinsics, rect_from_lidar, cam_from_rect = calibration(path)
    return intrinsics, cam_from_rect @ rect_from_lidar


def test_calibration_equals_pykittis(tmp_path: Path, kitti_tree: KittiTree):
    pykitti = pytest.importorskip("pykitti")
    lines = kitti_tree.file("calib", "000001").read_text().splitlines()
    values = {key: np.array(text.split(), float) for key, text in (line.split(":") for line in lines)}
    p2, r0, velo = kitti_tree.p2.copy(), values["R0_rect"].reshape(3, 3), values["Tr_velo_to_cam"].reshape(3, 4)
    p2[:, 3] = [4.5, 0, 0]  # pykitti reads the shift along x alone
    theirs = pykitti.raw(_pykitti_tree(tmp_path, p2, r0, velo), "2011_09_26", "0001").calib
    intrinsics, cam_from_lidar = _object_calibration(tmp_path / "calib.txt", p2, r0, velo)
    np.testing.assert_allclose(cam_from_lidar, theirs.T_cam2_velo, atol=1e-9)
    shift = [[0, 0, HALF_PIXEL], [0, 0, HALF_PIXEL], [0, 0, 0]]
    np.testing.assert_allclose(intrinsics - shift, theirs.K_cam2, atol=1e-9)


def test_real_calibration_equals_pykittis(tmp_path: Path, samples: Path):
    pykitti = pytest.importorskip("pykitti")
    date = samples / "kitti_raw" / "2011_09_26"
    read = pykitti.utils.read_calib_file
    cameras, velo = read(date / "calib_cam_to_cam.txt"), read(date / "calib_velo_to_cam.txt")
    p2, r0 = cameras["P_rect_02"].reshape(3, 4), cameras["R_rect_00"].reshape(3, 3)
    rigid = np.column_stack([velo["R"].reshape(3, 3), velo["T"]])
    theirs = pykitti.raw(_pykitti_tree(tmp_path, p2, r0, rigid), "2011_09_26", "0001").calib
    _, cam_from_lidar = _object_calibration(tmp_path / "calib.txt", p2, r0, rigid)
    np.testing.assert_allclose(cam_from_lidar[:3, :3], theirs.T_cam2_velo[:3, :3], atol=1e-9)
    # pykitti leaves out the 3 mm that the shift has along z
    np.testing.assert_allclose(cam_from_lidar[:3, 3], theirs.T_cam2_velo[:3, 3], atol=5e-3)


# ---- real frames


def _labels(path: Path) -> list[tuple[str, float, list[float]]]:
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("DontCare")]
    return [(row[0], float(row[1]), [float(value) for value in row[4:8]]) for row in rows]


def _frames(samples: Path) -> list[Frame]:
    root = samples / "kitti_object"
    return [frame for split in ("train", "val") for frame in Kitti(CARD, split, root)]


def test_points_in_real_boxes_project_into_their_rectangles(samples: Path):
    inside, total, boxes = 0, 0, 0
    for frame in _frames(samples):
        assert frame.boxes is not None
        height, width = frame.images.shape[-2:]
        pixels, _ = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
        members = points_in_boxes(frame.points[:, :3], frame.boxes.geometry)
        labels = _labels(samples / "kitti_object" / "training" / "label_2" / f"{frame.token}.txt")
        assert [CARD.box_classes[c] for c in frame.boxes.classes] == [name for name, _, _ in labels]
        for (_, truncated, (left, top, right, bottom)), member in zip(labels, members, strict=True):
            if truncated > 0 or left <= 0 or top <= 0 or right >= width - 1 or bottom >= height - 1:
                continue  # cut by the image border
            u, v = (pixels[0, member] - HALF_PIXEL).unbind(-1)
            inside += int(((u >= left) & (u <= right) & (v >= top) & (v <= bottom)).sum())
            total += len(u)
            boxes += 1
    assert boxes >= 10
    assert total > 1000
    assert inside / total >= 0.98


def test_real_frames_are_complete(samples: Path):
    for split in ("train", "val"):
        source = Kitti(CARD, split, samples / "kitti_object", (64, 208))
        assert [problem for _, found in source.check() for problem in found] == []
    sizes = {tuple(frame.images.shape) for frame in _frames(samples)}
    assert len(sizes) > 1


def test_unreadable_root_is_a_usage_error(tmp_path: Path):
    with pytest.raises(Exception, match="no folder"):
        Kitti(CARD, "train", tmp_path / "nowhere")


def test_intensity_scale_of_the_card_is_used(kitti_tree: KittiTree):
    doubled = Kitti(replace(CARD, intensity_scale=2.0), "train", kitti_tree.root)
    torch.testing.assert_close(doubled[0].points[:, 3] * 2, opened(kitti_tree)[0].points[:, 3])


def test_other_cameras_are_refused(kitti_tree: KittiTree):
    with pytest.raises(UsageError, match="has cameras image_3; its reader reads image_2 alone"):
        open_source(replace(load_card("kitti"), cameras=("image_3",)), "train", kitti_tree.root)
