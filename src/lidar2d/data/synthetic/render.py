"""One scene, from its seed to the arrays that the cache keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.camera import CAMERA
from lidar2d.data.synthetic.exposure import VIEWS
from lidar2d.data.synthetic.layout import compose
from lidar2d.data.synthetic.lidar import measure, returns
from lidar2d.data.synthetic.scene import scan, see
from lidar2d.data.synthetic.sensors import HEIGHT, MOUNT, WIDTH

CONDITIONS = tuple(CAMERA)  # day, dusk, night, rain, fog, snow
IGNORE = 255  # a label on disk that Frame reads as -1
Arrays = dict[str, NDArray[Any]]


def render(seed: int) -> Arrays:
    """Make the scene of a seed, in all conditions; the same seed gives the same bytes.

    Returns:
        arrays by name. Shared: xyz (n, 3), labels (n,), pixel_labels (6, H, W), depth (6, H, W), boxes (M, 9),
        box_labels (M,). For each condition: images_* (6, 3, H, W), kept_* (n,), intensity_* (kept,), air_* (k, 4).
    """
    streams = np.random.SeedSequence([20, seed]).spawn(2 + len(CONDITIONS))
    layout = compose(np.random.default_rng(streams[0]))
    view, sweep = see(layout), scan(layout)
    rng = np.random.default_rng(streams[1])
    xyz = measure(sweep, rng)
    luck = rng.random(len(sweep.ray), dtype=np.float32)
    weather: Arrays = {}
    for condition, stream in zip(CONDITIONS, streams[2:], strict=True):
        own = np.random.default_rng(stream)
        severity = float(own.random())
        weather[f"images_{condition}"] = CAMERA[condition](view, severity, own)
        back = returns(sweep, luck, condition, severity, own)
        weather[f"kept_{condition}"], weather[f"intensity_{condition}"] = back.kept, back.intensity
        weather[f"air_{condition}"] = back.air

    owner = layout.solids.owner
    seen = np.union1d(view.solid[view.solid >= 0], sweep.solid[weather["kept_day"] & (sweep.solid >= 0)])
    boxes = np.unique(owner[seen])
    boxes = boxes[boxes >= 0]
    shown = layout.boxes[boxes]
    shown[:, 2] -= MOUNT  # from the town frame to the LiDAR frame
    return {
        "xyz": xyz,
        "labels": sweep.labels.astype(np.uint8),
        "pixel_labels": np.where(view.sky, IGNORE, view.labels).astype(np.uint8).reshape(VIEWS, HEIGHT, WIDTH),
        "depth": view.depth.astype(np.float16).reshape(VIEWS, HEIGHT, WIDTH),
        "boxes": shown.astype(np.float32),
        "box_labels": layout.box_labels[boxes].astype(np.uint8),
        **weather,
    }
