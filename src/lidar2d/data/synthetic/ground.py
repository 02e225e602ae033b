"""The ground: bent streets with kerbs, marks, crossings and islands, as closed-form zones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.sensors import Floats, Ints
from lidar2d.data.synthetic.solids import LABEL, Vector

KERB = 0.13  # metres: everything but the road stands this much higher
ROAD, FLAT, WALK, TERRAIN = (LABEL[n] for n in ("driveable_surface", "other_flat", "sidewalk", "terrain"))
_REACH = 200.0  # metres: the ground ends here


@dataclass(frozen=True)
class Street:
    """A street along a parabola: lateral = n . p - shift + bend / 2 * along ** 2."""

    yaw: float  # radians: the direction of the street
    shift: float  # metres
    bend: float  # 1 / metres
    half_width: float  # metres: centre to kerb
    lanes: int
    median: float  # metres: half width of the island between the directions, 0 = none
    verge: float  # metres of terrain between kerb and sidewalk
    walk: float  # metres of sidewalk
    crossings: tuple[float, ...]  # metres along the street
    start: float = -300.0  # metres along: a street that ends here begins at a junction

    def along_lateral(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return metres along the street and metres left of its centre line."""
        c, s = np.float32(np.cos(self.yaw)), np.float32(np.sin(self.yaw))
        along = c * x + s * y
        return along, c * y - s * x - np.float32(self.shift) + np.float32(self.bend / 2) * along * along

    def at(self, along: float, lateral: float) -> tuple[float, float, float]:
        """Return x, y and the street's yaw at a place."""
        left = lateral + self.shift - self.bend / 2 * along * along
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return c * along - s * left, s * along + c * left, self.yaw - math.atan(self.bend * along)

    @property
    def edge(self) -> float:
        """Metres from the centre line to the far side of the sidewalk."""
        return self.half_width + self.verge + self.walk


@dataclass(frozen=True)
class Patch:
    """A rectangle or ellipse of other ground."""

    x: float
    y: float
    yaw: float
    half_length: float
    half_width: float
    zone: int
    rounded: bool
    over_road: bool  # or only over what is no road

    def inside(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Return which places lie inside."""
        c, s = np.float32(np.cos(self.yaw)), np.float32(np.sin(self.yaw))
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        u = np.abs(c * dx + s * dy) * np.float32(1 / self.half_length)
        v = np.abs(c * dy - s * dx) * np.float32(1 / self.half_width)
        result: NDArray[np.bool_] = (u * u + v * v < 1) if self.rounded else (np.maximum(u, v) < 1)
        return result


@dataclass(frozen=True)
class GroundPaint:
    """Reflectances of a town's ground."""

    road: Vector
    walk: Vector
    flat: Vector
    terrain: Vector
    terrain_accent: Vector
    mark: Vector
    slab: float  # metres: side of the paving slabs
    setts: float  # metres: side of the stones on islands and squares
    infrared: tuple[float, float, float, float]  # road, flat, walk, terrain


@dataclass(frozen=True)
class Ground:
    """All of a town's ground."""

    streets: tuple[Street, ...]
    patches: tuple[Patch, ...]
    outside: int  # the zone beyond the sidewalks

    def zones(self, x: Floats, y: Floats) -> Ints:
        """Return the class at each place."""
        gap = np.full(x.shape, np.inf, np.float32)
        zone = np.full(x.shape, self.outside, np.int64)
        island = np.zeros(x.shape, bool)
        for street in self.streets:
            along, lateral = street.along_lateral(x, y)
            lateral = np.abs(lateral)
            beside = lateral - np.float32(street.half_width)
            if street.start > -300:
                beside = np.maximum(beside, np.float32(street.start) - along)
            if street.median > 0:
                # an island ends before each crossing
                open_at = np.min([np.abs(along - np.float32(c)) for c in street.crossings or (1e4,)], axis=0)
                island = (lateral < street.median) & (open_at > 3)
            better = beside < gap
            verge, edge = np.float32(street.verge), np.float32(street.verge + street.walk)
            kind = np.where(beside < verge, TERRAIN, np.where(beside < edge, WALK, self.outside))
            zone = np.where(better & (beside > 0), kind, zone)
            gap = np.minimum(gap, beside)
            island &= gap >= beside
        zone = np.where(gap < 0, ROAD, zone)
        for patch in self.patches:
            covered = patch.inside(x, y)
            if not patch.over_road:
                covered &= gap > 0
            zone[covered] = patch.zone
        zone[island] = FLAT
        return zone

    def marks(self, x: Floats, y: Floats, footprint: Floats) -> Floats:
        """Return the share 0..1 of each place that is painted; thin paint fades before it aliases."""
        paint = np.zeros_like(x)
        roads = np.zeros(x.shape, np.int64)

        def line(distance: Floats, width: float, along: Floats, dash: float) -> Floats:
            cover = np.clip((width / 2 - np.abs(distance)) / footprint + 0.5, 0, 1)
            cover *= np.minimum(1, width / footprint)
            if dash > 0:
                cover *= np.mod(along, 2 * dash) < dash
            return cover

        for street in self.streets:
            along, lateral = street.along_lateral(x, y)
            on_road = (np.abs(lateral) < street.half_width) & (along > street.start)
            cover = np.zeros_like(x)
            if street.lanes > 0:
                step = 2 * street.half_width / street.lanes
                nearest = np.clip(np.round(lateral / step + street.lanes / 2), 1, street.lanes - 1) - street.lanes / 2
                dash = np.where(np.abs(nearest) < 0.01, 0.0, 1.0)
                solid = line(lateral - nearest * step, 0.22, along, 0.0)
                dashed = line(lateral - nearest * step, 0.18, along, 3.0)
                cover = np.where(dash > 0, dashed, solid)
                cover = np.maximum(cover, line(np.abs(lateral) - (street.half_width - 0.4), 0.15, along, 0.0))
            for crossing in street.crossings:
                away = np.abs(along - np.float32(crossing))
                stripes = (np.mod(lateral, 1.1) < 0.55) * np.minimum(1, 0.55 / footprint)
                cover = np.where(away < 5.0, np.where(away < 1.6, stripes, 0), cover)
            paint = np.where(on_road, np.maximum(paint, cover), paint)
            roads += on_road
        # no lines where streets cross
        return np.where(roads > 1, np.float32(0), paint)

    def cast(self, rays: Floats, origins: Floats) -> tuple[Floats, Ints, NDArray[np.bool_]]:
        """Find where rays (3, R) from origins (3, R) or (3, 1) meet the ground.

        Returns:
            lengths (inf where they miss), classes (-1 where they miss), and which hits are on a kerb's face.
        """
        down = np.flatnonzero(rays[2] < -1e-3)
        x0, y0, z0 = (np.broadcast_to(o, rays.shape[1:])[down] for o in origins)
        dx, dy, dz = (r[down] for r in rays)
        upper, lower = (KERB - z0) / dz, -z0 / dz
        zone = self.zones(x0 + upper * dx, y0 + upper * dy)
        reach = upper
        on_road = np.flatnonzero(zone == ROAD)
        below = self.zones((x0 + lower * dx)[on_road], (y0 + lower * dy)[on_road])
        reach[on_road] = lower[on_road]
        zone[on_road] = below
        # over the road at kerb height, inside the pavement at road height: the ray meets the kerb's face between
        face = on_road[below != ROAD]
        near, far = (KERB - z0[face]) / dz[face], lower[face]
        for _ in range(6):
            middle = (near + far) / 2
            inside = self.zones(x0[face] + middle * dx[face], y0[face] + middle * dy[face]) != ROAD
            near, far = np.where(inside, near, middle), np.where(inside, middle, far)
        reach[face] = far
        lengths = np.full(rays.shape[1], np.inf, np.float32)
        classes = np.full(rays.shape[1], -1, np.int64)
        kerb = np.zeros(rays.shape[1], bool)
        seen = (np.square(dx * reach) + np.square(dy * reach)) < _REACH**2
        lengths[down[seen]] = reach[seen]
        classes[down[seen]] = zone[seen]
        kerb[down[face]] = True
        return lengths, classes, kerb
