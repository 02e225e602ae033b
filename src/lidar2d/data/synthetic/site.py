"""A town under construction: what ground is free, and where things stand on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lidar2d.data.synthetic.ground import KERB, ROAD, Ground, Street
from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.solids import Builder, Pose, Vector


class ZonePlan:
    """The ground's zones on a grid of 0.4 m, for quick questions about single places."""

    def __init__(self, ground: Ground) -> None:
        self.cell, self.size = 0.4, 400
        centres = ((np.arange(self.size) + 0.5 - self.size / 2) * self.cell).astype(np.float32)
        x, y = np.meshgrid(centres, centres, indexing="ij")
        self.grid = ground.zones(x.ravel(), y.ravel()).reshape(x.shape)

    def zone(self, x: float, y: float) -> int:
        """Return the class at a place."""
        i, j = (min(max(int(v / self.cell + self.size / 2), 0), self.size - 1) for v in (x, y))
        return int(self.grid[i, j])

    def height(self, x: float, y: float) -> float:
        """Return the ground's height at a place, in metres."""
        return 0.0 if self.zone(x, y) == ROAD else KERB


class Taken:
    """Ground on which something stands: a list of discs."""

    def __init__(self) -> None:
        self.discs = np.zeros((4096, 3))
        self.count = 0

    def add(self, x: float, y: float, radius: float) -> None:
        """Take a disc."""
        if self.count == len(self.discs):
            self.discs = np.concatenate([self.discs, np.zeros_like(self.discs)])
        self.discs[self.count] = x, y, radius
        self.count += 1

    def claim(self, places: list[tuple[float, float]], radius: float) -> bool:
        """Take discs of one radius, if all of them are free."""
        known = self.discs[: self.count]
        reach = np.square(known[:, 2] + radius)
        for x, y in places:
            if (np.square(known[:, 0] - x) + np.square(known[:, 1] - y) < reach).any():
                return False
        for x, y in places:
            self.add(x, y, radius)
        return True


@dataclass
class Site:
    """A town under construction."""

    b: Builder
    rng: Rng
    ground: Ground
    plan: ZonePlan
    taken: Taken
    leaf: Vector
    bare: float
    conifers: float
    kind: str

    def free(self, x: float, y: float, yaw: float, length: float, width: float) -> bool:
        """Claim a rectangle, if nothing stands on it."""
        radius = width / 2
        count = max(1, math.ceil(length / max(width, 0.5)))
        steps = [(i - (count - 1) / 2) * (length / count) for i in range(count)]
        places = [(x + s * math.cos(yaw), y + s * math.sin(yaw)) for s in steps]
        return self.taken.claim(places, radius)

    def pose(self, street: Street, along: float, lateral: float, turn: float = 0.0) -> Pose:
        """Return a pose on the ground beside a place of a street."""
        x, y, yaw = street.at(along, lateral)
        return (x, y, self.plan.height(x, y), yaw + turn)

    def on(self, x: float, y: float, *zones: int) -> bool:
        """Tell whether a place is in one of the zones."""
        return self.plan.zone(x, y) in zones
