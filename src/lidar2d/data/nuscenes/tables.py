"""Reads the nuScenes JSON tables into arrays: key frames of cameras, all sweeps of the LiDAR, boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.files import BadFileError
from lidar2d.data.nuscenes.boxes import read_boxes
from lidar2d.data.nuscenes.cameras import CAMERA_DTYPE, camera_row
from lidar2d.data.nuscenes.names import NAME_DTYPE, Names
from lidar2d.data.nuscenes.poses import OURS_FROM_NUSCENES, POSE, compose, matrices, pose
from lidar2d.data.nuscenes.records import TOKEN, Record, by_token, text, whole, wrong

LIDAR = "LIDAR_TOP"

SWEEP_DTYPE = np.dtype(
    [
        ("scene", np.int16),
        ("timestamp", np.int64),  # microseconds
        ("file", NAME_DTYPE),
        ("global_from_lidar", *POSE),  # of the LiDAR's own axes
    ]
)


def sample_dtype(cameras: int) -> np.dtype[np.void]:
    """Return the row of the samples array."""
    return np.dtype(
        [
            ("token", TOKEN),
            ("scene", np.int16),
            ("sweep", np.int32),  # row of the key frame's own sweep; earlier ones of the scene stand before it
            ("lidarseg", np.int32),  # row of the words of the file's name, which holds the token; -1: there is none
            ("lidar", TOKEN),  # of the sweep's sample_data
            ("ego", np.float64, 3),  # where the car is at the sweep's time
            ("files", NAME_DTYPE, cameras),
            ("cameras", np.int32, cameras),  # rows of the cameras array
            ("global_from_cam", *POSE[:1], (cameras, *POSE[1:])),
            ("first_box", np.int32),
            ("end_box", np.int32),
        ]
    )


@dataclass(frozen=True)
class Tables:
    """What :func:`build` makes of the tables."""

    samples: NDArray[np.void]
    sweeps: NDArray[np.void]  # by scene, then by time
    cameras: NDArray[np.void]  # that differ
    boxes: NDArray[np.void]  # by sample
    scenes: list[dict[str, str]]
    categories: list[str]
    attributes: list[str]
    words: list[str]  # of file names


def build(folder: Path, cameras: Sequence[str]) -> Tables:
    """Read all tables of one version.

    Args:
        folder: of the tables.
        cameras: channels, in the order of the arrays' camera axis.

    Raises:
        BadFileError: naming the table that is missing, malformed, or points at a record that is not there.
    """
    scenes = by_token(folder, "scene", lambda r: (text(r["name"]), text(r["description"])))
    scene_rows = {token: row for row, token in enumerate(scenes)}

    samples = by_token(folder, "sample", lambda r: (scene_rows[r["scene_token"]], whole(r["timestamp"])))
    shots = _shots(folder, samples, cameras)
    egos, globals_ = _global_from_sensor(folder, shots)
    names = Names()
    sweeps, own_sweep = _sweeps(shots, globals_, samples, names)
    rows, different = _samples(folder, samples, cameras, shots, egos, globals_, names)
    rows["sweep"] = [own_sweep[token] for token in samples]
    categories = by_token(folder, "category", lambda r: text(r["name"]))
    global_from_lidar = matrices(sweeps["global_from_lidar"][rows["sweep"]]) @ OURS_FROM_NUSCENES.T
    attributes = by_token(folder, "attribute", lambda r: text(r["name"]))
    boxes = read_boxes(folder, samples, global_from_lidar, categories, attributes)
    rows["first_box"], rows["end_box"] = boxes.first, boxes.end
    return Tables(
        rows,
        sweeps,
        different,
        boxes.rows,
        [{"name": name, "description": description} for name, description in scenes.values()],
        list(categories.values()),
        list(attributes.values()),
        names.words,
    )


class Shot(NamedTuple):
    """What is needed of one record of sample_data."""

    token: str
    sample: str
    key: bool
    timestamp: int
    ego_pose: str
    calibration: Record
    file: str
    size: tuple[int, int]  # height, width


def _shots(folder: Path, samples: dict[str, Any], cameras: Sequence[str]) -> list[Shot]:
    """Return the key frames of the cameras and every sweep of the LiDAR."""
    sensors = by_token(folder, "sensor", lambda r: r["channel"])
    mounts = by_token(
        folder,
        "calibrated_sensor",
        lambda r: {
            "channel": sensors[r["sensor_token"]],
            "pose": pose(r),
            "intrinsic": r["camera_intrinsic"],
        },
    )
    channels = {LIDAR, *cameras}
    kept: list[Shot] = []
    found: set[tuple[str, str]] = set()  # samples and channels of the key frames

    def keep(r: Record) -> None:
        mount = mounts[r["calibrated_sensor_token"]]
        key, wanted = r["is_key_frame"], mount["channel"] in channels and r["sample_token"] in samples
        if type(key) is not bool:
            raise ValueError(f"is_key_frame is {key!r:.40}; it must be true or false")
        if wanted and (key or mount["channel"] == LIDAR):
            place = r["sample_token"], mount["channel"]
            if key and place in found:
                raise ValueError(f"sample {place[0]} has two key frames of {place[1]}")
            if key:
                found.add(place)
            size = whole(r["height"]), whole(r["width"])
            ego, name = text(r["ego_pose_token"]), text(r["filename"])
            kept.append(Shot(r["token"], r["sample_token"], key, whole(r["timestamp"]), ego, mount, name, size))

    by_token(folder, "sample_data", keep)
    for token in samples:
        for channel in (LIDAR, *cameras):
            if (token, channel) not in found:
                raise BadFileError(folder / "sample_data.json", f"sample {token} has no key frame of {channel}")
    return kept


def _global_from_sensor(folder: Path, shots: Sequence[Shot]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the car's pose (N, 7), and each sensor's, at its own time stamp: between two stamps the car has moved."""
    needed = {shot.ego_pose for shot in shots}
    egos = by_token(folder, "ego_pose", pose, keep=lambda r: r["token"] in needed)
    for shot in shots:
        if shot.ego_pose not in egos:
            raise wrong(folder, "sample_data", {"token": shot.token}, KeyError(shot.ego_pose))
    outer = np.array([egos[shot.ego_pose] for shot in shots]).reshape(-1, 7)
    inner = np.array([shot.calibration["pose"] for shot in shots]).reshape(-1, 7)
    return outer, compose(outer, inner)


def _sweeps(
    shots: Sequence[Shot], poses: NDArray[np.float64], samples: dict[str, Any], names: Names
) -> tuple[NDArray[np.void], dict[str, int]]:
    """Return the sweeps array, and the row of each sample's own sweep."""
    lidar = [row for row, shot in enumerate(shots) if shot.calibration["channel"] == LIDAR]
    lidar.sort(key=lambda row: (samples[shots[row].sample][0], shots[row].timestamp))
    sweeps = np.zeros(len(lidar), SWEEP_DTYPE)
    sweeps["scene"] = [samples[shots[row].sample][0] for row in lidar]
    sweeps["timestamp"] = [shots[row].timestamp for row in lidar]
    sweeps["file"] = [names.keep(shots[row].file) for row in lidar]
    sweeps["global_from_lidar"] = poses[lidar]
    own = {shots[row].sample: place for place, row in enumerate(lidar) if shots[row].key}
    return sweeps, own


def _samples(
    folder: Path,
    samples: dict[str, Any],
    cameras: Sequence[str],
    shots: Sequence[Shot],
    egos: NDArray[np.float64],
    poses: NDArray[np.float64],
    names: Names,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return the samples array, without boxes and sweeps, and the cameras array."""
    rows = np.zeros(len(samples), sample_dtype(len(cameras)))
    rows["token"] = list(samples)
    rows["scene"] = [scene for scene, _ in samples.values()]
    rows["lidarseg"] = -1
    places = {token: place for place, token in enumerate(samples)}
    views = {channel: view for view, channel in enumerate(cameras)}
    named = by_token(folder, "lidarseg", lambda r: (text(r["sample_data_token"]), text(r["filename"])))
    segments = dict(named.values())
    different: dict[bytes, int] = {}
    for row, shot in enumerate(shots):
        if not shot.key:
            continue
        place, channel = places[shot.sample], shot.calibration["channel"]
        if channel == LIDAR:
            rows["lidar"][place] = shot.token
            rows["ego"][place] = egos[row, :3]
            if shot.token in segments:
                rows["lidarseg"][place] = names.keep_around(segments[shot.token], shot.token)
            continue
        view = views[channel]
        rows["files"][place, view] = names.keep(shot.file)
        rows["global_from_cam"][place, view] = poses[row]
        try:
            camera = camera_row(shot.calibration["intrinsic"], shot.size).tobytes()
        except ValueError as error:
            raise wrong(folder, "sample_data", {"token": shot.token}, error) from None
        rows["cameras"][place, view] = different.setdefault(camera, len(different))
    return rows, np.frombuffer(b"".join(different), CAMERA_DTYPE)
