"""Rays against solids: candidate pairs from projected windows, one vectorised test a shape, the nearest hit wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic.noise import volume
from lidar2d.data.synthetic.sensors import BEAMS, ELEVATION, STEPS, Floats, Ints, Pinholes
from lidar2d.data.synthetic.solids import Shape, Solids

_CHUNK = 1 << 15  # candidates tested at once, so that temporaries stay in the processor's cache
_NEAR = 0.05  # metres: nothing is seen nearer
_LEAF = 0.22  # metres: size of the holes in porous solids


@dataclass(frozen=True)
class Windows:
    """Rectangles of rays that may hit a solid."""

    solid: Ints  # (W,)
    origin: Ints  # (W,) row of the ray origins
    first: Ints  # (W,) ray at the rectangle's first row and column
    stride: int  # rays from one row to the next
    rows: Ints  # (W,)
    columns: Ints  # (W,)


@dataclass(frozen=True)
class Hits:
    """The nearest solid on each ray."""

    reach: Floats  # (R,) in units of the ray's direction, inf = nothing
    solid: Ints  # (R,) -1 = nothing


def camera_windows(solids: Solids, cameras: Pinholes) -> Windows:
    """Find the pixels whose rays may hit each solid."""
    height, width = cameras.shape
    relative = solids.corners().reshape(1, -1, 3) - cameras.origin[:, None]
    x, y, z = np.moveaxis((relative @ cameras.rotation.transpose(0, 2, 1)).reshape(len(relative), -1, 8, 3), -1, 0)
    near = np.maximum(z, 0.1)
    # a solid that crosses the image plane projects between its corners taken at their own and at the nearest depth
    crossing = (z.min(-1) < 0.1)[..., None]
    nearest = np.where(crossing, np.float32(0.1), near)
    focal = cameras.focal[:, None]

    def span(a: Floats, size: int) -> tuple[Ints, Ints]:
        ratio, extreme = a / near, a / nearest
        low = np.minimum(ratio.min(-1), extreme.min(-1)) * focal + size / 2
        high = np.maximum(ratio.max(-1), extreme.max(-1)) * focal + size / 2
        return (
            np.clip(np.floor(low - 0.5), 0, size).astype(np.int64),
            np.clip(np.ceil(high + 0.5), 0, size).astype(np.int64),
        )

    left, right = span(x, width)
    top, bottom = span(y, height)
    view, solid = np.nonzero((z.max(-1) > 0.1) & (right > left) & (bottom > top))
    left, right, top, bottom = (a[view, solid] for a in (left, right, top, bottom))
    return Windows(solid, view, (view * height + top) * width + left, width, bottom - top, right - left)


def lidar_windows(solids: Solids, origin: Floats) -> Windows:
    """Find the firings that may hit each solid."""
    relative = solids.corners() - origin
    upright = solids.axes[:, 2, 2] > 0.999
    middle = solids.centre - origin
    own = np.abs(np.einsum("pji,pj->pi", solids.axes, middle))[:, :2]
    beside = np.linalg.norm(np.maximum(own - solids.half[:, :2], 0), axis=-1)
    around = np.linalg.norm(middle[:, :2], axis=-1)
    least = np.where(upright, beside, around - np.linalg.norm(solids.half, axis=-1))
    about = least < 0.01  # the solid may reach all round the sensor's axis
    least = np.maximum(least, 0.2)
    most = np.linalg.norm(relative[..., :2], axis=-1).max(-1)
    low, high = relative[..., 2].min(-1), relative[..., 2].max(-1)
    step = (ELEVATION[1] - ELEVATION[0]) / (BEAMS - 1)
    bottom = np.degrees(np.arctan2(low, np.where(low < 0, least, most)))
    top = np.degrees(np.arctan2(high, np.where(high > 0, least, most)))
    first_row = np.clip(np.floor((bottom - ELEVATION[0]) / step), 0, BEAMS).astype(np.int64)
    last_row = np.clip(np.ceil((top - ELEVATION[0]) / step) + 1, 0, BEAMS).astype(np.int64)

    centre = np.arctan2(middle[:, 1], middle[:, 0])
    turn = np.arctan2(relative[..., 1], relative[..., 0]) - centre[:, None]
    turn = np.mod(turn + np.pi, 2 * np.pi) - np.pi
    per_step = STEPS / (2 * np.pi)
    start = np.floor((centre + turn.min(-1) + np.pi) * per_step - 1).astype(np.int64)
    count = np.ceil((turn.max(-1) - turn.min(-1)) * per_step).astype(np.int64) + 3
    count = np.where(about, STEPS, np.minimum(count, STEPS))
    start = np.where(about, 0, start % STEPS)
    head = np.minimum(count, STEPS - start)
    # a window over the seam of the turn becomes two
    solid = np.tile(np.arange(len(solids)), 2)
    columns = np.concatenate([head, count - head])
    first = np.concatenate([start, np.zeros_like(start)]) + np.tile(first_row, 2) * STEPS
    rows = np.tile(last_row - first_row, 2)
    keep = (columns > 0) & (rows > 0)
    return Windows(solid[keep], np.zeros(int(keep.sum()), np.int64), first[keep], STEPS, rows[keep], columns[keep])


def cast(solids: Solids, windows: Windows, rays: Floats, origins: Floats) -> Hits:
    """Find the nearest solid on each ray (3, R); ray origins are (O, 3), one a camera."""
    matrix = solids.unit_from_town()
    start = np.einsum("wij,wj->wi", matrix[windows.solid], origins[windows.origin] - solids.centre[windows.solid])
    best = np.full(rays.shape[1], np.int64(np.float32(np.inf).view(np.int32)) << 32, dtype=np.int64)
    shapes = solids.shape[windows.solid]
    for shape in Shape:
        members = np.nonzero(shapes == shape)[0]
        sizes = (windows.rows * windows.columns)[members]
        for group in np.split(members, np.flatnonzero(np.diff(np.cumsum(sizes) // _CHUNK)) + 1):
            if len(group):
                _test(shape, solids, windows, group, matrix, start, rays, origins, best)
    reach = (best >> 32).astype(np.int32).view(np.float32)
    solid = np.where(np.isfinite(reach), best & 0xFFFFFFFF, -1)
    return Hits(reach, solid)


def _test(
    shape: Shape,
    solids: Solids,
    windows: Windows,
    group: Ints,
    matrix: Floats,
    start: Floats,
    rays: Floats,
    origins: Floats,
    best: Ints,
) -> None:
    rows, columns = windows.rows[group], windows.columns[group]
    sizes = rows * columns
    line = np.repeat(np.arange(len(group)), rows)
    row = np.arange(len(line)) - np.repeat(np.cumsum(rows) - rows, rows)
    width = columns[line]
    head = windows.first[group][line] + row * windows.stride - (np.cumsum(width) - width)
    ray = np.repeat(head, width) + np.arange(int(sizes.sum()))
    solid = windows.solid[group]

    town = [rays[i][ray] for i in range(3)]
    along: list[Floats] = []
    for i in range(3):
        m = matrix[solid, i]
        total = np.repeat(m[:, 0], sizes) * town[0]
        total += np.repeat(m[:, 1], sizes) * town[1]
        total += np.repeat(m[:, 2], sizes) * town[2]
        along.append(total)
    at = [np.repeat(start[group, i], sizes) for i in range(3)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if shape == Shape.WEDGE:
            near, far = _wedge(at, along, [np.repeat(solids.taper[solid, i], sizes) for i in range(3)])
        else:
            near, far = _TESTS[shape](at, along)
        hit = (near < far) & (near > _NEAR)
    chosen = np.flatnonzero(hit)
    if not len(chosen):
        return
    ray, near, far = ray[chosen], near[chosen], far[chosen]
    candidate = np.repeat(np.arange(len(group)), sizes)[chosen]
    owner = solid[candidate]
    if shape == Shape.ELLIPSOID:
        near = _leaves(near, far, ray, solids.porous[owner], rays, origins, windows.origin[group][candidate])
    key = (near.view(np.int32).astype(np.int64) << 32) | owner
    np.minimum.at(best, ray, key)


def _leaves(
    near: Floats, far: Floats, ray: Ints, porous: Floats, rays: Floats, origins: Floats, origin: Ints
) -> Floats:
    """Let rays through the holes of a crown: to its far side, or out of it."""
    found = near.copy()
    rows = np.flatnonzero(porous > 0)
    for reach in (near, far):
        cell = [
            np.floor((origins[origin[rows], i] + reach[rows] * rays[i][ray[rows]]) * (1 / _LEAF)).astype(np.int64) & 31
            for i in range(3)
        ]
        hole = volume()[cell[0], cell[1], cell[2]] < porous[rows]
        found[rows] = np.where(hole, np.float32(np.inf), reach[rows])
        rows = rows[hole]
    return found


def _slab(at: Floats, along: Floats) -> tuple[Floats, Floats]:
    inverse = 1 / along
    middle, half = -at * inverse, np.abs(inverse)
    return middle - half, middle + half


def _box(at: list[Floats], along: list[Floats]) -> tuple[Floats, Floats]:
    near, far = _slab(at[0], along[0])
    for i in (1, 2):
        low, high = _slab(at[i], along[i])
        np.maximum(near, low, out=near)
        np.minimum(far, high, out=far)
    return near, far


def _disc(at: list[Floats], along: list[Floats]) -> tuple[Floats, Floats]:
    """Return where rays are within one unit of the origin of the given axes."""
    inverse = 1 / sum(a * a for a in along)
    closest = -sum(p * a for p, a in zip(at, along, strict=True)) * inverse
    # the closest point, not the discriminant: it stays exact for far origins in single precision
    gap = sum(np.square(p + closest * a) for p, a in zip(at, along, strict=True))
    half = np.sqrt((1 - gap) * inverse)
    return closest - half, closest + half


def _cylinder(at: list[Floats], along: list[Floats]) -> tuple[Floats, Floats]:
    near, far = _disc(at[:2], along[:2])
    low, high = _slab(at[2], along[2])
    return np.maximum(near, low), np.minimum(far, high)


def _wedge(at: list[Floats], along: list[Floats], taper: list[Floats]) -> tuple[Floats, Floats]:
    near, far = _slab(at[2], along[2])
    for axis, sign, lean in ((0, 1, taper[0]), (0, -1, taper[1]), (1, 1, taper[2]), (1, -1, taper[2])):
        slope = lean * np.float32(0.5)
        reach = 1 - slope - slope * at[2] - sign * at[axis]
        speed = slope * along[2] + sign * along[axis]
        reach /= speed
        entering = speed < 0
        np.maximum(near, np.where(entering, reach, near), out=near)
        np.minimum(far, np.where(entering, far, reach), out=far)
    return near, far


_TESTS = {Shape.BOX: _box, Shape.ELLIPSOID: _disc, Shape.CYLINDER: _cylinder}


@dataclass(frozen=True)
class Surface:
    """Where rays met solids, in each solid's own coordinates."""

    local: Floats  # (3, n) metres from the solid's centre, along its axes
    face: NDArray[np.int64]  # (n,) own axis that the surface looks along
    normal: Floats  # (3, n) unit, town frame


def surface(solids: Solids, solid: Ints, xyz: Floats) -> Surface:
    """Describe the surfaces at hits (3, n) on the given solids (n,)."""
    offset = xyz - solids.centre[solid].T
    axes = solids.axes[solid]
    local = np.einsum("nji,jn->in", axes, offset)
    unit = local / solids.half[solid].T
    shape = solids.shape[solid]
    sides = np.abs(unit)
    wedge = np.flatnonzero(shape == Shape.WEDGE)
    lean = solids.taper[solid[wedge]].T * np.float32(0.5)
    rise = unit[2, wedge]
    ahead = unit[0, wedge] > 0
    forward = np.where(ahead, lean[0], lean[1])
    sides[0, wedge] += forward * (1 + rise)
    sides[1, wedge] += lean[2] * (1 + rise)
    cylinder = shape == Shape.CYLINDER
    capped = np.where(sides[2] > 0.999, np.int64(2), np.int64(0))
    face = np.where(cylinder, capped, sides.argmax(0))
    normal = np.where(np.arange(3)[:, None] == face, np.sign(unit), np.float32(0)).astype(np.float32)
    scale = solids.half[solid].T
    normal[2, wedge] += np.where(face[wedge] == 0, forward, np.where(face[wedge] == 1, lean[2], 0))
    round_side = np.flatnonzero((shape == Shape.ELLIPSOID) | (cylinder & (face != 2)))
    normal[:, round_side] = unit[:, round_side]
    normal[2, np.flatnonzero(cylinder & (face != 2))] = 0
    normal /= scale
    normal = np.einsum("nij,jn->in", axes, normal)
    normal /= np.sqrt(np.square(normal).sum(0))
    return Surface(local, face, normal)
