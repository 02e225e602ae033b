"""A data set of eight made-up frames in three conditions; a card names its reader by ``tiny_source.Tiny``."""

from dataclasses import replace

import numpy as np
import torch

from lidar2d.frame import Frame

POINTS = 1500  # of a frame; more pairs than are kept of a batch to look for clusters
CARD = """\
name: tiny
title: Tiny
reader: tiny_source.Tiny
licence: none
citation: none
homepage: none
get: it is made up
layout: none
classes: [ground, thing]
box_classes: []
cameras: [left, right]
splits: {train: 8, probe: 6, test: 6}
train: train
probe: probe
test: test
clear: [day]
adverse: [fog, night]
intensity_scale: 1.0
"""


class Tiny:
    """Random clouds in front of two cameras; the colour of a pixel follows its class, dimmed by the condition."""

    def __init__(self, card, split, root=None, image_size=None):  # noqa: ARG002 what readers take
        self.card = card
        count = card.splits[split]
        self.conditions = [("day", "fog", "night")[i % 3] for i in range(count)]
        self.tokens = [f"{split}-{i // 3}-{c}" for i, c in enumerate(self.conditions)]
        self.seeds = [sum(map(ord, split)) + i // 3 for i in range(count)]

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        rng = np.random.default_rng(self.seeds[index])
        xyz = np.c_[rng.uniform(3, 20, POINTS), rng.uniform(-10, 10, POINTS), rng.uniform(-2, 2, POINTS)]
        pose = np.eye(4)
        pose[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
        labels = torch.from_numpy((rng.uniform(size=(2, 32, 48)) > 0.5).astype(np.int64))
        bright = {"day": 0.8, "fog": 0.5, "night": 0.2}[self.conditions[index]]
        images = (0.2 + bright * labels[:, None] * torch.tensor([1.0, 0.6, 0.2])[:, None, None]).clamp(0, 1)
        return Frame(
            points=torch.from_numpy(np.c_[xyz, rng.uniform(size=POINTS)]).float(),
            images=images.float(),
            intrinsics=torch.tensor([[30.0, 0, 24], [0, 30, 16], [0, 0, 1]], dtype=torch.float64).repeat(2, 1, 1),
            cam_from_lidar=torch.from_numpy(np.stack([pose, pose])),
            labels=torch.from_numpy((xyz[:, 2] > 0).astype(np.int64)),
            pixel_labels=labels,
            condition=self.conditions[index],
            token=self.tokens[index],
        )

    def check(self):
        yield from ((token, []) for token in self.tokens)


class Unlabelled(Tiny):
    """The same without labels."""

    def __getitem__(self, index):
        return replace(super().__getitem__(index), labels=None, pixel_labels=None)


class Blind(Tiny):
    """The same without cameras."""

    def __getitem__(self, index):
        none = {"images": torch.zeros(0, 3, 32, 48), "intrinsics": torch.zeros(0, 3, 3).double()}
        return replace(
            super().__getitem__(index), **none, cam_from_lidar=torch.zeros(0, 4, 4).double(), pixel_labels=None
        )


class Flat(Tiny):
    """The same without a LiDAR."""

    def __getitem__(self, index):
        return replace(super().__getitem__(index), points=torch.zeros(0, 4), labels=None)
