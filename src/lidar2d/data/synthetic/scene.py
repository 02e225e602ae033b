"""Casts one town into both sensors, once, for every condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic import light
from lidar2d.data.synthetic.ground import ROAD
from lidar2d.data.synthetic.layout import Layout
from lidar2d.data.synthetic.materials import GLASS_INFRARED, paint_ground, paint_solids
from lidar2d.data.synthetic.raycast import Hits, camera_windows, cast, lidar_windows, surface
from lidar2d.data.synthetic.sensors import (
    HEIGHT,
    MAX_RANGE,
    MOUNT,
    WIDTH,
    Floats,
    Ints,
    camera_rays,
    cameras,
    lidar_rays,
)
from lidar2d.data.synthetic.solids import Texture

PER_VIEW = HEIGHT * WIDTH


@dataclass(frozen=True)
class View:
    """What the cameras' rays met: N = 6 * H * W pixels, view after view."""

    layout: Layout
    rays: Floats  # (3, N) of unit length along the optical axis
    depth: Floats  # (N,) metres along the optical axis, 0 = sky
    stretch: Floats  # (N,) length of the rays
    distance: Floats  # (N,) metres along the ray, inf = sky
    xyz: Floats  # (3, N) town frame; the car's own place where there is sky
    normal: Floats  # (3, N) unit, 0 where there is sky
    labels: Ints  # (N,) -1 = sky
    solid: Ints  # (N,) -1 = ground or sky
    albedo: Floats  # (3, N) linear reflectance
    mirror: Floats  # (N,) share of the sky's light that glass and paint mirror
    glow: Floats  # (3, N) light given off at night
    open_sky: Floats  # (N,) share of the sky's light that arrives

    @property
    def sky(self) -> NDArray[np.bool_]:
        """Which pixels see no surface."""
        empty: NDArray[np.bool_] = self.depth == 0
        return empty


@dataclass(frozen=True)
class Sweep:
    """What the LiDAR's rays met, before noise: n hits."""

    ray: Ints  # (n,) index of the ray
    reach: Floats  # (n,) metres
    labels: Ints  # (n,)
    solid: Ints  # (n,) -1 = ground
    infrared: Floats  # (n,) reflectance at the LiDAR's wavelength
    cosine: Floats  # (n,) of the angle of incidence, 0..1


def _merge(hits: Hits, lengths: Floats, zone: Ints, solid_labels: Ints) -> tuple[Floats, Ints, Ints]:
    on_solid = hits.reach < lengths
    solid = np.where(on_solid, hits.solid, -1)
    return np.minimum(hits.reach, lengths), solid, np.where(on_solid, solid_labels[solid], zone)


def _kerb_normal(rays: Floats) -> Floats:
    """A kerb's face looks back along the ray, level: near enough for the few pixels it fills."""
    normal = np.stack([-rays[0], -rays[1], np.zeros_like(rays[0])])
    result: Floats = normal / np.sqrt(np.square(normal).sum(0))
    return result


def see(layout: Layout) -> View:
    """Cast the town into the cameras."""
    rig, rays, solids = cameras(), camera_rays(), layout.solids
    n = rays.shape[1]
    hits = cast(solids, camera_windows(solids, rig), rays, rig.origin)
    origins = np.repeat(rig.origin.T, PER_VIEW, axis=1)
    lengths, zone, kerb = layout.ground.cast(rays, origins)
    reach, solid, labels = _merge(hits, lengths, zone, solids.label)
    seen = np.isfinite(reach)
    depth = np.where(seen, reach, np.float32(0))
    xyz = origins + rays * depth
    stretch = np.sqrt(np.square(rays).sum(0))
    distance = np.where(seen, depth * stretch, np.float32(np.inf))
    footprint = (depth / np.repeat(rig.focal, PER_VIEW)).astype(np.float32)

    albedo, normal, glow = (np.zeros((3, n), np.float32) for _ in range(3))
    mirror = np.zeros(n, np.float32)
    floor = np.flatnonzero(seen & (solid < 0))
    albedo[:, floor] = paint_ground(layout.ground, layout.paint, labels[floor], xyz[:2, floor], footprint[floor])
    normal[2, floor] = 1
    faces = floor[kerb[floor]]
    normal[:, faces] = _kerb_normal(rays[:, faces])
    body = np.flatnonzero(solid >= 0)
    at = surface(solids, solid[body], xyz[:, body])
    normal[:, body] = at.normal
    albedo[:, body], mirror[body], glow[:, body] = paint_solids(solids, solid[body], at, footprint[body], xyz[:, body])
    shiny = body[mirror[body] > 0]
    facing = (rays[:, shiny] * normal[:, shiny]).sum(0)
    up = (rays[2, shiny] - 2 * facing * normal[2, shiny]) / stretch[shiny]  # of the mirrored ray
    mirror[shiny] *= 0.06 + 0.45 * np.clip(up * 1.6 + 0.2, 0, 1)
    zenith = np.array([0.02, 0.015, 1.0]) / np.linalg.norm([0.02, 0.015, 1.0])
    # asked half a metre off each surface, which would shade itself otherwise
    covered = light.reached(solids, zenith, xyz + np.float32(0.5) * normal, 60.0, (150, 150))
    open_sky = (0.35 + 0.65 * covered) * (0.62 + 0.38 * normal[2])
    return View(layout, rays, depth, stretch, distance, xyz, normal, labels, solid, albedo, mirror, glow, open_sky)


def scan(layout: Layout) -> Sweep:
    """Cast the town into the LiDAR."""
    rays, solids = lidar_rays(), layout.solids
    origin = np.array([[0, 0, MOUNT]], np.float32)
    hits = cast(solids, lidar_windows(solids, origin[0]), rays, origin)
    lengths, zone, kerb = layout.ground.cast(rays, origin.T)
    reach, solid, labels = _merge(hits, lengths, zone, solids.label)
    ray = np.flatnonzero(reach < MAX_RANGE)
    reach, solid, labels, kerb = reach[ray], solid[ray], labels[ray], kerb[ray]
    along = rays[:, ray]
    xyz = origin.T + along * reach
    normal = np.zeros_like(xyz)
    normal[2] = 1
    normal[:, kerb] = _kerb_normal(along[:, kerb])
    infrared = np.zeros(len(ray), np.float32)
    floor, body = np.flatnonzero(solid < 0), np.flatnonzero(solid >= 0)
    shades = np.array(layout.paint.infrared, np.float32)
    infrared[floor] = shades[labels[floor] - ROAD]
    marks = layout.ground.marks(xyz[0, floor], xyz[1, floor], np.full(len(floor), 0.08, np.float32))
    infrared[floor] += marks * (labels[floor] == ROAD) * 0.45
    at = surface(solids, solid[body], xyz[:, body])
    normal[:, body] = at.normal
    infrared[body] = solids.infrared[solid[body]]
    glass = _panes(layout, solid[body], at.local, at.face)
    infrared[body[glass]] = GLASS_INFRARED
    cosine = np.abs((normal * along).sum(0))
    return Sweep(ray, reach, labels, solid, infrared, cosine)


def _panes(layout: Layout, solid: Ints, local: Floats, face: Ints) -> NDArray[np.bool_]:
    """Tell which LiDAR hits are on a vehicle's glass."""
    solids = layout.solids
    texture, half = solids.texture[solid], solids.half[solid, 2]
    cabin = (texture == Texture.CABIN) & (face != 2) & (local[2] < 0.75 * half)
    band = (texture == Texture.COACH) & (face != 2) & (local[2] > -0.05 * half) & (local[2] < 0.6 * half)
    panes: NDArray[np.bool_] = cabin | band
    return panes
