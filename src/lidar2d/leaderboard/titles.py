"""What readers call tasks and numbers."""

from __future__ import annotations

import re

from lidar2d.results.measures import measure

_TASKS = {  # of images first, then of points
    "seg2d": "2D segmentation",
    "depth": "Depth",
    "match": "Correspondence",
    "aware-match": "Correspondence",
    "aware-normals": "Surface normals",
    "glance2d": "Image features at a glance",
    "seg3d": "3D segmentation",
    "det3d": "3D detection",
    "glance3d": "Point features at a glance",
}
_PROBES = {"lp": "linear probe", "lin": "linear probe", "ft": "fine-tuned"}
_MEASURED = re.compile(r"(\d)(px|deg)$")
_UNITS = {"px": " px", "deg": "°"}
_METRICS = {
    **{"miou": "mIoU", "iou": "IoU", "map": "mAP", "nds": "NDS", "mce": "mCE", "mrr": "mRR", "knn": "k-NN"},
    **{"ap3d": "AP in space", "apbev": "AP from above"},
    **{"ap3d-r11": "AP in space, R11", "apbev-r11": "AP from above, R11"},
    **{"abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSE log", "silog": "SILog"},
    **{"d1": "δ1", "d2": "δ2", "d3": "δ3", "mean_angle": "mean angle", "rms_angle": "RMS angle"},
    **{"rank_me": "RankMe", "effective_rank": "effective rank"},
}


def task(protocol: str) -> str:
    """Name the task of a protocol, such as ``seg3d-lp/slidr@1``."""
    word = protocol.partition("/")[0]
    stem, _, probe = word.rpartition("-")
    return _TASKS.get(word) or (_TASKS.get(stem, word) if probe in _PROBES else word)


def place(protocol: str) -> int:
    """Return where the task of a protocol stands among tasks; others stand last."""
    names = list(_TASKS.values())
    name = task(protocol)
    return names.index(name) if name in names else len(names)


def probe(protocol: str) -> str:
    """Say how a protocol asks, such as ``linear probe``; "" where its name does not tell."""
    return _PROBES.get(protocol.partition("/")[0].rpartition("-")[2], "")


def metric(name: str) -> str:
    """Name a number, such as ``iou/car`` or ``recall/10px``."""
    stem, _, rest = name.partition("/")
    known = _METRICS.get(stem, stem)
    if stem == "iou":
        return f"{known} {rest.replace('_', ' ')}"
    inner = ", ".join(_METRICS.get(part, _measured(part)).replace("_", " ") for part in rest.split("/") if part)
    within = " within " if stem == "recall" else " " if stem == "within" else ", "
    return f"{known}{within}{inner}" if inner else known


def _measured(part: str) -> str:
    """Write ``10px`` and ``22.5deg`` as people do."""
    return _MEASURED.sub(lambda found: found[1] + _UNITS[found[2]], part)


def unit(name: str) -> str:
    """Return the unit that a number is printed in; "" where it has none."""
    known = measure(name)
    if name.partition("/")[0] in ("mean_angle", "rms_angle"):
        return "°"
    return "%" if known.high == 100 else ""


def condition(name: str) -> str:
    """Name a condition, such as ``wet_ground``."""
    return {"all": "all frames", "corrupted": "all corruptions"}.get(name, name.replace("_", " "))
