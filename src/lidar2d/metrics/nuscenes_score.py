"""nuScenes' detection benchmark over the frames of a split, judged by nuscenes-devkit itself."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.metrics.framewise import Framewise, Judged

CLASSES = (
    *("barrier", "bicycle", "bus", "car", "construction_vehicle"),
    *("motorcycle", "pedestrian", "traffic_cone", "trailer", "truck"),
)
ATTRIBUTES = (
    *("pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing"),
    *("cycle.with_rider", "cycle.without_rider", "vehicle.moving", "vehicle.parked", "vehicle.stopped"),
)

RACK = -2  # the class of a rack of bicycles
MOST = 500  # answers of a frame

# columns of the truth, beside x y z l w h yaw, class, and velocity as heads learn them
BOX = slice(10, 20)  # x y z, width length height, quaternion w x y z, in the global frame
VELOCITY = slice(20, 22)  # m/s along x and y of the global frame, NaN where unknown
ATTRIBUTE, HITS = 22, 23  # place in ATTRIBUTES, -1 for none; points of LiDAR and radar inside
COLUMNS = 24
POSE = slice(8, 23)  # of the last row: global_from_lidar (3, 4), and where the car is, x y z

_ERRORS = {"trans_err": "mATE", "scale_err": "mASE", "orient_err": "mAOE", "vel_err": "mAVE", "attr_err": "mAAE"}


def must_have_devkit() -> None:
    """Refuse to begin what could not be judged in the end.

    Raises:
        UsageError: if nuscenes-devkit is not installed.
    """
    if importlib.util.find_spec("nuscenes") is None:
        raise UsageError(
            "nuscenes-devkit is not installed, which judges detection on nuScenes: pip install 'lidar2d[nuscenes]'"
        )


class NuScenesScore(Framewise):
    """NDS, mAP and the five errors of true positives, as the challenge of 2019 has them.

    Here answers are carried from the LiDAR's frame into the global one, as a submission has them. All else is the
    devkit's: it leaves out boxes and answers beyond the range of their class (50, 40 or 30 m), boxes without a point
    of LiDAR or radar, and bicycles and motorcycles in racks; matches by distance; and knows which classes have which
    errors. A class that no frame has counts as 0 in the mean, as there.
    """

    def __init__(self) -> None:
        super().__init__(facts=POSE.stop - POSE.start, box=COLUMNS, answer=12)

    def update(self, answers: Tensor, truth: Tensor) -> None:
        """Add frames.

        Args:
            answers: (B, N, 12) x y z l w h yaw in the LiDAR's frame, class as a place in :data:`CLASSES` (-1 is none),
                score, velocity along x and y, attribute as a place in :data:`ATTRIBUTES` (-1 is none).
            truth: (B, M, 24) of which column 7 is the class (-1 is none, -2 a rack) and those above tell the rest; the
                last row of a frame is its pose.

        Raises:
            UsageError: if a frame has more than 500 answers.
        """
        for rows, boxes in zip(answers, truth, strict=True):
            named = rows[rows[:, 7] >= 0]
            if len(named) > MOST:
                raise UsageError(f"a frame has {len(named)} answers; nuScenes' benchmark takes {MOST} at most")
            self.keep(boxes[-1, POSE], boxes[:-1][boxes[:-1, 7] != -1], named)

    def compute(self) -> dict[str, float]:
        """Return ``nds``, ``map`` and ``ap/CLASS`` in percent, and the mean errors over the classes that have them.

        They are ``mATE`` in metres, ``mASE``, ``mAOE`` in radians, ``mAVE`` in m/s, and ``mAAE``.

        Raises:
            UsageError: if nuscenes-devkit is not installed.
        """
        found = _judged(self.kept())
        numbers = {"nds": 100 * found.nd_score, "map": 100 * found.mean_ap}
        numbers |= {title: float(found.tp_errors[name]) for name, title in _ERRORS.items()}
        return numbers | {f"ap/{name}": 100 * float(value) for name, value in sorted(found.mean_dist_aps.items())}


def _judged(frames: Sequence[Judged]) -> Any:
    """Return the devkit's DetectionMetrics."""
    must_have_devkit()
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes
    from nuscenes.eval.detection.evaluate import DetectionEval

    config, tables = config_factory("detection_cvpr_2019"), _Tables(frames)
    judged = []
    for make in (_true_boxes, _answered_boxes):
        boxes = EvalBoxes()
        for number, frame in enumerate(frames):
            boxes.add_boxes(str(number), make(str(number), frame))
        if boxes.all:  # the devkit cannot tell the kind of none
            boxes = filter_eval_boxes(tables, add_center_dist(tables, boxes), config.class_range)
        judged.append(boxes)
    given = SimpleNamespace(gt_boxes=judged[0], pred_boxes=judged[1], cfg=config, verbose=False)
    return DetectionEval.evaluate(given)[0]


class _Tables:
    """What the devkit looks up of a frame in the tables: where the car was, and racks of bicycles."""

    def __init__(self, frames: Sequence[Judged]) -> None:
        self.frames = frames

    def get(self, table: str, token: str) -> dict[str, Any]:
        """Return a record; a frame's token is its number, and those of racks have theirs after a slash."""
        number, _, rack = token.partition("/")
        frame = self.frames[int(number)]
        racks = frame.boxes[frame.boxes[:, 7] == RACK]
        if table == "sample":
            return {"data": {"LIDAR_TOP": token}, "anns": [f"{token}/{row}" for row in range(len(racks))]}
        if table == "sample_data":
            return {"ego_pose_token": token}
        if table == "ego_pose":
            return {"translation": frame.facts[12:].tolist()}
        return {"category_name": "static_object.bicycle_rack", **_survey(racks[int(rack)])}


def _survey(row: Tensor) -> dict[str, Any]:
    numbers = row[BOX].tolist()
    return {"translation": numbers[:3], "size": numbers[3:6], "rotation": numbers[6:]}


def _true_boxes(token: str, frame: Judged) -> list[Any]:
    from nuscenes.eval.detection.data_classes import DetectionBox

    return [
        DetectionBox(
            sample_token=token,
            **_survey(row),
            velocity=tuple(row[VELOCITY].tolist()),
            num_pts=int(row[HITS]),
            detection_name=CLASSES[int(row[7])],
            attribute_name=_attribute(row[ATTRIBUTE]),
        )
        for row in frame.boxes[frame.boxes[:, 7] >= 0]
    ]


def _answered_boxes(token: str, frame: Judged) -> list[Any]:
    from nuscenes.eval.detection.data_classes import DetectionBox

    pose, rows = frame.facts[:12].view(3, 4), frame.answers
    centre = rows[:, :3] @ pose[:, :3].T + pose[:, 3]
    heading = torch.stack([rows[:, 6].cos(), rows[:, 6].sin()], 1) @ pose[:2, :2].T
    half = torch.atan2(heading[:, 1], heading[:, 0]) / 2
    velocity = rows[:, 9:11] @ pose[:2, :2].T
    told = zip(centre.tolist(), half.tolist(), velocity.tolist(), rows, strict=True)
    return [
        DetectionBox(
            sample_token=token,
            translation=place,
            size=row[[4, 3, 5]].tolist(),
            rotation=(math.cos(turn), 0.0, 0.0, math.sin(turn)),
            velocity=speed,
            detection_name=CLASSES[int(row[7])],
            detection_score=float(row[8]),
            attribute_name=_attribute(row[11]),
        )
        for place, turn, speed, row in told
    ]


def _attribute(number: Tensor) -> str:
    return ATTRIBUTES[int(number)] if number >= 0 else ""
