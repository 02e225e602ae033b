"""Water on the road, in the air and on the lens; snow on the ground and in the air."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lidar2d.data.synthetic.exposure import VIEWS, spread
from lidar2d.data.synthetic.ground import ROAD, TERRAIN
from lidar2d.data.synthetic.noise import grain
from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.scene import PER_VIEW, View
from lidar2d.data.synthetic.sensors import HEIGHT, WIDTH, Floats


def puddles(view: View, radiance: Floats, severity: float, rng: Rng) -> None:
    """Mirror what stands behind the wet ground: level cameras see it as far above the horizon as the water below."""
    rows = np.flatnonzero((view.solid < 0) & (view.depth > 0) & (view.normal[2] > 0.9))
    level = view.labels[rows]
    place, x, y = rows % PER_VIEW, view.xyz[0, rows], view.xyz[1, rows]
    line = place // WIDTH
    mirrored = rows + (HEIGHT - 1 - 2 * line) * WIDTH
    grazing = 1 + view.rays[2, rows] / view.stretch[rows]  # 1 at the horizon
    fresnel = 0.03 + 0.75 * np.clip(grazing, 0, 1) ** 6
    ripple = grain(x, y, view.depth[rows] * np.float32(0.007), 0.35, 1.0)
    water = np.clip(0.35 + 0.4 * ripple + 0.5 * severity, 0, 1) * np.where(level == TERRAIN, 0.2, 1.0).astype(
        np.float32
    )
    share = fresnel * water * np.float32(0.6 + 0.4 * severity)
    jitter = (2 * rng.random(len(rows), dtype=np.float32) - 1) * 2
    source = np.clip(mirrored + jitter.astype(np.int64) * WIDTH, 0, radiance.shape[1] - 1)
    radiance[:, rows] += share * (radiance[:, source] - radiance[:, rows])


def snow_cover(view: View, severity: float) -> Floats:
    """Return how white each place is: level surfaces first, the road between its tyre tracks."""
    x, y = view.xyz[:2]
    patchy = grain(x, y, view.depth * np.float32(0.007), 0.5, 1.1)
    cover = np.clip((view.normal[2] - 0.35) * 2.2, 0, 1) * np.clip(0.25 + 1.0 * severity + 0.35 * patchy, 0, 1)
    road = np.flatnonzero(view.labels == ROAD)
    _, lateral = view.layout.ground.streets[0].along_lateral(x[road], y[road])
    track = np.exp(-np.square(np.mod(lateral, 1.7) - 0.85) * 9)
    cover[road] *= (0.25 + 0.75 * severity) * (1 - 0.65 * track)
    return np.where(view.labels >= 0, cover, np.float32(0)).astype(np.float32)


def rain_layer(rng: Rng) -> Floats:
    """Return falling rain (6, H, W), 0..1."""
    return _slice(_streaks(), rng)


def snow_layer(rng: Rng) -> Floats:
    """Return falling snow (6, H, W), 0..1."""
    return _slice(_flakes(), rng)


def _slice(layer: Floats, rng: Rng) -> Floats:
    """Cut six pictures from a large fixed layer, at random places."""
    pieces = []
    for _ in range(VIEWS):
        row, column = rng.integers(layer.shape[0] - HEIGHT), rng.integers(layer.shape[1] - WIDTH)
        pieces.append(layer[row : row + HEIGHT, column : column + WIDTH])
    return np.stack(pieces)


@lru_cache(maxsize=1)
def _streaks() -> Floats:
    """Return a layer (640, 1024) of falling rain, 0..1."""
    rng = np.random.default_rng(80)
    layer = np.zeros((640, 1024), np.float32)
    for _ in range(5200):
        length, lean = rng.integers(6, 22), rng.normal(0.12, 0.03)
        row, column = rng.integers(640 - length), rng.integers(8, 1008)
        steps = np.arange(length)
        layer[row + steps, column + (lean * steps).astype(int)] += rng.uniform(0.15, 0.9) * np.sin(
            np.pi * (steps + 1) / (length + 1)
        )
    return np.minimum(layer, 1)


@lru_cache(maxsize=1)
def _flakes() -> Floats:
    """Return a layer (640, 1024) of falling snow, 0..1: many far flakes, few near ones."""
    rng = np.random.default_rng(81)
    layer = np.zeros((640, 1024), np.float32)
    for _ in range(9000):
        radius = min(0.5 + rng.pareto(2.2) * 0.5, 5.0)
        reach = int(np.ceil(radius + 1))
        row, column = rng.integers(reach, 640 - reach), rng.integers(reach, 1024 - reach)
        v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        stretch = rng.uniform(0.6, 0.9)
        disc = np.clip(radius + 0.5 - np.hypot(u, v * stretch), 0, 1) * min(0.9, 1.1 / radius + 0.2)
        part = layer[row - reach : row + reach + 1, column - reach : column + reach + 1]
        np.maximum(part, disc.astype(np.float32), out=part)
    return layer


def lens_drops(image: Floats, severity: float, rng: Rng) -> None:
    """Lay drops on the lenses; through one everything is a blur."""
    blurred = spread(image, 0)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for view in range(VIEWS):
        for _ in range(rng.poisson(9 * severity)):
            radius = min(4 + rng.pareto(2.5) * 5, 20)
            row, column = rng.uniform(0, HEIGHT), rng.uniform(0, WIDTH)
            top, left = max(int(row - radius - 2), 0), max(int(column - radius - 2), 0)
            part = (slice(top, int(row + radius + 3)), slice(left, int(column + radius + 3)))
            gap = np.hypot(v[part] - row, (u[part] - column) * rng.uniform(0.9, 1.2))
            cover = np.clip((radius - gap) * 0.5, 0, 1) * np.float32(0.9)
            bright = 1 + 0.25 * (row - v[part]) / radius
            pixels = image[:, view][:, part[0], part[1]]
            pixels += cover * (blurred[:, view][:, part[0], part[1]] * bright - pixels)
