"""nuScenes: poses, projections and boxes against hand-made chains and the official devkit; the index; bad files."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import CAMERAS, NuScenesTree, back, token, turned
from lidar2d.cli import main
from lidar2d.data.card import load_card
from lidar2d.data.module import LidarData
from lidar2d.data.nuscenes import NuScenes, records
from lidar2d.data.nuscenes import index as nuscenes_index
from lidar2d.data.nuscenes.index import open_index
from lidar2d.data.nuscenes.reader import condition, scene_names
from lidar2d.data.source import Moving, Source, open_source
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Frame
from lidar2d.geometry import points_in_boxes, project, transform

CARD = load_card("nuscenes")
HALF_PIXEL = 0.5  # ours minus nuScenes' pixel coordinates


def opened(tree: NuScenesTree, split: str = "mini", size: tuple[int, int] | None = None) -> NuScenes:
    return NuScenes(CARD, split, tree.root, size)


def theirs(xyz: torch.Tensor) -> np.ndarray:
    """Carry points from our LiDAR axes into nuScenes': x right, y forward."""
    x, y, z = xyz.double().numpy().T
    return np.stack([-y, x, z], axis=1)


def annotations(tree: NuScenesTree, sample: str) -> list[str]:
    """Return the annotations of a sample in the tables' order, which is the index's."""
    return [record["token"] for record in tree.tables["sample_annotation"] if record["sample_token"] == sample]


# ---- frames


def test_reader_follows_the_protocol(nuscenes_tree: NuScenesTree):
    source = open_source(CARD, "mini", nuscenes_tree.root)
    assert isinstance(source, Source)
    assert len(source) == len(source.tokens) == len(set(source.tokens)) == 5
    assert [source[i].token for i in range(5)] == list(source.tokens)
    assert source.conditions == ["day-dry"] * 5
    rainy = replace(CARD, scene_conditions={"night-rain": "60-62"})
    source = NuScenes(rainy, "mini", nuscenes_tree.root)
    assert source.conditions == ["night-rain"] * 4 + ["day-dry"]
    assert source[0].condition == "night-rain"
    assert set(source.conditions) <= {*CARD.clear, *CARD.adverse}


def test_splits_choose_scenes(nuscenes_tree: NuScenesTree):
    train, val = opened(nuscenes_tree, "mini_train"), opened(nuscenes_tree, "mini_val")
    assert train.tokens == [token("sample", "scene-0061", n) for n in range(4)]
    assert val.tokens == [token("sample", "scene-0103", 0)]
    assert val.conditions == ["day-dry"]


def test_frame_holds_what_the_files_hold(nuscenes_tree: NuScenesTree):
    frame = opened(nuscenes_tree)[2]
    raw = np.fromfile(nuscenes_tree.file("LIDAR_TOP", frame.token), np.float32).reshape(-1, 5)
    np.testing.assert_array_equal(theirs(frame.points[:, :3]), raw[:, :3])
    np.testing.assert_allclose(frame.points[:, 3] * 255, raw[:, 3], atol=1e-4)
    assert frame.points.dtype == torch.float32
    assert frame.images.shape == (6, 3, 36, 64)
    for view, channel in enumerate(CARD.cameras):
        pixels = np.array(Image.open(nuscenes_tree.file(channel + "__", frame.token)).convert("RGB"))
        np.testing.assert_allclose(frame.images[view].permute(1, 2, 0) * 255, pixels, atol=1e-4)
    assert frame.labels is not None
    record = nuscenes_tree.record(
        "sample_data", lambda r: r["filename"].endswith(nuscenes_tree.file("LIDAR_TOP", frame.token).name)
    )
    path = nuscenes_tree.root / "lidarseg" / "v1.0-mini" / f"{record['token']}_lidarseg.bin"
    assert CARD.label_map is not None
    assert frame.labels.tolist() == [CARD.label_map[raw] for raw in path.read_bytes()]


def test_projection_is_the_chain_of_both_time_stamps(nuscenes_tree: NuScenesTree):
    frame = opened(nuscenes_tree)[1]
    ours, depths = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    for view, channel in enumerate(CARD.cameras):
        xyz = theirs(frame.points[:, :3])
        for name, forward in (("LIDAR_TOP", True), (channel + "__", False)):
            file = nuscenes_tree.file(name, frame.token).name
            data = nuscenes_tree.record("sample_data", lambda r, f=file: r["filename"].endswith(f))
            ego = nuscenes_tree.record("ego_pose", lambda r, d=data: r["token"] == d["ego_pose_token"])
            mount = nuscenes_tree.record(
                "calibrated_sensor", lambda r, d=data: r["token"] == d["calibrated_sensor_token"]
            )
            for pose in (mount, ego) if forward else (ego, mount):
                q, shift = np.array(pose["rotation"]), np.array(pose["translation"])
                xyz = turned(q, xyz) + shift if forward else turned(back(q), xyz - shift)
        u, v, depth = (xyz @ np.array(mount["camera_intrinsic"]).T).T
        front = depth > 0.1
        assert front.sum() > 20
        np.testing.assert_allclose(depths[view], depth, atol=1e-6)
        expected = np.stack([u / depth, v / depth], axis=1) + HALF_PIXEL
        np.testing.assert_allclose(ours[view][front], expected[front], atol=1e-5)


def test_boxes_hold_the_points_placed_in_them(nuscenes_tree: NuScenesTree):
    source = opened(nuscenes_tree)
    for row, frame in zip(source.rows, source, strict=True):
        sample = source.index.samples[row]
        boxes = source.index.boxes[sample["first_box"] : sample["end_box"]]
        assert len(boxes) == 3
        inside = points_in_boxes(frame.points[:, :3], torch.from_numpy(boxes["geometry"].copy())).sum(1)
        placed = [nuscenes_tree.inside[name] for name in annotations(nuscenes_tree, frame.token)]
        assert inside.tolist() == placed == boxes["num_lidar_pts"].tolist()


def test_boxes_of_other_categories_are_left_out(nuscenes_tree: NuScenesTree):
    boxes = opened(nuscenes_tree)[0].boxes
    assert boxes is not None
    assert sorted(CARD.box_classes[c] for c in boxes.classes) == ["car", "pedestrian"]  # the animal is no class
    assert boxes.velocity is not None
    assert boxes.velocity.shape == (2, 2)


def test_velocity_needs_neighbours_that_are_near_in_time(nuscenes_tree: NuScenesTree):
    speeds = [frame.boxes.velocity.norm(dim=1) for frame in opened(nuscenes_tree) if frame.boxes is not None]
    # global speed (6, 4, 1) m/s; stamps 0, 0.5, 1 and 3 s: 2.5 s over both sides is near enough, 2 s over one is not
    for speed in speeds[:3]:
        assert speed.tolist() == pytest.approx([np.hypot(6, 4)] * 2, abs=0.2)
    assert speeds[3].isnan().all()
    assert speeds[4].isnan().all()  # a single annotation


def test_version_without_annotations_gives_frames_without_boxes(nuscenes_tree: NuScenesTree):
    nuscenes_tree.tables["sample_annotation"] = []
    nuscenes_tree.tables["instance"] = []
    nuscenes_tree.write()
    assert opened(nuscenes_tree)[0].boxes is None


def test_tables_without_lidarseg_give_frames_without_labels(nuscenes_tree: NuScenesTree):
    (nuscenes_tree.root / "v1.0-mini" / "lidarseg.json").unlink()
    source = opened(nuscenes_tree)
    assert source[0].labels is None
    assert all(found == [] for _, found in source.check())


def test_resizing_keeps_points_on_their_pixels(nuscenes_tree: NuScenesTree):
    plain, small = opened(nuscenes_tree)[0], opened(nuscenes_tree, size=(9, 20))[0]
    assert small.images.shape == (6, 3, 9, 20)
    before, _ = project(plain.points[:, :3], plain.intrinsics, plain.cam_from_lidar)
    after, _ = project(small.points[:, :3], small.intrinsics, small.cam_from_lidar)
    scale = torch.tensor([20 / 64, 9 / 36], dtype=torch.float64)
    torch.testing.assert_close(after, before * scale, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Parked truck, construction, intersection", "day-dry"),
        ("Rain, turn left", "day-rain"),
        ("Night.", "night-dry"),
        ("night, after rain, many peds", "night-rain"),
        ("Train station, brain clinic, nightclub", "day-dry"),
    ],
)
def test_condition_is_read_word_by_word(description: str, expected: str):
    assert condition(description) == expected


def test_conditions_partition_the_splits_as_counted():
    """The counts of scenes are those of four public lists, made by others from the descriptions."""
    assert CARD.scene_conditions is not None
    lists = {name: scene_names(written) for name, written in CARD.scene_conditions.items()}
    counts = {"train": (700, 125, 71, 13), "val": (150, 24, 12, 3), "choose": (100, 18, 10, 2)}
    for split, (total, *expected) in counts.items():
        names = scene_names(CARD.splits[split]["scenes"])
        assert len(names) == total
        assert [len(names & listed) for listed in lists.values()] == expected
    assert sum(len(listed) for listed in lists.values()) == len(set.union(*lists.values()))


def test_the_splits_of_the_papers_divide_the_training_scenes():
    train, pretrain, choose = (scene_names(CARD.splits[name]["scenes"]) for name in ("train", "pretrain", "choose"))
    assert len(pretrain) == 600
    assert pretrain | choose == train
    assert not pretrain & choose


def test_check_holds_the_lists_against_the_descriptions(nuscenes_tree: NuScenesTree):
    assert not [problem for _, found in opened(nuscenes_tree).check() for problem in found]
    nuscenes_tree.edit("scene", lambda record: record.update(description="Night, turn left. Rain"))
    (problem,) = [problem for _, found in opened(nuscenes_tree, "mini_train").check() for problem in found]
    assert problem.path.name == "scene.json"
    assert problem.fault == "scene-0061 is night-rain by its description and day-dry in the card"


# ---- splits


def test_official_splits_are_those_of_the_devkit():
    splits = pytest.importorskip("nuscenes.utils.splits")
    for name in ("train", "val", "mini_train", "mini_val"):
        assert scene_names(CARD.splits[name]["scenes"]) == set(getattr(splits, name))


def test_box_classes_are_those_of_the_devkit():
    utils = pytest.importorskip("nuscenes.eval.detection.utils")
    names = pytest.importorskip("nuscenes.eval.detection.constants").DETECTION_NAMES
    assert set(CARD.box_classes) == set(names)
    assert CARD.box_map is not None
    assert all(utils.category_to_detection_name(raw) == name for raw, name in CARD.box_map.items())


def test_label_map_is_complete_and_follows_the_class_names():
    assert CARD.label_map is not None
    assert sorted(CARD.label_map) == list(range(32))
    assert set(CARD.label_map.values()) == {-1, *range(len(CARD.classes))}
    by_name = {"vehicle.car": 17, "flat.driveable_surface": 24, "static.vegetation": 30, "movable_object.barrier": 9}
    for raw, index in by_name.items():
        assert CARD.classes[CARD.label_map[index]] == raw.split(".")[1]


def test_scenes_are_written_as_numbers_and_ranges():
    assert scene_names("1-3 61") == {"scene-0001", "scene-0002", "scene-0003", "scene-0061"}
    with pytest.raises(UsageError, match="'a-b'"):
        scene_names("1 a-b")


def test_split_of_another_version_names_the_splits_that_would_work(nuscenes_tree: NuScenesTree):
    with pytest.raises(
        DataError, match=r"no folder v1\.0-trainval, which split 'train'[^\n]*\n.*choose the split mini or mini_train"
    ):
        opened(nuscenes_tree, "train")


def test_folder_without_tables_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"no folder v1\.0-mini"):
        NuScenes(CARD, "mini", tmp_path)


def test_split_whose_scenes_are_not_there_is_named(nuscenes_tree: NuScenesTree):
    nuscenes_tree.edit("scene", lambda r: r.update(name="scene-0062"))
    with pytest.raises(DataError, match="no scene of split 'mini_train'"):
        opened(nuscenes_tree, "mini_train")


# ---- the index


def _index_folders(cache: Path) -> list[Path]:
    return sorted(cache.glob("nuscenes/*"))


def test_index_is_made_once_and_mapped(nuscenes_tree: NuScenesTree, own_cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = opened(nuscenes_tree)
    assert isinstance(first.index.samples, np.memmap)
    assert isinstance(first.index.boxes, np.memmap)
    assert len(_index_folders(own_cache)) == 1
    monkeypatch.setattr(nuscenes_index, "build", None)  # a second look at the tables would fail
    assert opened(nuscenes_tree).tokens == first.tokens


def test_workers_get_the_name_of_the_index_and_not_its_arrays(nuscenes_tree: NuScenesTree):
    source = opened(nuscenes_tree)
    assert len(pickle.dumps(source.index)) < 500
    copy = pickle.loads(pickle.dumps(source))
    assert isinstance(copy.index.samples, np.memmap)
    assert torch.equal(copy[3].cam_from_lidar, source[3].cam_from_lidar)


@pytest.mark.parametrize("name", ["samples.npy", "sweeps.npy", "cameras.npy", "boxes.npy", "meta.json"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9] + b"x")])
def test_bad_index_is_made_again(
    nuscenes_tree: NuScenesTree, own_cache: Path, name: str, harm: Callable[[Path], object]
):
    before = opened(nuscenes_tree)[4]
    harm(_index_folders(own_cache)[0] / name)
    after = opened(nuscenes_tree)[4]
    assert torch.equal(before.cam_from_lidar, after.cam_from_lidar)
    assert len(_index_folders(own_cache)) == 1


def test_changed_tables_make_a_new_index_and_drop_the_old(nuscenes_tree: NuScenesTree, own_cache: Path):
    before = opened(nuscenes_tree)
    old = _index_folders(own_cache)
    nuscenes_tree.edit("scene", lambda r: r.update(description="clear sky"))
    after = opened(nuscenes_tree)
    assert before.index.scenes[0]["description"] == "Parked cars, turn left"
    assert after.index.scenes[0]["description"] == "clear sky"
    assert len(_index_folders(own_cache)) == 1
    assert _index_folders(own_cache) != old


def test_processes_that_start_together_make_one_index(nuscenes_tree: NuScenesTree, own_cache: Path):
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: opened(nuscenes_tree).tokens, range(6)))
    assert all(tokens == made[0] for tokens in made)
    assert len(_index_folders(own_cache)) == 1


def test_cache_folder_that_cannot_be_written_is_named(nuscenes_tree: NuScenesTree, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot keep the index of .*\n.*LIDAR2D_CACHE"):
        NuScenes(CARD, "mini", nuscenes_tree.root, cache=tmp_path / "file" / "cache")


def test_tables_are_read_piece_by_piece(nuscenes_tree: NuScenesTree, monkeypatch: pytest.MonkeyPatch):
    folder = nuscenes_tree.root / "v1.0-mini"
    for chunk in (1, 7, 100, 1 << 20):
        monkeypatch.setattr(records, "_CHUNK", chunk)
        assert list(records.records(folder, "sample_annotation")) == nuscenes_tree.tables["sample_annotation"]


# ---- bad tables


def _drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.pop(key)


BAD_TABLES = [
    ("sample_data", _drop("filename"), "no such key or record: 'filename'"),
    ("sample_data", lambda r: r.update(ego_pose_token="gone"), "no such key or record: 'gone'"),
    ("sample_data", lambda r: r.update(calibrated_sensor_token="gone"), "'gone'"),
    ("sample_data", lambda r: r.update(is_key_frame=False), "no key frame of LIDAR_TOP"),
    ("calibrated_sensor", lambda r: r.update(sensor_token="gone"), "'gone'"),
    ("calibrated_sensor", lambda r: r.update(rotation=[1, 0]), "bad value"),
    ("ego_pose", lambda r: r.update(translation=[float("nan"), 0, 0]), "not finite"),
    ("ego_pose", lambda r: r.update(rotation=[0, 0, 0, 0]), "not finite"),
    ("sample", lambda r: r.update(scene_token="gone"), "'gone'"),
    ("instance", lambda r: r.update(category_token="gone"), "'gone'"),
    ("sample_annotation", lambda r: r.update(next="gone"), "'gone'"),
    ("sample_annotation", lambda r: r.update(size=[1, 2]), "9 numbers"),
    ("sample_annotation", lambda r: r.update(size=[1, 2, float("inf")]), "not finite"),
    ("sample_annotation", lambda r: r.update(rotation="north"), "bad value"),
    ("sample_annotation", lambda r: r.update(size=[1, -2, 1]), "no length"),
    ("sample", lambda r: r.update(timestamp="yesterday"), "bad value"),
    ("sample", lambda r: r.update(token="ü" * 32), "is not 32 letters and digits"),
    ("sample", lambda r: r.update(token=5), "is not 32 letters and digits"),
    ("sample_data", lambda r: r.update(token="a" * 33), "is not 32 letters and digits"),
    ("calibrated_sensor", lambda r: r.update(camera_intrinsic=[[9, 0, 1], [0, 9, 1], [0, 1, 1]]), "must be 0 0 1"),
]


@pytest.mark.parametrize(("table", "change", "fault"), BAD_TABLES)
def test_bad_record_is_named(nuscenes_tree: NuScenesTree, table: str, change: Callable[..., object], fault: str):
    nuscenes_tree.edit(table, change)
    with pytest.raises(DataError) as raised:
        opened(nuscenes_tree)
    message = str(raised.value)
    assert ".json" in message
    assert fault in message


@pytest.mark.parametrize("text", ["", "[", '[{"token": "a"', "{}", "[1, 2]", "null", '[{"token": "a"}, oops]'])
def test_table_that_is_no_list_of_records_is_named(nuscenes_tree: NuScenesTree, text: str):
    (nuscenes_tree.root / "v1.0-mini" / "ego_pose.json").write_text(text)
    with pytest.raises(DataError, match=r"ego_pose\.json"):
        opened(nuscenes_tree)


def test_missing_table_is_named(nuscenes_tree: NuScenesTree):
    (nuscenes_tree.root / "v1.0-mini" / "ego_pose.json").unlink()
    with pytest.raises(DataError, match=r"ego_pose\.json.*missing"):
        opened(nuscenes_tree)


# ---- bad files


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _spoil(path: Path) -> None:
    points = np.fromfile(path, np.float32)
    points[7] = np.nan
    points.tofile(path)


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BAD = [
    ("LIDAR_TOP", Path.unlink, "missing"),
    ("LIDAR_TOP", _cut, "truncated"),
    ("LIDAR_TOP", lambda path: path.write_bytes(path.read_bytes()[:-4]), "truncated"),
    ("LIDAR_TOP", lambda path: path.write_bytes(b""), "empty"),
    ("LIDAR_TOP", _spoil, "1 of"),
    ("LIDAR_TOP", _pipe, "not a file"),
    ("LIDAR_TOP", _loop, "missing"),
    ("LIDAR_TOP", lambda path: np.full(10, np.inf, np.float32).tofile(path), "2 of 2 points have NaN or infinite"),
    ("LIDAR_TOP", lambda path: np.random.default_rng(0).normal(size=500).tofile(path), "NaN or infinite"),  # float64
    ("CAM_BACK__", _loop, "missing"),
    ("CAM_BACK__", Path.unlink, "missing"),
    ("CAM_BACK__", lambda path: path.write_bytes(path.read_bytes()[:400]), "unreadable image"),
    ("CAM_BACK__", lambda path: path.write_bytes(b"\0" * 900), "unreadable image"),
    ("CAM_BACK__", lambda path: Image.new("RGB", (32, 18)).save(path), "is 32x18 pixels; its calibration is for 64x36"),
]


@pytest.mark.parametrize(("channel", "spoil", "fault"), BAD)
@pytest.mark.parametrize("size", [None, (9, 16)])
def test_bad_file_is_named(
    nuscenes_tree: NuScenesTree,
    channel: str,
    spoil: Callable[[Path], object],
    fault: str,
    size: tuple[int, int] | None,
):
    source = opened(nuscenes_tree, size=size)
    bad = nuscenes_tree.file(channel, source.tokens[1])
    spoil(bad)
    source[0]
    with pytest.raises(DataError) as raised:
        source[1]
    assert str(bad) in str(raised.value)
    assert fault in str(raised.value)
    found = dict(source.check())
    assert [(problem.path, fault in problem.fault) for problem in found.pop(source.tokens[1])] == [(bad, True)]
    assert not any(found.values())


@pytest.mark.parametrize(("raw", "fault"), [(b"\1" * 10, "10 labels"), (b"", "empty"), (None, "missing")])
def test_bad_lidarseg_is_named(nuscenes_tree: NuScenesTree, raw: bytes | None, fault: str):
    source = opened(nuscenes_tree)
    bad = nuscenes_tree.root / str(source.index.lidarseg(source.index.samples[source.rows[0]]))
    bad.unlink() if raw is None else bad.write_bytes(raw)
    with pytest.raises(DataError, match=fault):
        source[0]
    assert [problem.path for _, found in source.check() for problem in found] == [bad]


def test_label_that_the_card_does_not_know_is_named(nuscenes_tree: NuScenesTree):
    source = opened(nuscenes_tree)
    bad = nuscenes_tree.root / str(source.index.lidarseg(source.index.samples[source.rows[0]]))
    bad.write_bytes(bytes([77]) + bad.read_bytes()[1:])
    with pytest.raises(DataError, match="label 77"):
        source[0]


def test_image_that_shows_no_point_is_named(nuscenes_tree: NuScenesTree):
    front = token("calibrated", "CAM_FRONT")

    def look_up(record: dict[str, Any]) -> None:
        if record["token"] == front:
            record["rotation"] = [1, 0, 0, 0]  # the optical axis is the car's z axis

    nuscenes_tree.edit("calibrated_sensor", look_up)
    with pytest.raises(DataError, match=r"CAM_FRONT__.*shows none of the scan's"):
        opened(nuscenes_tree)[0]


def test_file_that_several_frames_share_is_named_once(nuscenes_tree: NuScenesTree):
    shared = nuscenes_tree.tables["sample_data"][0]["filename"]

    def share(record: dict[str, Any]) -> None:
        if record["is_key_frame"] and "LIDAR_TOP" in record["filename"]:
            record["filename"] = shared

    nuscenes_tree.edit("sample_data", share)
    (nuscenes_tree.root / shared).unlink()
    found = [problem.path for _, problems in opened(nuscenes_tree).check() for problem in problems]
    assert found == [nuscenes_tree.root / shared]


# ---- against the devkit


def _compare(root: Path) -> tuple[int, int]:
    """Compare every frame with nuscenes-devkit; return the boxes whose points are as many as annotated, and all."""
    devkit = pytest.importorskip("nuscenes.nuscenes").NuScenes(version="v1.0-mini", dataroot=str(root), verbose=False)
    source = NuScenes(CARD, "mini", root)
    agree, total = 0, 0
    for row, frame in zip(source.rows, source, strict=True):
        _compare_projection(devkit, frame)
        sample = source.index.samples[row]
        ours = source.index.boxes[sample["first_box"] : sample["end_box"]]
        _compare_boxes(devkit, frame.token, ours)
        inside = points_in_boxes(frame.points[:, :3], torch.from_numpy(ours["geometry"].copy())).sum(1).numpy()
        agree += int((np.abs(inside - ours["num_lidar_pts"]) <= 1).sum())
        total += len(ours)
    return agree, total


def _compare_projection(devkit: Any, frame: Frame) -> None:
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import view_points
    from pyquaternion import Quaternion

    sample = devkit.get("sample", frame.token)
    ours, depths = project(frame.points[:, :3], frame.intrinsics, frame.cam_from_lidar)
    for view, channel in enumerate(CARD.cameras):
        lidar, camera = (devkit.get("sample_data", sample["data"][name]) for name in ("LIDAR_TOP", channel))
        cloud = LidarPointCloud.from_file(str(Path(devkit.dataroot) / lidar["filename"]))
        cloud.points = cloud.points.astype(np.float64)
        for data, forward in ((lidar, True), (camera, False)):
            mount = devkit.get("calibrated_sensor", data["calibrated_sensor_token"])
            ego = devkit.get("ego_pose", data["ego_pose_token"])
            for pose in (mount, ego) if forward else (ego, mount):
                if forward:
                    cloud.rotate(Quaternion(pose["rotation"]).rotation_matrix)
                    cloud.translate(np.array(pose["translation"]))
                else:
                    cloud.translate(-np.array(pose["translation"]))
                    cloud.rotate(Quaternion(pose["rotation"]).rotation_matrix.T)
        pixels = view_points(cloud.points[:3], np.array(mount["camera_intrinsic"]), normalize=True)[:2].T
        front = cloud.points[2] > 1
        np.testing.assert_allclose(depths[view], cloud.points[2], atol=1e-6)
        np.testing.assert_allclose(ours[view][front] - HALF_PIXEL, pixels[front], atol=1e-3)


def _compare_boxes(devkit: Any, sample_token: str, ours: np.ndarray) -> None:
    from nuscenes.eval.common.utils import quaternion_yaw
    from pyquaternion import Quaternion

    sample = devkit.get("sample", sample_token)
    _, boxes, _ = devkit.get_sample_data(sample["data"]["LIDAR_TOP"])
    assert len(boxes) == len(ours)
    lidar = devkit.get("sample_data", sample["data"]["LIDAR_TOP"])
    poses = [("ego_pose", lidar["ego_pose_token"]), ("calibrated_sensor", lidar["calibrated_sensor_token"])]
    quarter = Quaternion(axis=[0, 0, 1], angle=-np.pi / 2)  # their axes into ours
    for row, box in zip(ours, boxes, strict=True):  # both in the order of the tables
        box.rotate(quarter)
        x, y, z, length, width, height, yaw = row["geometry"]
        np.testing.assert_allclose([x, y, z], box.center, atol=1e-5)
        np.testing.assert_allclose([width, length, height], box.wlh, atol=1e-5)
        turn = yaw - quaternion_yaw(box.orientation)
        assert abs(np.arctan2(np.sin(turn), np.cos(turn))) < 1e-6
        velocity = devkit.box_velocity(box.token)
        for table, pose in poses:
            velocity = Quaternion(devkit.get(table, pose)["rotation"]).inverse.rotate(velocity)
        np.testing.assert_allclose(row["velocity"], quarter.rotate(velocity)[:2], atol=1e-5)


def test_miniature_frames_equal_the_devkits(nuscenes_tree: NuScenesTree):
    assert _compare(nuscenes_tree.root) == (15, 15)


@pytest.mark.parametrize("sweeps", [2, 3, 5, 20])
def test_sweeps_are_those_of_the_devkit(nuscenes_tree: NuScenesTree, sweeps: int):
    devkit = pytest.importorskip("nuscenes.nuscenes").NuScenes("v1.0-mini", str(nuscenes_tree.root), verbose=False)
    from nuscenes.utils.data_classes import LidarPointCloud

    source, alone = open_source(CARD, "mini", nuscenes_tree.root, sweeps=sweeps), opened(nuscenes_tree)
    for index, frame in enumerate(source):
        sample = devkit.get("sample", frame.token)
        cloud, ages = LidarPointCloud.from_file_multisweep(
            devkit, sample, "LIDAR_TOP", "LIDAR_TOP", nsweeps=sweeps, min_distance=0
        )
        own = alone[index]
        assert torch.equal(frame.points[: len(own.points), :4], own.points)
        assert (frame.points[: len(own.points), 4] == 0).all()
        assert own.labels is not None
        assert frame.labels is not None
        assert torch.equal(frame.labels[: len(own.labels)], own.labels)
        assert (frame.labels[len(own.labels) :] == -1).all()
        np.testing.assert_allclose(theirs(frame.points[:, :3]), cloud.points[:3].T, atol=1e-4)
        np.testing.assert_allclose(frame.points[:, 4], ages[0], atol=1e-6)
        assert torch.equal(frame.cam_from_lidar, own.cam_from_lidar)
    assert len(source[4].points) <= 2 * len(alone[4].points)  # the second scene begins with one sweep before its frame


def test_points_of_the_car_itself_are_left_out_of_earlier_sweeps(nuscenes_tree: NuScenesTree):
    before = nuscenes_tree.record("sample_data", lambda r: "sweeps/LIDAR_TOP" in r["filename"])
    rows = np.array([[0.5, -0.5, 1, 9, 0], [0.5, 1.5, 1, 9, 0], [-3, 0.5, 1, 9, 0]], np.float32)
    rows.tofile(nuscenes_tree.root / before["filename"])
    first = opened(nuscenes_tree).with_sweeps(2)[0]
    assert int((first.points[:, 4] > 0).sum()) == 2


def test_a_sweep_that_is_bad_is_named(nuscenes_tree: NuScenesTree):
    before = nuscenes_tree.record("sample_data", lambda r: "sweeps/LIDAR_TOP" in r["filename"])
    (nuscenes_tree.root / before["filename"]).unlink()
    with pytest.raises(DataError, match=r"sweeps/LIDAR_TOP.*missing"):
        opened(nuscenes_tree).with_sweeps(2)[0]
    words = ["check", "--data", "nuscenes", "--data.root", str(nuscenes_tree.root), "--split", "mini"]
    for how in ([], ["--quick"]):
        assert main([*words, *how]) == 0  # the frames' own are there
        assert main([*words, "--data.sweeps", "3", *how]) == 1
    assert main([*words, "--data.sweeps", "0"]) == 2


def test_named_cameras_show_a_share_of_the_scenes(nuscenes_tree: NuScenesTree, tmp_path: Path):
    path = tmp_path / "own.yaml"
    path.write_text("like: nuscenes\nname: own\ntrain: mini\n")
    data = LidarData(str(path), str(nuscenes_tree.root), share=50, cameras=["CAM_BACK", "CAM_FRONT"])
    assert {token[:5] for token in data.shown().tokens} < {token[:5] for token in data.source().tokens}
    assert len(data.shown()) < len(data.source()) == 5
    assert len(data.shown()[0].images) == 2


def test_real_frame_equals_the_devkits(samples: Path):
    agree, total = _compare(samples / "nuscenes")
    assert total == 68
    assert agree >= 64


def test_the_motion_to_the_next_key_frame_leaves_points_where_they_are_in_the_world(nuscenes_tree: NuScenesTree):
    source = opened(nuscenes_tree)
    assert isinstance(source, Moving)

    def in_the_world(xyz: torch.Tensor, sample: str) -> np.ndarray:
        found = nuscenes_tree.record(
            "sample_data", lambda r: r["sample_token"] == sample and r["is_key_frame"] and "LIDAR_TOP" in r["filename"]
        )
        points = theirs(xyz)
        for table, key in (("calibrated_sensor", "calibrated_sensor_token"), ("ego_pose", "ego_pose_token")):
            pose = nuscenes_tree.record(table, lambda r, wanted=found[key]: r["token"] == wanted)  # type: ignore[misc]
            points = turned(np.array(pose["rotation"]), points) + np.array(pose["translation"])
        return points

    for index in range(3):
        found = source.following(index)
        assert found is not None
        after, motion = found
        assert after == index + 1
        xyz = source[index].points[:, :3].double()
        np.testing.assert_allclose(
            in_the_world(transform(motion, xyz), source.tokens[after]),
            in_the_world(xyz, source.tokens[index]),
            atol=1e-6,
        )
    assert source.following(3) is None  # the scene ends, though another one begins
    assert source.following(4) is None


def test_a_real_frame_alone_has_no_next_one(samples: Path):
    source = NuScenes(CARD, "mini_train", samples / "nuscenes")
    assert [source.following(index) for index in range(len(source))] == [None]


def test_real_frame_is_complete(samples: Path):
    source = NuScenes(CARD, "mini_train", samples / "nuscenes", (112, 208))
    assert [found for _, found in source.check()] == [[]]
    frame = source[0]
    assert frame.labels is not None
    assert len(frame.labels) == len(frame.points) == 34688
    assert frame.images.shape == (6, 3, 112, 208)


def test_cameras_of_the_card_are_read_in_its_order(nuscenes_tree: NuScenesTree):
    two = replace(CARD, cameras=("CAM_BACK", "CAM_FRONT"))
    frame, whole = NuScenes(two, "mini", nuscenes_tree.root)[0], opened(nuscenes_tree)[0]
    rows = [CARD.cameras.index(name) for name in two.cameras]
    assert torch.equal(frame.cam_from_lidar, whole.cam_from_lidar[rows])
    assert torch.equal(frame.images, whole.images[rows])
    assert set(CAMERAS) == set(CARD.cameras)


def test_index_holds_key_frames_alone(nuscenes_tree: NuScenesTree, tmp_path: Path):
    index = open_index(nuscenes_tree.root, "v1.0-mini", CARD.cameras, tmp_path / "elsewhere")
    files = [name for row in index.samples for name in (index.lidar(row["sweep"]), *index.images(row))]
    assert len(files) == 5 * 7
    assert all(name.startswith("samples/") for name in files)
    assert index.folder.parent == tmp_path / "elsewhere"


# ---- records of a wrong kind


ODD = [None, "", 0, -1, float("inf"), 10**30, [], ["x"], {}, "x", "a" * 300, True, "\0", "ü"]
FIELDS = [
    *[("scene", field) for field in ("token", "name", "description")],
    *[("sample", field) for field in ("token", "timestamp", "scene_token")],
    *[("sample_data", field) for field in ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token")],
    *[("sample_data", field) for field in ("timestamp", "filename", "is_key_frame", "width", "height")],
    *[("calibrated_sensor", field) for field in ("sensor_token", "translation", "rotation", "camera_intrinsic")],
    *[("sample_annotation", field) for field in ("num_lidar_pts", "prev", "next", "size", "sample_token")],
    *[("sample_annotation", field) for field in ("num_radar_pts", "attribute_tokens")],
    *[("category", "name"), ("instance", "category_token"), ("ego_pose", "rotation")],
    *[("lidarseg", field) for field in ("sample_data_token", "filename")],
]


@pytest.mark.parametrize(("table", "field"), FIELDS)
def test_values_of_a_wrong_kind_are_told_or_harmless(
    nuscenes_tree: NuScenesTree, own_cache: Path, table: str, field: str
):
    record = nuscenes_tree.tables[table][0]
    before = record[field]
    told = 0
    for value in (*ODD, "missing"):
        record[field] = value
        if value == "missing":
            del record[field]
        nuscenes_tree.write()
        shutil.rmtree(own_cache, ignore_errors=True)
        try:
            for _, problems in opened(nuscenes_tree).with_sweeps(2).check():
                told += len(problems)
        except UsageError:
            told += 1
        record[field] = before
    assert told >= 1


def test_records_that_stand_twice_are_told(nuscenes_tree: NuScenesTree):
    for table in ("sample", "sample_data", "sample_annotation", "scene"):
        nuscenes_tree.tables[table].append(dict(nuscenes_tree.tables[table][0]))
        nuscenes_tree.write()
        with pytest.raises(DataError, match=rf"{table}\.json: record .* its token stands twice"):
            opened(nuscenes_tree)
        nuscenes_tree.tables[table].pop()
    key = nuscenes_tree.record("sample_data", lambda r: "LIDAR" in r["filename"] and r["is_key_frame"])
    nuscenes_tree.tables["sample_data"].append({**key, "token": "another"})
    nuscenes_tree.write()
    with pytest.raises(DataError, match="has two key frames of LIDAR_TOP"):
        opened(nuscenes_tree)


def test_a_share_counts_the_scenes_of_the_table(nuscenes_tree: NuScenesTree):
    nuscenes_tree.tables["sample"].reverse()
    nuscenes_tree.write()
    source = opened(nuscenes_tree)
    assert source.listed == [scene["name"] for scene in nuscenes_tree.tables["scene"]]


def test_facts_of_an_index_that_changed_are_made_again(nuscenes_tree: NuScenesTree, own_cache: Path):
    sound = opened(nuscenes_tree)[0]
    (meta,) = own_cache.rglob("meta.json")
    whole = meta.read_text()
    for harmed in (
        whole.replace('"facts"', '"fakts"'),
        json.dumps({"crc": {}, "facts": {}}),
        json.dumps({**json.loads(whole), "facts": {**json.loads(whole)["facts"], "categories": []}}),
        "[]",
    ):
        meta.write_text(harmed)
        assert torch.equal(opened(nuscenes_tree)[0].boxes.classes, sound.boxes.classes)
        assert meta.read_text() == whole


def test_others_may_read_an_index(nuscenes_tree: NuScenesTree, own_cache: Path):
    before = os.umask(0o022)
    try:
        opened(nuscenes_tree)
    finally:
        os.umask(before)
    (meta,) = own_cache.rglob("meta.json")
    assert meta.parent.stat().st_mode & 0o777 == 0o755


def test_what_a_killed_process_left_is_removed(nuscenes_tree: NuScenesTree, own_cache: Path):
    left, fresh = own_cache / "nuscenes" / ".making-old", own_cache / "nuscenes" / ".making-new"
    left.mkdir(parents=True)
    fresh.mkdir()
    os.utime(left, (0, 0))
    opened(nuscenes_tree)
    assert not left.exists()
    assert fresh.exists()  # it may be another process's


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("label_map: {17: 99}", r"label_map has 17: 99; classes are 0 to 15"),
        ("label_map: {-225: 1}", r"raw label -225"),
        ("label_map: {300: 0}", r"raw label 300; its files hold 0 to 255"),
        ("box_map: {vehicle.car: kar}", r"box_map has class 'kar'; did you mean 'car'"),
        ("clear: []", r"clear is empty"),
        ("splits: {mini: {version: 3}}\nval: ''", r"split 'mini' of own: version is 3; it must be text"),
        ("splits: {mini: [a]}\nval: ''", r"it needs the keys version"),
        ("splits: {mini: {version: v1.0-mini, scene: 61}}\nval: ''", r"unknown key 'scene'; did you mean 'scenes'"),
        ("intrinsics: [0, 0, 0, 0, 0, 0, 0, 0, 0]", r"intrinsics has no positive focal length"),
        ("image_size: 100", r"image_size is 100; it must be a list of 2 numbers, or null"),
        ("cameras: front", r"cameras is 'front'; it must be a list of text"),
    ],
)
def test_cards_that_cannot_be_right_are_told(nuscenes_tree: NuScenesTree, tmp_path: Path, changes: str, said: str):
    path = tmp_path / "own.yaml"
    path.write_text(f"like: nuscenes\nname: own\n{changes}\n")
    with pytest.raises(UsageError, match=said):
        open_source(load_card(str(path)), "mini", nuscenes_tree.root)
