"""Miniature data sets in the official formats, written from one scene each that the tests know by heart."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lidar2d.data.card import load_card
from lidar2d.data.synthetic.town import Town

# ---- real samples


@pytest.fixture(scope="session")
def samples() -> Path:
    """Real frames of KITTI and nuScenes, which licences keep out of the project."""
    folder = Path(os.environ.get("LIDAR2D_SAMPLES", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real samples in {folder}; set LIDAR2D_SAMPLES")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep indices of the tests out of the user's cache folder."""
    monkeypatch.setenv("LIDAR2D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# ---- KITTI


@dataclass
class KittiTree:
    root: Path
    p2: np.ndarray  # (3, 4)
    rect_from_lidar: np.ndarray  # (4, 4)
    inside: int  # points of each scan that lie in its box: the first rows

    def file(self, kind: str, token: str) -> Path:
        return next((self.root / "training" / kind).glob(f"{token}.*"))


# camera from LiDAR axes; the fixture turns about the vertical axis only, so that boxes stay upright
_AXES = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])


def kitti_calib_text(p2: np.ndarray, r0: np.ndarray, velo: np.ndarray) -> str:
    rows = {"P0": p2, "P1": p2, "P2": p2, "P3": p2, "R0_rect": r0, "Tr_velo_to_cam": velo, "Tr_imu_to_velo": velo}
    return "\n".join(f"{key}: " + " ".join(f"{v:.12e}" for v in value.ravel()) for key, value in rows.items()) + "\n"


@pytest.fixture
def kitti_tree(tmp_path: Path) -> KittiTree:
    """Three training frames with one box of 40 points, and 200 points that lie just outside of it."""
    rng = np.random.default_rng(7)
    root = tmp_path / "kitti ö"
    for kind in ("velodyne", "image_2", "calib", "label_2"):
        (root / "training" / kind).mkdir(parents=True)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_text("000001\n000002\n\n")
    (root / "ImageSets" / "val.txt").write_text("000004\n")
    turn = 0.02
    r0 = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    velo = np.column_stack([_AXES, [0.01, -0.08, -0.27]])
    p2 = np.array([[70.0, 0, 61, 4.5], [0, 71, 18, 0.2], [0, 0, 1, 0.003]])
    rect_from_lidar = np.eye(4)
    rect_from_lidar[:3] = r0 @ velo
    inside = 40
    for number, token in enumerate(["000001", "000002", "000004"]):
        height, width, length, angle = 1.5, 1.6, 3.9, 0.4 + number
        bottom = np.array([1.0, 1.4, 12.0])
        # in the box's own axes: x along its length, y down from its bottom to its top at -height, z across
        unit = rng.uniform(-0.49, 0.49, (inside, 3))
        outside = rng.uniform(-0.5, 0.5, (200, 3))
        axis = rng.integers(0, 3, 200)
        outside[np.arange(200), axis] = rng.choice([-1, 1], 200) * rng.uniform(0.51, 2.0, 200)
        local = np.concatenate([unit, outside]) * [length, height, width] - [0, height / 2, 0]
        cos, sin = np.cos(angle), np.sin(angle)
        rect = local @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T + bottom
        xyz = (rect - rect_from_lidar[:3, 3]) @ np.linalg.inv(rect_from_lidar[:3, :3]).T
        scan = np.column_stack([xyz, rng.uniform(0, 0.99, len(xyz))]).astype(np.float32)
        scan.tofile(root / "training" / "velodyne" / f"{token}.bin")
        picture = rng.integers(0, 255, (37 + number, 122, 3), dtype=np.uint8)  # sizes differ, as in the real set
        Image.fromarray(picture).save(root / "training" / "image_2" / f"{token}.png")
        (root / "training" / "calib" / f"{token}.txt").write_text(kitti_calib_text(p2, r0, velo))
        (root / "training" / "label_2" / f"{token}.txt").write_text(
            f"Cyclist 0.00 0 0.1 10 10 30 30 {height} {width} {length} {bottom[0]} {bottom[1]} {bottom[2]} {angle}\n"
            "DontCare -1 -1 -10 5 5 9 9 -1 -1 -1 -1000 -1000 -1000 -10\n"
        )
    return KittiTree(root, p2, rect_from_lidar, inside)


# ---- nuScenes

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
_YAWS = (0, -60, -120, 180, 120, 60)
_WIDTH, _HEIGHT = 64, 36


@dataclass
class NuScenesTree:
    root: Path
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    inside: dict[str, int] = field(default_factory=dict)  # annotation token -> points placed in its box

    def write(self) -> None:
        folder = self.root / "v1.0-mini"
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))

    def edit(self, table: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change every record of a table and write it again."""
        for record in self.tables[table]:
            change(record)
        self.write()

    def file(self, channel: str, sample: str) -> Path:
        data = self.record(
            "sample_data", lambda r: r["sample_token"] == sample and r["is_key_frame"] and channel in r["filename"]
        )
        return self.root / data["filename"]

    def record(self, table: str, which: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return next(r for r in self.tables[table] if which(r))


def quaternion(axis: tuple[float, float, float], angle: float) -> np.ndarray:
    return np.array([np.cos(angle / 2), *(np.array(axis) * np.sin(angle / 2))])


def times(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Multiply two quaternions: first q, then p."""
    w, v, x, u = p[0], p[1:], q[0], q[1:]
    return np.array([w * x - v @ u, *(w * u + x * v + np.cross(v, u))])


def turned(q: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Rotate points (N, 3) by a unit quaternion, with the sandwich product."""
    v = q[1:]
    return points + 2 * np.cross(v, np.cross(v, points) + q[0] * points)


def back(q: np.ndarray) -> np.ndarray:
    return q * [1, -1, -1, -1]


def token(*parts: object) -> str:
    return hashlib.md5("-".join(map(str, parts)).encode()).hexdigest()


@pytest.fixture
def nuscenes_tree(tmp_path: Path) -> NuScenesTree:
    """Two scenes of 4 and 1 key frames on a moving car, 3 objects, sweeps between key frames, lidarseg."""
    tree = NuScenesTree(tmp_path / "nu scenes ü")
    rng = np.random.default_rng(3)
    names = ["animal", "human.pedestrian.adult", "vehicle.car", "vehicle.bus.rigid"]
    tree.tables = {name: [] for name in _TABLES}
    t = tree.tables
    t["category"] = [{"token": token("cat", n), "name": n, "description": "", "index": i} for i, n in enumerate(names)]
    t["visibility"] = [{"token": "4", "level": "v80-100", "description": ""}]
    t["log"] = [{"token": token("log"), "logfile": "n", "vehicle": "n", "date_captured": "2018-01-01", "location": "x"}]
    t["map"] = [
        {"token": token("map"), "log_tokens": [token("log")], "category": "semantic_prior", "filename": "maps/m.png"}
    ]
    (tree.root / "maps").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tree.root / "maps" / "m.png")
    _sensors(t, rng)
    _drive(tree, "scene-0061", "Parked cars, turn left", 4, rng)
    _drive(tree, "scene-0103", "Parked cars, train station", 1, rng)
    tree.write()
    return tree


_TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "lidarseg", "log", "map", "sample",
    "sample_annotation", "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip


def _sensors(t: dict[str, list[dict[str, Any]]], rng: np.random.Generator) -> None:
    lidar = times(quaternion((0, 0, 1), np.radians(-89.9)), quaternion((1, 0, 0), 0.01))
    poses = {"LIDAR_TOP": (lidar, [0.94, 0.0, 1.84], [])}
    for channel, yaw in zip(CAMERAS, _YAWS, strict=True):
        look = times(quaternion((0, 0, 1), np.radians(yaw + rng.normal())), np.array([0.5, -0.5, 0.5, -0.5]))
        k = [[40 + rng.normal(), 0, 32.3], [0, 40 + rng.normal(), 17.6], [0, 0, 1]]
        poses[channel] = (look, [1.5 * np.cos(np.radians(yaw)), np.sin(np.radians(yaw)) / 2, 1.5], k)
    for channel, (rotation, translation, k) in poses.items():
        kind = "camera" if k else "lidar"
        t["sensor"].append({"token": token("sensor", channel), "channel": channel, "modality": kind})
        t["calibrated_sensor"].append(
            {
                "token": token("calibrated", channel),
                "sensor_token": token("sensor", channel),
                "translation": list(translation),
                "rotation": list(rotation),
                "camera_intrinsic": k,
            }
        )


def _ego(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the car is: it drives a curve uphill, rolling a little."""
    tilt = quaternion((0, 1, 0), 0.02 * np.sin(seconds))
    return times(quaternion((0, 0, 1), 0.7 + 0.3 * seconds), tilt), np.array(
        [400 + 8 * seconds, 1100 + 3 * seconds, seconds]
    )


def _drive(tree: NuScenesTree, scene: str, description: str, count: int, rng: np.random.Generator) -> None:
    t = tree.tables
    start = 1_532_402_900_000_000 + 100_000_000 * len(t["scene"])
    sample_tokens = [token("sample", scene, n) for n in range(count)]
    t["scene"].append(
        {
            "token": token(scene),
            "log_token": token("log"),
            "nbr_samples": count,
            "first_sample_token": sample_tokens[0],
            "last_sample_token": sample_tokens[-1],
            "name": scene,
            "description": description,
        }
    )
    stamps = [start + [0, 500_000, 1_000_000, 3_000_000][n] for n in range(count)]  # the last one comes late
    for n, stamp in enumerate(stamps):
        around = {"prev": sample_tokens[n - 1] if n else "", "next": sample_tokens[n + 1] if n + 1 < count else ""}
        t["sample"].append({"token": sample_tokens[n], "timestamp": stamp, "scene_token": token(scene)} | around)
    objects = _objects(tree, scene, sample_tokens, stamps, start, rng)
    for n, stamp in enumerate(stamps):
        _sweep(tree, scene, sample_tokens[n], stamp, start, objects[n], rng)
    lidar = [r for r in t["sample_data"] if "LIDAR_TOP" in r["filename"] and r["sample_token"] in sample_tokens]
    lidar.sort(key=lambda record: record["timestamp"])
    for before, after in itertools.pairwise(lidar):
        before["next"], after["prev"] = after["token"], before["token"]


def _objects(
    tree: NuScenesTree, scene: str, sample_tokens: list[str], stamps: list[int], start: int, rng: np.random.Generator
) -> list[list[np.ndarray]]:
    """Annotate three objects that move; return the global points that lie in their boxes, by sample."""
    t = tree.tables
    placed: list[list[np.ndarray]] = [[] for _ in stamps]
    kinds = {"human.pedestrian.adult": (0.7, 0.6, 1.8), "vehicle.car": (1.9, 4.5, 1.6), "animal": (0.4, 0.9, 0.5)}
    for kind, size in kinds.items():
        instance = token("inst", kind[-5:], scene)
        chain = [token("ann", kind[-5:], scene, n) for n in range(len(stamps))]
        t["instance"].append(
            {
                "token": instance,
                "category_token": token("cat", kind),
                "nbr_annotations": len(chain),
                "first_annotation_token": chain[0],
                "last_annotation_token": chain[-1],
            }
        )
        yaw = rng.uniform(0, 6)
        for n, stamp in enumerate(stamps):
            seconds = (stamp - start) * 1e-6
            rotation = quaternion((0, 0, 1), yaw + 0.1 * n)
            away = {"vehicle.car": [12, 5, 1], "human.pedestrian.adult": [-6, 7, 1], "animal": [5, -6, 0.5]}[kind]
            centre = np.array([400 + 6 * seconds, 1100 + 4 * seconds, seconds]) + away
            points = int(rng.integers(5, 30))
            local = rng.uniform(-0.48, 0.48, (points, 3)) * [size[1], size[0], size[2]]
            placed[n].append(turned(rotation, local) + centre)
            tree.inside[chain[n]] = points
            t["sample_annotation"].append(
                {
                    "token": chain[n],
                    "sample_token": sample_tokens[n],
                    "instance_token": instance,
                    "visibility_token": "4",
                    "attribute_tokens": [],
                    "translation": list(centre),
                    "size": list(size),
                    "rotation": list(rotation),
                    "prev": chain[n - 1] if n else "",
                    "next": chain[n + 1] if n + 1 < len(chain) else "",
                    "num_lidar_pts": points,
                    "num_radar_pts": 0,
                }
            )
    return placed


def _sweep(
    tree: NuScenesTree,
    scene: str,
    sample: str,
    stamp: int,
    start: int,
    objects: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Write the files and records of one key frame, and a sweep before each that no reader must take for one."""
    t = tree.tables
    for number, channel in enumerate(("LIDAR_TOP", *CAMERAS)):
        for key in (True, False):
            time = stamp - 40_000 * number - (0 if key else 83_000)
            name = f"{scene}__{channel}__{time}"
            rotation, translation = _ego((time - start) * 1e-6)
            data = token("data", channel, time - start, key, scene)
            t["ego_pose"].append(
                {"token": data, "timestamp": time, "rotation": list(rotation), "translation": list(translation)}
            )
            camera = channel != "LIDAR_TOP"
            folder = "samples" if key else "sweeps"
            t["sample_data"].append(
                {
                    "token": data,
                    "sample_token": sample,
                    "ego_pose_token": data,
                    "calibrated_sensor_token": token("calibrated", channel),
                    "timestamp": time,
                    "fileformat": "jpg" if camera else "pcd",
                    "is_key_frame": key,
                    "height": _HEIGHT if camera else 0,
                    "width": _WIDTH if camera else 0,
                    "filename": f"{folder}/{channel}/{name}.{'jpg' if camera else 'pcd.bin'}",
                    "prev": "",
                    "next": "",
                }
            )
            path = tree.root / t["sample_data"][-1]["filename"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if camera and key:
                Image.fromarray(rng.integers(0, 255, (_HEIGHT, _WIDTH, 3), dtype=np.uint8)).save(path)
            elif not camera:
                _scan(tree, path, data if key else "", rotation, translation, objects, rng)


def _scan(
    tree: NuScenesTree,
    path: Path,
    data: str,
    ego_rotation: np.ndarray,
    ego: np.ndarray,
    objects: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    sensor = tree.record("calibrated_sensor", lambda r: r["token"] == token("calibrated", "LIDAR_TOP"))
    hits = turned(back(ego_rotation), np.concatenate(objects) - ego)
    hits = turned(back(np.array(sensor["rotation"])), hits - np.array(sensor["translation"]))
    angle = rng.uniform(0, 2 * np.pi, 300)  # a wall all around, farther than the objects
    wall = np.column_stack([40 * np.cos(angle), 40 * np.sin(angle), rng.uniform(-1, 3, 300)])
    xyz = np.concatenate([hits, wall])
    rows = np.column_stack([xyz, rng.integers(0, 256, len(xyz)), rng.integers(0, 32, len(xyz))])
    rows.astype(np.float32).tofile(path)
    if not data:  # sweeps between key frames have no labels
        return
    labels = rng.integers(0, 32, len(xyz)).astype(np.uint8)
    name = f"lidarseg/v1.0-mini/{data}_lidarseg.bin"
    (tree.root / name).parent.mkdir(parents=True, exist_ok=True)
    labels.tofile(tree.root / name)
    tree.tables["lidarseg"].append({"token": data, "sample_data_token": data, "filename": name})


# ---- sets of bad weather

SEMANTICSTF_WEATHER = {
    "2018-02-03_20-48-35_00400": "snow",
    "2018-02-04_11-09-42_00100": "dense_fog",
    "2018-02-07_10-00-00_00000": "rain",
}


@pytest.fixture
def semanticstf_tree(tmp_path: Path) -> Path:
    """Three scans of 200 points, and the list of their weather."""
    folder, rng = tmp_path / "stf ü" / "val", np.random.default_rng(0)
    for kind in ("velodyne", "labels"):
        (folder / kind).mkdir(parents=True)
    for name in SEMANTICSTF_WEATHER:
        rows = np.column_stack([rng.uniform(-50, 50, (200, 3)), rng.integers(0, 256, 200), rng.integers(0, 64, 200)])
        rows.astype(np.float32).tofile(folder / "velodyne" / f"{name}.bin")
        raw = rng.integers(0, 21, 200).astype(np.uint32) | (rng.integers(0, 5, 200).astype(np.uint32) << 16)
        raw.tofile(folder / "labels" / f"{name}.label")
    lines = [f"{name},{weather}" for name, weather in SEMANTICSTF_WEATHER.items()]
    (folder / "val.txt").write_text("\n".join([lines[0], lines[1].replace(",", ".bin, "), "", lines[2]]) + "\n")
    return tmp_path / "stf ü"


@pytest.fixture
def acdc_tree(tmp_path: Path) -> Path:
    """One image of each condition in training and test; those of the test have no labels."""
    root, rng, size = tmp_path / "acdc", np.random.default_rng(1), (10, 20)
    for condition in ("fog", "night", "rain", "snow"):
        for split in ("train", "test"):
            name = f"{condition}/{split}/GOPR0475/GOPR0475_frame_000041"
            files = {f"rgb_anon/{name}_rgb_anon.png": rng.integers(0, 256, (*size, 3), dtype=np.uint8)}
            if split == "train":
                files[f"gt/{name}_gt_labelTrainIds.png"] = rng.choice([*range(19), 255], size).astype(np.uint8)
            for file, values in files.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(root / file)
    return root


# ---- the town


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    """Six scenes of the synthetic town."""
    return Town(load_card("synthetic"), "smoke", tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def day(town):
    """A clear frame of it."""
    return town[0]
