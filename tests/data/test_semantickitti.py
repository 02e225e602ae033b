"""SemanticKITTI: geometry against pykitti, labels against the official map, sweeps, and every kind of bad file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.card import load_card
from lidar2d.data.files import BadFileError
from lidar2d.data.glance import glance
from lidar2d.data.kitti import SemanticKitti
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.source import FromFiles, Moving, Source, Sweeping, open_source
from lidar2d.data.wrapped import WithoutImages, as_asked, changed, part
from lidar2d.errors import DataError
from lidar2d.frame import collate
from lidar2d.geometry import pairs, project, transform

CARD = replace(
    load_card("semantickitti"),
    splits={"train": {"sequences": "00 03", "labels": "labels"}, "none": {"sequences": "77", "labels": "labels"}},
    val="",
)
OFFICIAL = {  # semantic-kitti.yaml: learning_map, its class 0 the one to ignore
    0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12,
    50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8, 256: 5,
    257: 5, 258: 4, 259: 5,
}  # fmt: skip


@dataclass
class Tree:
    root: Path

    def file(self, token: str, kind: str = "velodyne") -> Path:
        sequence, name = token.split("/")
        ending = {"velodyne": "bin", "labels": "label", "image_2": "png"}[kind]
        return self.root / "sequences" / sequence / kind / f"{name}.{ending}"


def row(values: np.ndarray) -> str:
    return " ".join(f"{value:.12e}" for value in values.ravel())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Two sequences of three scans around one set of points that does not move; the second has no images."""
    rng = np.random.default_rng(2)
    tree = Tree(tmp_path / "semantic kitti ü")
    lean = 0.02
    turn = np.array([[np.cos(lean), -np.sin(lean), 0], [np.sin(lean), np.cos(lean), 0], [0, 0, 1]])
    tr = np.column_stack([np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]) @ turn, [0.01, -0.06, -0.3]])
    p2 = np.array([[70.0, 0, 61, 4.5], [0, 71, 18, 0.2], [0, 0, 1, 0.003]])
    rect_from_lidar = np.eye(4)
    rect_from_lidar[:3] = tr
    for sequence in ("00", "03"):
        folder = tree.root / "sequences" / sequence
        for kind in ("velodyne", "labels", *(["image_2"] if sequence == "00" else [])):
            (folder / kind).mkdir(parents=True)
        keys = {"P0": p2 - [[0, 0, 0, 4.5], [0] * 4, [0] * 4], "P1": p2, "P2": p2, "P3": p2, "Tr": tr}
        (folder / "calib.txt").write_text("".join(f"{key}: {row(value)}\n" for key, value in keys.items()))
        world = np.column_stack([rng.uniform(-20, 20, (300, 2)), rng.uniform(-1, 3, 300), np.ones(300)])
        poses = []
        for number in range(3):
            angle = 0.1 * number
            pose = np.eye(4)
            pose[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
            pose[:3, 3] = [0.1 * number, 0, 1.5 * number]
            poses.append(pose)
            xyz = (np.linalg.inv(pose @ rect_from_lidar) @ rect_from_lidar @ world.T).T[:, :3]
            scan = np.column_stack([xyz, rng.uniform(0, 0.99, 300)]).astype(np.float32)
            scan.tofile(tree.file(f"{sequence}/{number:06d}"))
            raw = rng.choice(list(OFFICIAL), 300).astype(np.uint32) | (rng.integers(0, 9, 300).astype(np.uint32) << 16)
            raw.tofile(tree.file(f"{sequence}/{number:06d}", "labels"))
            if sequence == "00":
                picture = rng.integers(0, 255, (37, 122, 3), dtype=np.uint8)
                Image.fromarray(picture).save(tree.file(f"{sequence}/{number:06d}", "image_2"))
        (folder / "poses.txt").write_text("".join(f"{row(pose[:3])}\n" for pose in poses))
        (folder / "times.txt").write_text("0.0\n0.104\n0.208\n")
    return tree


def opened(tree: Tree) -> SemanticKitti:
    return SemanticKitti(CARD, "train", tree.root)


def test_reader_follows_the_protocols(tree: Tree):
    source = open_source(CARD, "train", tree.root, image_size=(32, 64))
    assert isinstance(source, Source)
    assert isinstance(source, FromFiles)
    assert isinstance(source, Sweeping)
    assert source.tokens == [f"{sequence}/{number:06d}" for sequence in ("00", "03") for number in range(3)]
    assert [source[i].token for i in range(6)] == source.tokens
    assert source[0].images.shape == (1, 3, 32, 64)
    assert source.image_files(1) == [Path("sequences/00/image_2/000001.png")]


def test_a_sequence_without_images_has_points_alone(tree: Tree):
    source = opened(tree)
    frame = source[4]
    assert frame.images.shape[0] == len(frame.intrinsics) == len(frame.cam_from_lidar) == 0
    assert len(frame.points) == 300
    both = collate([source[0], frame])
    assert both.view_frame.tolist() == [0]


def test_frame_holds_what_the_files_hold(tree: Tree):
    frame = opened(tree)[2]
    assert torch.equal(frame.points, torch.from_numpy(np.fromfile(tree.file(frame.token), np.float32).reshape(-1, 4)))
    raw = np.fromfile(tree.file(frame.token, "labels"), np.uint32)
    assert frame.labels is not None
    assert frame.labels.tolist() == [OFFICIAL[int(value) & 0xFFFF] - 1 for value in raw]


def test_every_raw_label_is_the_official_class_or_an_error(tmp_path: Path):
    table = LabelMap(load_card("semantickitti"), 1 << 16)
    for raw in range(1 << 16):
        values = np.array([raw], np.uint32)
        if raw in OFFICIAL:
            assert table.classes(values, tmp_path).item() == OFFICIAL[raw] - 1
        else:
            with pytest.raises(BadFileError, match=rf"has label {raw}, which"):
                table.classes(values, tmp_path)


def test_scribbles_are_labels_of_another_folder(tree: Tree):
    card = load_card("scribblekitti")
    assert card.label_map == load_card("semantickitti").label_map
    card = replace(card, splits={"train": card.splits["train"] | {"sequences": "00"}}, val="")
    scribbles = tree.root / "sequences" / "00" / "scribbles"
    scribbles.mkdir()
    for number in range(3):
        np.full(300, [0, 10, 40][number], np.uint32).tofile(scribbles / f"{number:06d}.label")
    source = SemanticKitti(card, "train", tree.root)
    assert [source[index].labels.unique().tolist() for index in range(3)] == [[-1], [0], [8]]


def same_as_pykitti(root: Path, source: SemanticKitti, index: int) -> None:
    """Compare with pykitti, but for its T_cam2_velo: that leaves out two of the three numbers of the camera's shift."""
    sequence, name = source.tokens[index].split("/")
    theirs = pytest.importorskip("pykitti").odometry(str(root), sequence)
    ours = source._calibration(source.tokens[index])
    half_pixel = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(ours.intrinsics - half_pixel, theirs.calib.K_cam2, atol=1e-9)
    np.testing.assert_allclose(ours.rect_from_lidar, theirs.calib.T_cam0_velo, atol=1e-9)
    projection = (ours.intrinsics - half_pixel) @ ours.cam_from_lidar[:3]
    np.testing.assert_allclose(projection, theirs.calib.P_rect_20 @ theirs.calib.T_cam0_velo, atol=1e-9)
    pose = np.array(theirs.poses[int(name)]) @ theirs.calib.T_cam0_velo
    np.testing.assert_allclose(ours.poses[int(name)], pose, atol=1e-9)


def beside(tree: Path, folder: Path) -> Path:
    """Put the sequences where pykitti looks for them: poses in a folder of their own."""
    (folder / "sequences").symlink_to(tree / "sequences")
    (folder / "poses").mkdir()
    for path in (tree / "sequences").iterdir():
        (folder / "poses" / f"{path.name}.txt").write_text((path / "poses.txt").read_text())
    return folder


def test_calibration_and_poses_equal_pykittis(tree: Tree, tmp_path: Path):
    (tmp_path / "odometry").mkdir()
    root = beside(tree.root, tmp_path / "odometry")
    for index in range(6):
        same_as_pykitti(root, opened(tree), index)


def test_real_calibration_and_poses_equal_pykittis(samples: Path, tmp_path: Path):
    root = beside(samples / "semantickitti", tmp_path)
    source = SemanticKitti(load_card("semantickitti"), "val", samples / "semantickitti")
    same_as_pykitti(root, source, 0)


def test_real_scan_and_its_labels(samples: Path):
    source = SemanticKitti(load_card("semantickitti"), "val", samples / "semantickitti")
    frame = source[0]
    assert len(frame.points) == 123389
    assert frame.labels is not None
    counts = torch.bincount(frame.labels + 1, minlength=20)
    assert counts[0] == 6924
    assert counts[1 + CARD.classes.index("vegetation")] == 24514
    road = frame.points[frame.labels == CARD.classes.index("road")]
    assert -2.5 < road[:, 2].median() < -1.2  # the sensor is 1.73 m above it


def test_points_project_as_the_full_projection_matrix_says(tree: Tree):
    frame = opened(tree)[1]
    numbers = {
        line.split(":")[0]: line.split(":")[1]
        for line in (tree.root / "sequences/00/calib.txt").read_text().splitlines()
    }
    p2, tr = (np.array(numbers[key].split(), float).reshape(3, 4) for key in ("P2", "Tr"))
    chain = p2 @ np.vstack([tr, [0, 0, 0, 1]])
    pixels, _ = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    u, v, w = chain @ np.column_stack([frame.points[:, :3].double(), np.ones(len(frame.points))]).T
    np.testing.assert_allclose(pixels[0], np.column_stack([u / w, v / w]) + 0.5, rtol=1e-6)
    assert len(pairs(collate([frame]))) > 10


def test_sweeps_lie_where_the_scan_would_have_seen_them(tree: Tree):
    source = opened(tree)
    for sweeps, ages in ((2, [0.104]), (3, [0.104, 0.208]), (9, [0.104, 0.208])):
        frame = source.with_sweeps(sweeps)[2]
        assert frame.points.shape == (300 * (1 + len(ages)), 5)
        own = frame.points[:300, :3]
        for number, age in enumerate(ages, start=1):
            part = frame.points[300 * number : 300 * (number + 1)]
            torch.testing.assert_close(part[:, :3], own, atol=1e-4, rtol=0)  # the world does not move
            torch.testing.assert_close(part[:, 4], torch.full((300,), age))
        assert frame.labels is not None
        assert (frame.labels[300:] == -1).all()
        assert (frame.labels[:300] >= 0).any()
    assert source.with_sweeps(3)[3].points.shape == (300, 5)  # a sequence begins


def test_a_bad_sweep_before_a_frame_is_checked_with_it(tree: Tree):
    source = opened(tree)
    source.tokens = source.tokens[2:3]
    (tree.root / "sequences/00/velodyne/000001.bin").write_bytes(b"12345")
    for look in (SemanticKitti.check, glance):
        assert not [problem for _, found in look(source) for problem in found]
        assert [problem.path.name for _, found in look(source.with_sweeps(2)) for problem in found] == ["000001.bin"]


def test_real_sweeps_come_nearer_to_each_other(samples: Path):
    card = replace(CARD, splits={"train": {"sequences": "00", "labels": "labels"}}, val="")
    source = SemanticKitti(card, "train", samples / "semantickitti")
    frame, before = source.with_sweeps(3)[2], source[0].points[:, :3]
    own, moved = frame.points[frame.points[:, 4] == 0, :3][::200], frame.points[frame.points[:, 4] > 0.15, :3]
    near = torch.cdist(own, moved).amin(1)
    assert near.median() < torch.cdist(own, before).amin(1).median()
    motion, _ = source._calibration("00/000002").motion(0, 2)
    torch.testing.assert_close(moved.double(), transform(torch.from_numpy(motion), before.double()), atol=1e-4, rtol=0)


def test_the_motion_to_the_next_scan_carries_points_that_stand_still_onto_themselves(tree: Tree):
    source = opened(tree)
    assert isinstance(source, Moving)
    for index in (0, 1, 3, 4):
        found = source.following(index)
        assert found is not None
        after, motion = found
        assert after == index + 1
        moved = transform(motion, source[index].points[:, :3].double())
        torch.testing.assert_close(moved, source[after].points[:, :3].double(), atol=1e-4, rtol=0)
    assert source.following(2) is None  # the sequence ends, though another one begins
    assert source.following(5) is None


def test_the_motion_to_the_next_scan_is_known_of_some_frames_and_of_changed_ones(tree: Tree):
    source = opened(tree)
    for wrapped in (changed(source, WithoutImages()), as_asked(source, None, (-5, -5, -5, 5, 5, 5))):
        for index in range(len(source)):
            found, wanted = wrapped.following(index), source.following(index)  # type: ignore[attr-defined]
            assert (found is None) == (wanted is None)
            assert found is None or (found[0] == wanted[0] and torch.equal(found[1], wanted[1]))
    some = part(source, [0, 1, 4, 5])
    after = [some.following(index) for index in range(4)]  # type: ignore[attr-defined]
    assert [found and found[0] for found in after] == [1, None, 3, None]


def test_real_scans_come_nearer_to_the_next_one(samples: Path):
    card = replace(CARD, splits={"train": {"sequences": "00", "labels": "labels"}}, val="")
    source = SemanticKitti(card, "train", samples / "semantickitti")
    for index in range(2):
        found = source.following(index)
        assert found is not None
        after, motion = found
        here, there = (source[place].points[:, :3].double() for place in (index, after))
        here, there = here[here[:, 2] > -1][::100], there[there[:, 2] > -1.2][::2]  # rings on the ground all look alike
        apart = [torch.cdist(xyz, there).amin(1).median() for xyz in (here, transform(motion, here))]
        assert apart[1] < 0.6 * apart[0]
    assert source.following(2) is None


# ---- bad files


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def write(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


BAD = [
    ("velodyne", Path.unlink, "missing"),
    ("velodyne", cut, "truncated"),
    ("velodyne", write(""), "empty"),
    ("velodyne", lambda path: np.full(8, np.nan, np.float32).tofile(path), "NaN"),
    ("velodyne", lambda path: np.arange(8, dtype=np.float64).tofile(path), "000001.bin"),
    ("velodyne", lambda path: (path.unlink(), path.symlink_to(path)), "000001.bin"),
    ("labels", Path.unlink, "missing"),
    ("labels", cut, "truncated"),
    ("labels", lambda path: np.zeros(299, np.uint32).tofile(path), "has 299 labels; its scan has 300 points"),
    ("labels", lambda path: np.full(300, 77, np.uint32).tofile(path), "has label 77"),
    ("image_2", Path.unlink, "missing"),
    ("image_2", lambda path: path.write_bytes(path.read_bytes()[:900]), "unreadable image"),
    ("image_2", write("no image"), "unreadable image"),
]


@pytest.mark.parametrize(("kind", "harm", "fault"), BAD)
def test_bad_file_is_named_and_found(tree: Tree, kind: str, harm: Callable[[Path], object], fault: str):
    source, path = opened(tree), tree.file("00/000001", kind)
    harm(path)
    with pytest.raises(DataError, match=fault) as raised:
        source[1]
    assert str(path) in str(raised.value)
    found = [problem for _, each in source.check() for problem in each]
    assert [problem.path for problem in found] == [path]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no key 'P2'"),
        ("P2: 1 2 3\nTr: 1", "'P2' has 3 values; 12 are needed"),
        (f"P2: {'1 ' * 12}\nTr: {'nan ' * 12}", "'Tr' has NaN"),
        (f"P2: {'1 ' * 12}\nTr: {'1 ' * 12}", "Tr is no rotation"),
        (f"P2: {'1 ' * 12}\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", "P2 is no projection of a camera"),
        (f"P2: {'-1 ' * 12}\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", "P2 has no positive focal length"),
    ],
)
def test_bad_calibration_is_named(tree: Tree, text: str, fault: str):
    (tree.root / "sequences" / "00" / "calib.txt").write_text(text)
    with pytest.raises(DataError, match=rf"calib\.txt: {fault}"):
        opened(tree)[0]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("poses.txt", "1 2 3\n", "line 1: 12 finite numbers"),
        ("poses.txt", "one\n", "line 1: a value is no number"),
        ("poses.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n", "has 1 lines; scan 000001 needs 2"),
        ("poses.txt", f"{'1 ' * 12}\n" * 3, "line 1 is no rigid motion"),
        ("times.txt", "0\n", "has 1 lines; scan 000001 needs 2"),
        ("times.txt", "0\nnan\n", "line 2: 1 finite numbers"),
    ],
)
def test_bad_poses_are_named_where_they_are_needed(tree: Tree, name: str, text: str, fault: str):
    (tree.root / "sequences" / "00" / name).write_text(text)
    assert len(opened(tree)[1].points) == 300
    with pytest.raises(DataError, match=rf"{name}: {fault}"):
        opened(tree).with_sweeps(2)[1]


def test_a_sequence_that_is_not_there_is_named(tree: Tree):
    with pytest.raises(DataError, match=r"no folder .*sequences/77/velodyne\nthe split needs sequence 77"):
        SemanticKitti(CARD, "none", tree.root)
    (tree.root / "sequences" / "77" / "velodyne").mkdir(parents=True)
    with pytest.raises(DataError, match="has no scan such as"):
        SemanticKitti(CARD, "none", tree.root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_scan_that_may_not_be_read_is_named(tree: Tree):
    path = tree.file("00/000001")
    path.chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        opened(tree)[1]
