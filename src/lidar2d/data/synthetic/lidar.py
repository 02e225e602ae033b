"""Sweeps of one town in every condition: noise, weak returns, and what water in the air does to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.ground import ROAD
from lidar2d.data.synthetic.materials import GLASS_INFRARED
from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.scene import Sweep
from lidar2d.data.synthetic.sensors import Floats, lidar_rays

_RANGE_NOISE = 0.02  # metres
_HALF_SEEN = 60.0  # metres: a surface that reflects 8 % straight back is seen every second time


@dataclass(frozen=True)
class Returns:
    """One condition's sweep: which of the town's hits came back, how bright, and what came back from the air."""

    kept: NDArray[np.bool_]  # (n,)
    intensity: NDArray[np.uint8]  # (kept,)
    air: Floats  # (k, 4) x y z in the LiDAR frame, intensity 0..1


def fog_visibility(severity: float) -> float:
    """Return the metres at which 2 % of the contrast is left: 120 in light fog, 40 in dense fog."""
    return float(120 * (40 / 120) ** severity)


def measure(sweep: Sweep, rng: Rng) -> Floats:
    """Return the hits (n, 3) in the LiDAR frame, with range noise; every condition shares them."""
    noisy = sweep.reach + np.float32(_RANGE_NOISE) * rng.standard_normal(len(sweep.reach), dtype=np.float32)
    xyz: Floats = np.ascontiguousarray((lidar_rays()[:, sweep.ray] * noisy).T)
    return xyz


def returns(sweep: Sweep, luck: Floats, condition: str, severity: float, rng: Rng) -> Returns:
    """Decide what comes back in a condition.

    Args:
        sweep: the town's hits.
        luck: (n,) uniform 0..1, shared by the conditions, so that bad weather only takes points away.
        condition: day, dusk, night, rain, fog or snow.
        severity: 0..1.
        rng: source of what the weather adds.
    """
    signal = sweep.infrared * (0.1 + 0.9 * sweep.cosine)
    bright = np.clip(signal, 0, 1)
    signal = signal * np.square(_HALF_SEEN / np.maximum(sweep.reach, 1.0))
    lost, ghosts, farthest = 0.0, 0.0, 10.0
    if condition == "fog":
        # there and back, at half of visible light's extinction: such sensors keep the strongest of several echoes
        through = np.exp(-3.912 / fog_visibility(severity) * sweep.reach)
        signal, bright = signal * through, bright * np.sqrt(through)
        lost, ghosts, farthest = 0.02, 0.004 + 0.02 * severity, 12.0
    elif condition == "rain":
        wet = np.where(sweep.labels == ROAD, 1 - 0.7 * severity, 1 - 0.2 * severity).astype(np.float32)
        signal, bright = signal * wet, bright * wet
        lost, ghosts = 0.01 + 0.04 * severity, 0.001 + 0.004 * severity
    elif condition == "snow":
        lost, ghosts = 0.02 + 0.06 * severity, 0.004 + 0.012 * severity
    seen = 1 - np.exp(-9 * signal)
    seen = np.where(sweep.infrared <= GLASS_INFRARED, 0.35 * seen, seen)
    kept = luck < seen * (1 - lost)
    level = (np.clip(bright[kept], 0, 1) * 255).astype(np.uint8)
    return Returns(kept, level, _air(sweep, ghosts, farthest, rng))


def _air(sweep: Sweep, share: float, farthest: float, rng: Rng) -> Floats:
    """Return echoes (k, 4) from drops and flakes close to the sensor, in front of what the ray would have met."""
    chosen = np.flatnonzero(rng.random(len(sweep.ray)) < share)
    reach = 1.2 + rng.gamma(1.6, farthest / 5, len(chosen))
    chosen, reach = chosen[reach < sweep.reach[chosen]], reach[reach < sweep.reach[chosen]]
    intensity = rng.uniform(0.0, 0.08, len(chosen))
    xyz = lidar_rays()[:, sweep.ray[chosen]] * reach
    rows: Floats = np.concatenate([xyz, intensity[None]]).T.astype(np.float32)
    return rows
