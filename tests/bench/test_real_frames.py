"""Truth of pixels that real LiDAR points tell, against loops over the points."""

import os
from pathlib import Path

import pytest
import torch

from lidar2d.data.card import load_card
from lidar2d.data.source import open_source
from lidar2d.frame import collate
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.segmentation import PixelSegmentation

SAMPLES = Path(os.environ.get("LIDAR2D_SAMPLES", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def frame():
    if not (SAMPLES / "nuscenes").is_dir():
        pytest.skip("no real nuScenes frame at hand: set LIDAR2D_SAMPLES")
    return open_source(load_card("nuscenes"), "mini", SAMPLES / "nuscenes", (112, 208))[0]


def seen(frame, view):
    """Yield the row, the column, the depth and the label of each point that a camera sees, in float64."""
    height, width = frame.images.shape[-2:]
    for (x, y, z), label in zip(frame.points[:, :3].double().tolist(), frame.labels.tolist(), strict=True):
        place = frame.cam_from_lidar[view].double() @ torch.tensor([x, y, z, 1.0], dtype=torch.float64)
        if place[2] > 0.1:
            u, v, _ = (frame.intrinsics[view].double() @ place[:3] / place[2]).tolist()
            if 0 <= u < width and 0 <= v < height:
                yield int(v), int(u), place[2].item(), label


def test_the_nearest_point_in_a_pixel_tells_its_depth_and_its_class(frame):
    card, batch = load_card("nuscenes"), collate([frame])
    assert batch.pixel_labels is None
    assert batch.depth is None
    labels, depth = PixelSegmentation(card).truth(batch), Depth(card).truth(batch)
    assert labels.shape == depth.shape == (6, 112, 208)
    view, nearest = 0, {}
    for row, column, far, label in seen(frame, view):
        if far < nearest.get((row, column), (float("inf"),))[0]:
            nearest[row, column] = far, label
    told = {tuple(at): depth[view][tuple(at)].item() for at in (depth[view] > 0).nonzero().tolist()}
    assert len(told) > 1000
    # points that are hidden behind nearer ones in their neighbourhood are left out, and no other point is told
    assert set(told) <= set(nearest)
    assert len(told) > 0.85 * sum(0.1 < far < 80 for far, _ in nearest.values())
    equal = [told[at] == pytest.approx(nearest[at][0], rel=1e-4) for at in told]
    assert sum(equal) > 0.99 * len(equal)  # rounded, a point may lie in the next pixel
    painted = {tuple(at): labels[view][tuple(at)].item() for at in (labels[view] >= 0).nonzero().tolist()}
    assert len(painted) > 50
    right = [painted[at] == nearest[at][1] for at in painted if nearest[at][0] > 1]
    assert sum(right) > 0.97 * len(right)
