"""The 3D boxes of the nuScenes tables, in the LiDAR frame of their key frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.files import BadFileError
from lidar2d.data.nuscenes.poses import inverses, rotation, unit
from lidar2d.data.nuscenes.records import Record, by_token, text, whole

SEVERAL = -2  # attributes, of one box

_MAX_GAP = 1.5  # seconds between two annotations that still give a velocity; twice that across the middle one

BOX_DTYPE = np.dtype(
    [
        ("geometry", np.float32, 7),  # x y z l w h yaw in the LiDAR frame; 4 micrometres apart at 50 metres
        ("velocity", np.float32, 2),  # m/s along x and y of the LiDAR frame, NaN where unknown
        ("category", np.uint8),
        ("num_lidar_pts", np.uint16),
        ("num_radar_pts", np.uint16),
        ("attribute", np.int8),  # -1 for none, -2 for several
        ("survey", np.float64, 10),  # as the table has it: x y z, width length height, quaternion w x y z
        ("survey_velocity", np.float64, 2),  # m/s along x and y of the global frame
    ]
)


class Boxes(NamedTuple):
    """The boxes of all samples, sorted by sample, and each sample's first row and end."""

    rows: NDArray[np.void]
    first: NDArray[np.int64]
    end: NDArray[np.int64]


def read_boxes(
    folder: Path,
    samples: Mapping[str, Any],
    global_from_lidar: NDArray[np.float64],
    categories: Mapping[str, str],
    attributes: Mapping[str, str],
) -> Boxes:
    """Read the annotations of a version.

    Args:
        folder: of its tables.
        samples: by token, in order: anything, and the time stamp in microseconds.
        global_from_lidar: (S, 4, 4) in our LiDAR axes.
        categories: by token, in order.
        attributes: by token, in order.

    Raises:
        BadFileError: naming the table and the record that is wrong.
    """
    sample_rows = {token: row for row, token in enumerate(samples)}
    category_rows = {token: row for row, token in enumerate(categories)}
    attribute_rows = {token: row for row, token in enumerate(attributes)}
    category_of = by_token(folder, "instance", lambda r: category_rows[r["category_token"]])
    stamps = np.array([timestamp for _, timestamp in samples.values()], dtype=np.float64) * 1e-6

    def number(r: Record) -> tuple[Any, ...]:
        pose = (*r["translation"], *r["rotation"], *r["size"])
        if len(pose) != 10:
            raise ValueError(f"{len(pose)} numbers for translation, rotation and size; 10 are needed")
        named = [attribute_rows[token] for token in r["attribute_tokens"]]
        attribute = -1 if not named else named[0] if len(named) == 1 else SEVERAL
        hits = whole(r["num_lidar_pts"]), whole(r["num_radar_pts"])
        counts = (sample_rows[r["sample_token"]], category_of[r["instance_token"]], *hits, attribute)
        return tuple(map(float, pose)), counts, text(r["prev"]), text(r["next"])

    found = by_token(folder, "sample_annotation", number)
    if not found:
        none = np.zeros(len(samples), np.int64)
        return Boxes(np.zeros(0, BOX_DTYPE), none, none)
    place = {token: row for row, token in enumerate(found)}
    numbers = np.array([row[0] for row in found.values()])
    sample, category, *hits, attribute = np.array([row[1] for row in found.values()], dtype=np.int64).T
    try:
        before, after = (
            np.array([place[row[side]] if row[side] else here for here, row in enumerate(found.values())])
            for side in (2, 3)
        )
    except KeyError as error:
        raise BadFileError(folder / "sample_annotation.json", f"prev or next names no record: {error}") from None
    boxes = np.zeros(len(found), BOX_DTYPE)
    boxes["category"], boxes["attribute"] = category, attribute
    boxes["num_lidar_pts"], boxes["num_radar_pts"] = np.clip(hits, 0, np.iinfo(np.uint16).max)
    boxes["survey"] = numbers[:, [0, 1, 2, 7, 8, 9, 3, 4, 5, 6]]
    lidar_from_global = inverses(global_from_lidar)[sample]
    boxes["geometry"] = _into_lidar(numbers, lidar_from_global)
    if bad := np.flatnonzero(~np.isfinite(boxes["geometry"]).all(1) | (numbers[:, 7:] <= 0).any(1)).tolist():
        token = list(found)[bad[0]]
        fault = f"record {token}: box is not finite, or has a side of no length"
        raise BadFileError(folder / "sample_annotation.json", fault)
    speed = _velocity(numbers[:, :3], stamps[sample], before, after)
    boxes["survey_velocity"] = speed[:, :2]
    boxes["velocity"] = np.einsum("mij,mj->mi", lidar_from_global[:, :3, :3], speed)[:, :2]
    order = np.argsort(sample, kind="stable")
    rows = np.arange(len(samples))
    ordered = sample[order]
    return Boxes(boxes[order], np.searchsorted(ordered, rows), np.searchsorted(ordered, rows, side="right"))


def _into_lidar(numbers: NDArray[np.float64], lidar_from_global: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = lidar_from_global[:, :3, :3]
    centre = np.einsum("mij,mj->mi", turn, numbers[:, :3]) + lidar_from_global[:, :3, 3]
    heading = np.einsum("mij,mj->mi", turn, rotation(unit(numbers[:, 3:7]))[:, :, 0])
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
