"""Textures: what a surface reflects, in the light that cameras see, at each place on it.

Every pattern is drawn in metres and fades, or grows coarser, as a pixel's footprint outgrows it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lidar2d.data.synthetic.ground import FLAT, ROAD, TERRAIN, WALK, Ground, GroundPaint
from lidar2d.data.synthetic.noise import grain, toss
from lidar2d.data.synthetic.raycast import Surface
from lidar2d.data.synthetic.sensors import Floats, Ints
from lidar2d.data.synthetic.solids import Solids, Texture

GLASS_INFRARED = 0.03  # panes send most of the LiDAR's light elsewhere


def _fade(size: float | Floats, footprint: Floats) -> Floats:
    """Return how much of a pattern of a size survives a footprint, 0..1."""
    kept: Floats = np.clip(1.6 * size / footprint - 0.6, 0, 1)
    return kept


def _joints(
    u: Floats, v: Floats, width: float | Floats, height: float | Floats, footprint: Floats, bond: bool
) -> Floats:
    """Return the share 0..1 of joint in a wall or floor of stones."""
    row = np.floor(v / height)
    shifted = u + 0.5 * width * np.mod(row, 2) if bond else u
    thin = np.maximum(0.03, 0.6 * footprint)
    across = np.abs(shifted / width - np.round(shifted / width)) * width
    up = np.abs(v / height - np.round(v / height)) * height
    cover: Floats = np.maximum(across < thin, up < thin) * np.minimum(1, 0.04 / thin)
    return cover


def paint_ground(ground: Ground, paint: GroundPaint, zone: Ints, xy: Floats, footprint: Floats) -> Floats:
    """Return the reflectance (3, n) of the ground at places (2, n)."""
    x, y = xy
    n = len(x)
    lookup = np.zeros((4, 3), np.float32)
    order = {ROAD: 0, FLAT: 1, WALK: 2, TERRAIN: 3}
    for key, colour in ((ROAD, paint.road), (FLAT, paint.flat), (WALK, paint.walk), (TERRAIN, paint.terrain)):
        lookup[order[key]] = colour
    colour = lookup[zone - ROAD].T.copy()
    fine = grain(x, y, footprint, 0.06)
    broad = grain(x, y, footprint, 0.4, 1.0)
    gain = np.ones(n, np.float32)

    road = np.flatnonzero(zone == ROAD)
    gain[road] += 0.07 * fine[road] + 0.1 * broad[road]
    street = ground.streets[0]
    _, lateral = street.along_lateral(x[road], y[road])
    gain[road] *= 1 - 0.12 * np.exp(-np.square(np.mod(lateral, 3.4) - 1.7) * 3)  # oil and tyres darken the lanes
    cracks = np.abs(grain(x[road] + 7, y[road], footprint[road], 0.12, 1.5)) < 0.05
    gain[road] *= 1 - 0.35 * cracks * _fade(0.25, footprint[road])
    marks = ground.marks(x[road], y[road], footprint[road]) * (0.75 + 0.15 * np.clip(broad[road], -1.5, 1.5))
    for c in range(3):
        colour[c, road] += marks * (paint.mark[c] - colour[c, road])

    for kind, size, bond in ((WALK, paint.slab, True), (FLAT, paint.setts, False)):
        rows = np.flatnonzero(zone == kind)
        if not len(rows):
            continue
        angle = np.float32(street.yaw + (0.6 if kind == FLAT else 0.0))
        u = np.cos(angle) * x[rows] + np.sin(angle) * y[rows]
        v = np.cos(angle) * y[rows] - np.sin(angle) * x[rows]
        foot = footprint[rows]
        if kind == FLAT:
            checks = np.mod(np.floor(u / (4 * size)) + np.floor(v / (4 * size)), 2) * 0.5 - 0.25
        else:
            checks = np.zeros_like(u)
        stone = toss(u / size, v / size) - 0.5
        pattern = 1 + 0.3 * stone * _fade(size, foot) + 0.6 * checks * _fade(4 * size, foot)
        pattern -= 0.75 * _joints(u, v, size, size, foot, bond)
        gain[rows] = pattern + 0.05 * fine[rows] + 0.05 * broad[rows]

    rows = np.flatnonzero(zone == TERRAIN)
    patchy = np.clip(0.5 + 0.5 * grain(x[rows], y[rows], footprint[rows], 0.3, 1.2), 0, 1)
    for c in range(3):
        colour[c, rows] += patchy * (paint.terrain_accent[c] - colour[c, rows])
    blades = grain(x[rows], 0.4 * y[rows], footprint[rows], 0.09)
    gain[rows] = 1 + 0.34 * blades + 0.16 * grain(x[rows], y[rows], footprint[rows], 0.5)
    painted: Floats = colour * np.clip(gain, 0.15, 2.2)
    return painted


def paint_solids(
    solids: Solids, solid: Ints, at: Surface, footprint: Floats, xyz: Floats
) -> tuple[Floats, Floats, Floats]:
    """Paint the places where rays met solids.

    Returns:
        reflectance (3, n), how mirror-like each place is (n,), 0..1, and light given off at night (3, n).
    """
    n = len(solid)
    colour = np.ascontiguousarray(solids.colour[solid].T)
    mirror = np.zeros(n, np.float32)
    glow = np.zeros((3, n), np.float32)
    texture = solids.texture[solid]
    order = np.argsort(texture, kind="stable")
    bounds = np.searchsorted(texture[order], np.arange(len(Texture) + 1))
    for kind in Texture:
        rows = order[bounds[kind] : bounds[kind + 1]]
        if len(rows):
            here = Surface(at.local[:, rows], at.face[rows], at.normal[:, rows])
            spot = _Spot(solids, solid[rows], here, footprint[rows], xyz[:, rows], colour[:, rows])
            _PAINTERS.get(kind, _plain)(spot)
            colour[:, rows], mirror[rows], glow[:, rows] = spot.colour, spot.mirror, spot.glow
    return np.clip(colour, 0.005, 0.98), mirror, glow


class _Spot:
    """Places of one texture, being painted."""

    def __init__(
        self, solids: Solids, solid: Ints, at: Surface, footprint: Floats, xyz: Floats, colour: Floats
    ) -> None:
        self.solid, self.face, self.local, self.normal = solid, at.face, at.local, at.normal
        self.footprint, self.xyz, self.colour = footprint, xyz, colour
        self.half = solids.half[solid].T
        self.accent = np.ascontiguousarray(solids.accent[solid].T)
        self.detail = np.ascontiguousarray(solids.detail[solid].T)
        self.u: Floats = np.where(self.face == 0, self.local[1], self.local[0])  # along the face
        self.v: Floats = np.where(self.face == 2, self.local[1], self.local[2])  # up the face
        self.mirror = np.zeros(len(solid), np.float32)
        self.glow = np.zeros((3, len(solid)), np.float32)

    def mix(self, share: Floats, colour: Floats | tuple[float, float, float]) -> None:
        for c in range(3):
            self.colour[c] += share * (colour[c] - self.colour[c])

    def shine(self, share: Floats, colour: tuple[float, float, float]) -> None:
        for c in range(3):
            self.glow[c] += share * np.float32(colour[c])


def _plain(s: _Spot) -> None:
    s.colour *= 1 + 0.05 * grain(s.u, s.v, s.footprint, 0.1) + 0.05 * grain(s.u, s.v, s.footprint, 0.5, 1.0)


def _facade(s: _Spot) -> None:
    pitch_u, pitch_v, style, flags = s.detail
    brick, shop = np.mod(flags, 2) > 0.5, flags > 1.5
    v = s.local[2] + s.half[2]
    wall = s.face != 2
    windowed = wall & (pitch_v < 50)
    joints = _joints(s.u, v, 0.5, 0.24, s.footprint, True) * brick
    stones = (toss(s.u / 0.5 + 0.5 * np.mod(np.floor(v / 0.24), 2), v / 0.24) - 0.5) * brick
    stain = grain(s.u, v, s.footprint, 0.3, 1.0)
    bricks = 0.5 * stones * _fade(0.35, s.footprint) - 0.5 * joints
    s.colour *= np.clip(1 + bricks + 0.08 * stain + 0.04 * grain(s.u, v, s.footprint, 0.08), 0.2, 2)

    ground_floor = shop & (v < pitch_v)
    column, level = np.floor(s.u / pitch_u + 100.5), np.floor(v / pitch_v)
    du = np.abs(s.u / pitch_u + 100.5 - column - 0.5)
    dv = v / pitch_v - level
    wide = np.where(ground_floor, 0.44, 0.18 + 0.22 * style)
    sill, head = np.where(ground_floor, 0.1, 0.28), np.where(ground_floor, 0.8, 0.86)
    whole = (s.half[2] * 2 - level * pitch_v) > 0.8 * pitch_v
    frame = np.minimum(np.minimum(wide - du, 0.5) * pitch_u, np.minimum(dv - sill, head - dv) * pitch_v)
    pane = windowed & whole & (frame > 0)
    rim = pane & (frame < np.maximum(0.1, 0.4 * s.footprint))
    tone = toss(column, level, s.solid.astype(np.float32))
    glass = np.stack([0.02 + 0.1 * tone, 0.025 + 0.11 * tone, 0.035 + 0.12 * tone])
    s.mix(pane.astype(np.float32), glass)
    s.mix(rim * 0.8, s.accent)
    s.mix((windowed & (np.abs(dv) < 0.06)) * 0.35, s.accent)
    s.mirror = (pane & ~rim) * np.float32(0.5)
    lit = pane & ~rim & (toss(column + 13, level, s.solid.astype(np.float32)) < np.where(ground_floor, 0.6, 0.22))
    s.shine(lit * (0.35 + 0.5 * tone), (1.0, 0.75, 0.42))


def _leaves(s: _Spot) -> None:
    x, y, z = s.xyz
    u, v = x + 0.6 * z, y - 0.7 * z
    clumps = (
        grain(u, v, s.footprint, 0.5) * 0.22
        + grain(u, v, s.footprint, 0.18) * 0.34
        + grain(v, u, s.footprint, 0.07) * 0.2
    )
    low = np.clip(s.local[2] / s.half[2], -1, 1)
    s.colour *= np.clip(0.95 + clumps + 0.25 * low, 0.12, 2.2)
    s.colour[0] *= 1 + 0.15 * grain(u, v, s.footprint, 0.3)


def _body(s: _Spot) -> None:
    length, width, seed, _ = s.detail
    x, y, z = s.local
    low = z < -0.45 * s.half[2]
    s.mix(low * 0.75, s.accent)
    end = s.face == 0
    front = end & (x > 0)
    lamp = end & (np.abs(y) > 0.58 * width) & (z > -0.05 * s.half[2]) & (z < 0.75 * s.half[2])
    s.mix((lamp & front) * 0.85, (0.75, 0.75, 0.72))
    s.mix((lamp & ~front) * 0.85, (0.45, 0.02, 0.02))
    s.mix((front & (np.abs(y) < 0.5 * width) & ~low & (seed > 0.3)) * 0.7, s.accent)
    s.mix((end & low & (np.abs(y) < 0.28)) * 0.9, (0.6, 0.6, 0.55))
    door = (s.face == 1) & (np.abs(np.mod(x / (0.5 * length) + 0.25, 1) - 0.5) < 0.02 + 0.15 * s.footprint)
    s.mix(door * 0.5, s.accent)
    s.mirror = np.where(low, 0.05, 0.25).astype(np.float32)
    on = seed > 0.35
    s.shine(lamp & front & on, (3.0, 2.9, 2.6))
    s.shine(lamp & ~front & on, (1.0, 0.04, 0.03))


def _cabin(s: _Spot) -> None:
    length, _, half, seed = s.detail
    x, z = s.local[0], s.local[2]
    roof = (s.face == 2) | (z > 0.82 * half)
    sides = s.face == 1
    pillar = sides & (np.abs(np.mod(x / length + 0.1 + 0.3 * seed, 0.9) - 0.45) < 0.06)
    edge = np.abs(np.where(sides, x, s.local[1])) > 0.94 * np.where(sides, length, s.half[1])
    pane = ~(roof | pillar | edge)
    s.mix(pane.astype(np.float32), s.accent)
    s.mirror = np.where(pane, 0.45, 0.25).astype(np.float32)


def _coach(s: _Spot) -> None:
    length, width, half, pitch = s.detail
    x, y, z = s.local
    sides = s.face == 1
    band = (z > -0.1 * half) & (z < 0.66 * half)
    s.mix(((z < -0.35 * half) | (z > 0.8 * half)).astype(np.float32) * (s.face != 2), s.accent)
    post = np.abs(np.mod(x / pitch, 1) - 0.5) < 0.06
    pane = (sides & band & ~post & (np.abs(x) < 0.96 * length)) | (
        (s.face == 0) & (z > -0.35 * half) & (z < 0.6 * half) & (np.abs(y) < 0.85 * width)
    )
    door = sides & (np.abs(np.abs(x) - 0.62 * length) < 0.6) & (z < 0.6 * half) & (y < 0)
    pane |= door & ~post
    s.mix(pane.astype(np.float32), (0.04, 0.045, 0.055))
    sign = (s.face == 0) & (z > 0.68 * half) & (np.abs(y) < 0.7 * width)
    s.mix(sign * 0.8, (0.03, 0.03, 0.03))
    lamp = (s.face == 0) & (np.abs(y) > 0.7 * width) & (z < -0.55 * half) & (z > -0.8 * half)
    s.mix(lamp * 0.9, (0.7, 0.6, 0.5))
    s.mirror = np.where(pane, 0.45, 0.2).astype(np.float32)
    s.shine(pane * 0.45, (0.95, 1.0, 0.9))
    s.shine(lamp & (x > 0), (3.0, 2.9, 2.6))
    s.shine((lamp & (x < 0)) | sign, (1.0, 0.15, 0.03))


def _wheel(s: _Spot) -> None:
    radius = np.hypot(s.local[0], s.local[1]) / s.half[0]
    cycle = s.detail[3] > 0.5
    rim = (s.face == 2) & np.where(cycle, (radius < 0.8) & (radius > 0.25), radius < 0.62)
    spokes = np.mod(np.arctan2(s.local[1], s.local[0]) * (6 / (2 * np.pi)), 1) < 0.5
    s.mix(rim * np.where(spokes, 0.9, 0.45), s.accent)
    s.mirror = rim * np.float32(0.15)


def _stripes(s: _Spot) -> None:
    period, slanted, upright, _ = s.detail
    place = np.where(upright > 0.5, s.local[2] + 0.07, s.u + slanted * s.v)
    s.mix((np.mod(place / period, 1) < 0.5) * _fade(0.5 * period, s.footprint), s.accent)
    s.colour *= 1 + 0.06 * grain(s.u, s.v, s.footprint, 0.1)


def _cloth(s: _Spot) -> None:
    folds = grain(2.0 * s.u, s.v, s.footprint, 0.1, 0.5)
    s.colour *= 1 + 0.16 * folds
    s.mix(((s.detail[1] > 0.6) & (np.abs(s.local[2]) < 0.05)) * 0.8, s.accent)


def _slats(s: _Spot) -> None:
    period = s.detail[0]
    gap = np.mod(s.u / period, 1) < 0.22
    tone = toss(s.u / period, s.solid.astype(np.float32)) - 0.5
    keep = _fade(period, s.footprint)
    s.mix(gap * keep * 0.85, s.accent)
    s.colour *= 1 + 0.4 * tone * keep + 0.1 * grain(3.0 * s.u, 0.5 * s.v, s.footprint, 0.1)


def _ribs(s: _Spot) -> None:
    period, framed, _, _ = s.detail
    wave = np.cos(s.u / period * np.float32(2 * np.pi))
    s.colour *= 1 + 0.3 * wave * _fade(0.6 * period, s.footprint) + 0.05 * grain(s.u, s.v, s.footprint, 0.5, 1.0)
    edge = (s.half[2] - np.abs(s.local[2]) < 0.18) & (s.face != 2)
    s.mix(edge * 0.8 * (framed > 0.3), s.accent)
    tail = (s.face == 0) & (s.local[0] < 0) & (s.local[2] < -0.8 * s.half[2]) & (np.abs(s.local[1]) > 0.6 * s.half[1])
    s.mix(tail * 0.9, (0.5, 0.02, 0.02))
    s.shine(tail * 0.7, (1.0, 0.04, 0.03))


def _sign(s: _Spot) -> None:
    half_u = np.where(s.face == 0, s.half[1], s.half[0])
    rim = np.minimum(half_u - np.abs(s.u), s.half[2] - np.abs(s.v)) < 0.12 * s.half[2]
    s.mix((rim & (s.face != 2)) * 0.9, s.accent)
    bar = (np.abs(s.v) < 0.2 * s.half[2]) & (np.abs(s.u) < 0.6 * half_u)
    s.mix(bar * 0.8, s.accent)


def _lamp(s: _Spot) -> None:
    signal = s.detail[0] > 0.5
    s.shine((~signal & (s.normal[2] < -0.3)).astype(np.float32), (6.0, 5.2, 3.8))
    which = np.floor((s.local[2] / s.half[2] + 1) * 1.5)
    chosen = np.floor(toss(s.solid.astype(np.float32)) * 3)
    bulb = signal & (which == chosen) & (s.face == 0)
    s.shine(bulb & (which == 2), (2.0, 0.1, 0.05))
    s.shine(bulb & (which == 1), (2.0, 1.2, 0.1))
    s.shine(bulb & (which == 0), (0.1, 2.0, 0.6))
    s.mix(bulb * 0.9, (0.8, 0.4, 0.1))


def _tiles(s: _Spot) -> None:
    rows = np.mod(s.local[2] / 0.3, 1) < 0.3
    s.colour *= 1 - 0.4 * rows * _fade(0.3, s.footprint) + 0.15 * grain(s.u, s.v, s.footprint, 0.25)


_PAINTERS: dict[Texture, Callable[[_Spot], None]] = {
    Texture.FACADE: _facade,
    Texture.LEAVES: _leaves,
    Texture.BODY: _body,
    Texture.CABIN: _cabin,
    Texture.WHEEL: _wheel,
    Texture.STRIPES: _stripes,
    Texture.CLOTH: _cloth,
    Texture.SLATS: _slats,
    Texture.RIBS: _ribs,
    Texture.SIGN: _sign,
    Texture.LAMP: _lamp,
    Texture.COACH: _coach,
    Texture.TILES: _tiles,
}
