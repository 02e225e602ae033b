"""Reads the nuScenes JSON tables, key frames only, into arrays in lidar2d's conventions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rich.progress
from numpy.typing import NDArray

from lidar2d.data.files import BadFileError

Record = dict[str, Any]

TABLES = (
    "scene",
    "sample",
    "sensor",
    "calibrated_sensor",
    "sample_data",
    "ego_pose",
    "category",
    "instance",
    "sample_annotation",
    "lidarseg",
)
_OPTIONAL = ("lidarseg",)  # a download of its own
_CHUNK = 1 << 22  # characters read at a time: the trainval tables have gigabytes
_LONGEST = 1 << 20  # characters: no record comes near; what is longer will never end
_SLOW = 1 << 26  # bytes from which reading a table shows its progress

# nuScenes' LiDAR looks along its y axis: x right, y forward. Ours: x forward, y left.
OURS_FROM_NUSCENES = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
_MAX_GAP = 1.5  # seconds between two annotations that still give a velocity; twice that across the middle one
_FILE = "S160"
_TOKEN = "S32"

BOX_DTYPE = np.dtype(
    [
        ("token", _TOKEN),
        ("geometry", np.float64, 7),  # x y z l w h yaw in the LiDAR frame
        ("velocity", np.float64, 2),  # m/s along x and y of the LiDAR frame, NaN where unknown
        ("category", np.int32),
        ("num_lidar_pts", np.int32),
    ]
)


def sample_dtype(cameras: int) -> np.dtype[np.void]:
    """Return the row of the samples array."""
    return np.dtype(
        [
            ("token", _TOKEN),
            ("scene", np.int32),
            ("timestamp", np.int64),  # microseconds
            ("lidar", _FILE),
            ("lidarseg", _FILE),  # empty where there is none
            ("images", _FILE, cameras),
            ("size", np.int32, (cameras, 2)),  # height, width
            ("intrinsics", np.float64, (cameras, 3, 3)),
            ("cam_from_lidar", np.float64, (cameras, 4, 4)),
            ("first_box", np.int64),
            ("end_box", np.int64),
        ]
    )


@dataclass(frozen=True)
class Tables:
    """What :func:`build` makes of the tables."""

    samples: NDArray[np.void]
    boxes: NDArray[np.void]
    scenes: list[dict[str, str]]
    categories: list[str]


def build(folder: Path, cameras: Sequence[str]) -> Tables:
    """Read all tables of one version.

    Raises:
        BadFileError: naming the table that is missing, malformed, or points at a record that is not there.
    """
    scenes = _by_token(folder, "scene", lambda r: (r["name"], r["description"]))
    scene_rows = {token: row for row, token in enumerate(scenes)}
    samples = _by_token(folder, "sample", lambda r: (scene_rows[r["scene_token"]], r["timestamp"]))
    channels = ("LIDAR_TOP", *cameras)
    data = _key_frames(folder, samples, channels)
    rows, global_from_lidar = _samples(folder, samples, data, channels)
    categories = _by_token(folder, "category", lambda r: r["name"])
    boxes = _boxes(folder, samples, global_from_lidar, categories)
    rows["first_box"], rows["end_box"] = boxes[1], boxes[2]
    return Tables(
        rows,
        boxes[0],
        [{"name": name, "description": description} for name, description in scenes.values()],
        list(categories.values()),
    )


# ---- tables as streams of records


def records(folder: Path, table: str) -> Iterator[Record]:
    """Yield the records of a table, one at a time, without holding the table.

    Raises:
        BadFileError: if the table is missing, or no list of records.
    """
    path = folder / f"{table}.json"
    if not path.is_file():
        if table in _OPTIONAL:
            return
        raise BadFileError(path, "missing; every version of nuScenes has this table")
    decoder = json.JSONDecoder()
    text, start = "", 0
    quiet = path.stat().st_size < _SLOW
    with rich.progress.open(
        path, "r", encoding="utf-8", errors="replace", description=f"reading {path.name}", disable=quiet, transient=True
    ) as file:
        while True:
            while start < len(text) and text[start] in " \r\n\t,[":
                start += 1
            if start < len(text) and text[start] == "]":
                return
            try:
                if start == len(text):
                    raise ValueError("more text is needed")
                record, start = decoder.raw_decode(text, start)
            except ValueError:
                more = file.read(_CHUNK) if len(text) - start < _LONGEST else ""
                if not more:
                    raise BadFileError(path, "ends in the middle, or is no JSON list of records") from None
                text, start = text[start:] + more, 0
                continue
            if not isinstance(record, dict):
                raise BadFileError(path, "is no list of records")
            yield record


def _by_token(
    folder: Path, table: str, row: Callable[[Record], Any], keep: Callable[[Record], bool] = lambda _: True
) -> dict[str, Any]:
    """Read what is needed of each record, by token; a key that is missing, or points nowhere, is the table's fault."""
    found = {}
    for record in records(folder, table):
        try:
            if keep(record):
                found[record["token"]] = row(record)
        except (KeyError, TypeError, ValueError) as error:
            raise _wrong(folder, table, record, error) from None
    return found


def _wrong(folder: Path, table: str, record: Record, error: Exception) -> BadFileError:
    fault = "no such key or record:" if isinstance(error, KeyError) else "bad value:"
    return BadFileError(folder / f"{table}.json", f"record {record.get('token')}: {fault} {error}")


# ---- samples


def _key_frames(folder: Path, samples: dict[str, Any], channels: Sequence[str]) -> dict[tuple[str, str], Record]:
    """Return the key frame's sample_data record of each (sample, channel)."""
    sensors = _by_token(folder, "sensor", lambda r: r["channel"])
    calibrated = _by_token(folder, "calibrated_sensor", lambda r: r | {"channel": sensors[r["sensor_token"]]})
    data: dict[tuple[str, str], Record] = {}

    def place(record: Record) -> None:
        calibration = calibrated[record["calibrated_sensor_token"]]
        if calibration["channel"] in channels and record["sample_token"] in samples:
            kept = {key: record[key] for key in ("token", "filename", "height", "width", "ego_pose_token")}
            data[record["sample_token"], calibration["channel"]] = kept | {"calibration": calibration}

    _by_token(folder, "sample_data", place, keep=lambda r: bool(r["is_key_frame"]))
    for token in samples:
        for channel in channels:
            if (token, channel) not in data:
                raise BadFileError(folder / "sample_data.json", f"sample {token} has no key frame of {channel}")
    return data


def _samples(
    folder: Path, samples: dict[str, Any], data: dict[tuple[str, str], Record], channels: Sequence[str]
) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Return the samples array without boxes, and global_from_lidar (S, 4, 4) in our LiDAR axes."""
    needed = {record["ego_pose_token"] for record in data.values()}
    egos = _by_token(folder, "ego_pose", lambda r: _pose(r), keep=lambda r: r["token"] in needed)
    segments = _by_token(folder, "lidarseg", lambda r: (r["sample_data_token"], r["filename"]))
    segment_of = dict(segments.values())
    rows = np.zeros(len(samples), sample_dtype(len(channels) - 1))
    global_from_lidar = np.zeros((len(samples), 4, 4))
    for row, (token, (scene, timestamp)) in enumerate(samples.items()):
        lidar, *images = (data[token, channel] for channel in channels)
        out = rows[row]
        try:
            global_from_lidar[row] = _global_from_sensor(lidar, egos) @ OURS_FROM_NUSCENES.T
            poses = [np.linalg.inv(_global_from_sensor(image, egos)) for image in images]
            out["intrinsics"] = [image["calibration"]["camera_intrinsic"] for image in images]
            if not (out["intrinsics"][:, (0, 1), (0, 1)] > 0).all():
                raise ValueError("a camera's focal length is not positive")
            out["scene"], out["timestamp"] = scene, timestamp
            out["size"] = [(image["height"], image["width"]) for image in images]
        except (KeyError, TypeError, ValueError) as error:
            raise _wrong(folder, "sample_data", lidar, error) from None
        out["cam_from_lidar"] = poses @ global_from_lidar[row]
        out["token"] = token
        out["lidar"] = _short(folder, lidar["filename"])
        out["images"] = [_short(folder, image["filename"]) for image in images]
        out["lidarseg"] = _short(folder, segment_of.get(lidar["token"], ""))
    rows["intrinsics"][:, :, :2, 2] += 0.5  # nuScenes' pixel centres are at whole numbers
    return rows, global_from_lidar


def _global_from_sensor(record: Record, egos: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sensor's pose at its own time stamp: between two stamps the car has moved."""
    pose: NDArray[np.float64] = egos[record["ego_pose_token"]] @ _pose(record["calibration"])
    return pose


def _short(folder: Path, name: str) -> bytes:
    encoded = name.encode()
    if len(encoded) > int(_FILE[1:]):
        raise BadFileError(folder / "sample_data.json", f"the file name {name} is longer than {_FILE[1:]} bytes")
    return encoded


# ---- boxes


def _boxes(
    folder: Path, samples: dict[str, Any], global_from_lidar: NDArray[np.float64], categories: dict[str, str]
) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64]]:
    """Return the boxes array sorted by sample, and each sample's first row and end in it."""
    sample_rows = {token: row for row, token in enumerate(samples)}
    category_rows = {token: row for row, token in enumerate(categories)}
    category_of = _by_token(folder, "instance", lambda r: category_rows[r["category_token"]])
    stamps = np.array([timestamp for _, timestamp in samples.values()], dtype=np.float64) * 1e-6

    def number(r: Record) -> tuple[Any, ...]:
        pose = (*r["translation"], *r["rotation"], *r["size"])
        if len(pose) != 10:
            raise ValueError(f"{len(pose)} numbers for translation, rotation and size; 10 are needed")
        counts = (sample_rows[r["sample_token"]], category_of[r["instance_token"]], r["num_lidar_pts"])
        return np.array(pose, dtype=np.float64), counts, r["prev"], r["next"]

    found = _by_token(folder, "sample_annotation", number)
    if not found:
        none = np.zeros(len(samples), np.int64)
        return np.zeros(0, BOX_DTYPE), none, none
    place = {token: row for row, token in enumerate(found)}
    numbers = np.stack([row[0] for row in found.values()])
    sample, category, points = np.array([row[1] for row in found.values()], dtype=np.int64).T
    try:
        before, after = (
            np.array([place[row[side]] if row[side] else here for here, row in enumerate(found.values())])
            for side in (2, 3)
        )
    except KeyError as error:
        raise BadFileError(folder / "sample_annotation.json", f"prev or next names no record: {error}") from None
    boxes = np.zeros(len(found), BOX_DTYPE)
    boxes["token"] = list(found)
    boxes["category"], boxes["num_lidar_pts"] = category, points
    lidar_from_global = np.linalg.inv(global_from_lidar)[sample]
    boxes["geometry"] = _into_lidar(numbers, lidar_from_global)
    if bad := np.flatnonzero(~np.isfinite(boxes["geometry"]).all(1) | (numbers[:, 7:] <= 0).any(1)).tolist():
        raise BadFileError(
            folder / "sample_annotation.json",
            f"record {boxes['token'][bad[0]].decode()}: box is not finite, or has a side of no length",
        )
    speed = _velocity(numbers[:, :3], stamps[sample], before, after)
    boxes["velocity"] = np.einsum("mij,mj->mi", lidar_from_global[:, :3, :3], speed)[:, :2]
    order = np.argsort(sample, kind="stable")
    rows = np.arange(len(samples))
    ordered = sample[order]
    return boxes[order], np.searchsorted(ordered, rows), np.searchsorted(ordered, rows, side="right")


def _into_lidar(numbers: NDArray[np.float64], lidar_from_global: NDArray[np.float64]) -> NDArray[np.float64]:
    rotation = lidar_from_global[:, :3, :3]
    centre = np.einsum("mij,mj->mi", rotation, numbers[:, :3]) + lidar_from_global[:, :3, 3]
    heading = np.einsum("mij,mj->mi", rotation, _rotation(numbers[:, 3:7])[:, :, 0])
    yaw = np.arctan2(heading[:, 1], heading[:, 0])
    width, length, height = numbers[:, 7:].T
    return np.column_stack([centre, length, width, height, yaw])


def _velocity(
    centre: NDArray[np.float64], stamp: NDArray[np.float64], before: NDArray[np.int64], after: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Differentiate each object's centre over its neighbouring annotations; NaN where they are missing or too far."""
    here = np.arange(len(centre))
    seconds = stamp[after] - stamp[before]
    longest = np.where((before != here) & (after != here), 2 * _MAX_GAP, _MAX_GAP)
    known = (before != after) & (seconds <= longest) & (seconds > 0)
    speed = np.full_like(centre, np.nan)
    np.divide(centre[after] - centre[before], seconds[:, None], out=speed, where=known[:, None])
    return speed


# ---- poses


def _pose(record: Record) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = _rotation(np.array(record["rotation"], dtype=np.float64)[None])[0]
    pose[:3, 3] = record["translation"]
    if not np.isfinite(pose).all():
        raise ValueError("pose is not finite")
    return pose


def _rotation(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotation matrices (M, 3, 3) of quaternions (M, 4) written w x y z."""
    with np.errstate(invalid="ignore"):  # zeros become NaN, which the callers refuse
        w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    entries = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(entries), 2, 0)
