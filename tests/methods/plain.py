"""Networks and frames that are as plain as can be."""

import numpy as np
import torch

from lidar2d.frame import Frame
from lidar2d.nets.encoder import ImageEncoder, PointEncoder


class PlainPoints(PointEncoder):
    """A linear map of coordinates and intensity: every point on its own."""

    def __init__(self, channels=6):
        super().__init__()
        self.channels = channels
        self.linear = torch.nn.Linear(4, channels)

    def forward(self, batch, rows=None):
        features = self.linear(batch.points[:, :4] / 10)
        return features if rows is None else features[rows]


class PlainImages(ImageEncoder):
    """One strided convolution."""

    stride = 4

    def __init__(self, channels=6):
        super().__init__()
        self.channels = channels
        self.conv = torch.nn.Conv2d(3, channels, 4, stride=4)

    def forward(self, images):
        return self.conv(images)


def make_frame(seed, condition="day", views=2, points=300):
    """A cloud in front of two cameras, one turned by 40 degrees."""
    rng = np.random.default_rng(seed)
    xyz = np.c_[rng.uniform(3, 20, points), rng.uniform(-10, 10, points), rng.uniform(-2, 2, points)]
    axes = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], dtype=float)  # camera axes in the LiDAR frame
    poses = []
    for view in range(views):
        c, s = np.cos(0.7 * view), np.sin(0.7 * view)
        pose = np.eye(4)
        pose[:3, :3] = axes @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        poses.append(pose)
    intrinsics = np.array([[30.0, 0, 24], [0, 30, 16], [0, 0, 1]])
    return Frame(
        points=torch.from_numpy(np.c_[xyz, rng.uniform(0, 1, points)]).float(),
        images=torch.from_numpy(rng.uniform(0, 1, (views, 3, 32, 48))).float(),
        intrinsics=torch.from_numpy(np.stack([intrinsics] * views)),
        cam_from_lidar=torch.from_numpy(np.stack(poses)),
        condition=condition,
        token=f"frame-{seed}",
    )
