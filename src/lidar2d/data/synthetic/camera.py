"""Pictures of one town by day, at dusk, at night, in rain, fog and snow: light, air, lens and sensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic import light
from lidar2d.data.synthetic.ground import ROAD, TERRAIN
from lidar2d.data.synthetic.lidar import fog_visibility
from lidar2d.data.synthetic.noise import SIZE, grain, look_up, tile
from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.scene import PER_VIEW, View
from lidar2d.data.synthetic.sensors import HEIGHT, WIDTH, Floats

VIEWS = 6
_GRID = (3, VIEWS, HEIGHT, WIDTH)
Bytes = NDArray[np.uint8]


# -- what the sensor does --


@lru_cache(maxsize=1)
def _white() -> Floats:
    """Return two million normal numbers; a slice at a random place is a picture's noise."""
    return np.random.default_rng(79).standard_normal(1 << 21, dtype=np.float32)


def _noise(rng: Rng) -> Floats:
    size = int(np.prod(_GRID))
    start = int(rng.integers(len(_white()) - size))
    return _white()[start : start + size].reshape(_GRID)


def _soften(image: Floats, side: float) -> Floats:
    """Blur by the lens: each pixel takes ``side`` of the light of each neighbour."""
    middle = np.float32(1 - 2 * side)
    for axis in (-1, -2):
        ahead = np.moveaxis(image, axis, -1)
        out = ahead * middle
        out[..., 1:] += side * ahead[..., :-1]
        out[..., :-1] += side * ahead[..., 1:]
        out[..., 0] += side * ahead[..., 0]
        out[..., -1] += side * ahead[..., -1]
        image = np.moveaxis(out, -1, axis)
    return image


def _spread(image: Floats, cells: int) -> Floats:
    """Return a broad blur: means over blocks of 8 x 8 pixels, smoothed and enlarged again."""
    small = image.reshape(*image.shape[:2], HEIGHT // 8, 8, WIDTH // 8, 8).mean((3, 5))
    for _ in range(cells):
        small = _soften(small, 0.3)
    rows, columns = (_ramp(size) for size in (HEIGHT, WIDTH))
    large: Floats = np.matmul(np.matmul(rows, small), columns.T)
    return large


@lru_cache(maxsize=2)
def _ramp(size: int) -> Floats:
    """Return the matrix (size, size / 8) that interpolates linearly between blocks of eight."""
    place = np.clip((np.arange(size) + 0.5) / 8 - 0.5, 0, size // 8 - 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(size // 8)), 0).astype(np.float32)


def _expose(
    radiance: Floats,
    rng: Rng,
    *,
    mean: float,
    photons: float,
    read: float,
    most_gain: float = np.inf,
    blur: float = 0.12,
) -> Bytes:
    """Expose each camera towards a mean level 0..255, with shot and read noise.

    Args:
        radiance: (3, N) linear light.
        rng: source of the noise and of the white balance.
        mean: the level that auto-exposure aims at.
        photons: collected by a pixel at radiance 1.
        read: noise in photons.
        most_gain: auto-exposure's limit: radiance 1 becomes at most this.
        blur: light that each neighbour takes.
    """
    image = _soften(np.maximum(radiance.reshape(_GRID), 0), blur)
    level = np.minimum(image, 4 * np.median(image) + 0.02).mean((0, 2, 3))
    aim = (mean / 255) ** 2 * 1.15
    gain = np.minimum(aim / np.maximum(level, 1e-6), most_gain).astype(np.float32)[:, None, None]
    gain *= rng.uniform(0.9, 1.12)
    deviation = np.sqrt((image + np.float32(read * read / photons)) * np.float32(1 / photons))
    image += deviation * _noise(rng)
    balance = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    image *= gain * (balance / balance.mean())[:, None, None, None]
    np.maximum(image, 0, out=image)
    image *= (1 + image * np.float32(0.12)) / (1 + 0.35 * image)  # highlights roll off
    np.sqrt(image, out=image)
    image *= 255
    np.minimum(image, 255, out=image)
    return np.ascontiguousarray(image.astype(np.uint8).transpose(1, 0, 2, 3))


# -- what the light does --


def _towards(azimuth: float, elevation: float) -> NDArray[np.float64]:
    return np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])


def _rgb(*values: float) -> Floats:
    return np.array(values, np.float32)[:, None]


def _sunlit(view: View, towards: NDArray[np.float64], metres: float, shape: tuple[int, int]) -> Floats:
    facing = np.maximum(towards.astype(np.float32) @ view.normal, 0)
    reached: Floats = facing * light.reached(view.layout.solids, towards, view.xyz, metres, shape)
    return reached


def _heavens(
    view: View, radiance: Floats, zenith: Floats, horizon: Floats, clouds: float, cloud: Floats, rng: Rng
) -> None:
    """Paint the sky's pixels: a gradient with clouds."""
    rows = np.flatnonzero(view.sky)
    if not len(rows):
        return
    x, y, z = view.rays[:, rows]
    up = z / np.sqrt(x * x + y * y + z * z)
    high = np.sqrt(np.clip(up, 0, 1))
    colour = horizon + (zenith - horizon) * high
    if clouds > 0:
        flat = 1 / np.maximum(up, 0.04)
        u, v = x * flat * 22 + rng.uniform(0, SIZE), y * flat * 22 + rng.uniform(0, SIZE)
        cover = np.clip((look_up(tile(1.6, 3), u, v) - 1.2 + 2.2 * clouds) * 0.9, 0, 1) * np.clip(up * 8, 0, 1)
        colour = colour + (cloud - colour) * cover
    radiance[:, rows] = colour


def _reflections(view: View, radiance: Floats, sky: Floats) -> None:
    """Add what glass and paint mirror: the sky, or what is dark below it."""
    rows = np.flatnonzero(view.mirror > 0)
    ray, normal = view.rays[:, rows], view.normal[:, rows]
    along = (ray * normal).sum(0)
    up = (ray[2] - 2 * along * normal[2]) / np.sqrt(np.square(ray).sum(0))
    radiance[:, rows] += view.mirror[rows] * (0.08 + 0.5 * np.clip(up * 2 + 0.3, 0, 1)) * sky


def _haze(view: View, radiance: Floats, visibility: float, air: Floats) -> Floats:
    """Mix in air light by Koschmieder's law; ``visibility`` in metres leaves 2 % of the contrast."""
    sight = np.exp(np.minimum(view.distance, 400.0) * np.float32(-3.912 / visibility))
    return radiance * sight + air * (1 - sight)


def _overcast(view: View, strength: Floats, sky: Floats, albedo: Floats | None = None) -> Floats:
    radiance: Floats = (view.albedo if albedo is None else albedo) * (view.open_sky * strength)
    _reflections(view, radiance, sky)
    return radiance


# -- the conditions --


def day(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures (6, 3, H, W) in clear sunlight."""
    elevation = np.radians(rng.uniform(25, 65))
    towards = _towards(rng.uniform(-np.pi, np.pi), elevation)
    sun = _rgb(1.0, 0.93, 0.82) * np.float32(rng.uniform(0.7, 1.5))
    sky = _rgb(0.4, 0.5, 0.68) * np.float32(rng.uniform(0.8, 1.2))
    lit = _sunlit(view, towards, 84.0, (260, 320))
    radiance = view.albedo * (sun * lit + sky * view.open_sky)
    _reflections(view, radiance, sky)
    horizon = _rgb(0.72, 0.78, 0.85) * np.float32(rng.uniform(0.7, 1.1))
    radiance = _haze(view, radiance, rng.uniform(500, 2000), horizon)
    zenith = _rgb(0.16, 0.3, 0.62) * np.float32(rng.uniform(0.7, 1.2))
    _heavens(view, radiance, zenith, horizon, rng.uniform(0.0, 0.9), _rgb(0.95, 0.95, 0.95), rng)
    return _expose(radiance, rng, mean=118, photons=9000, read=4)


def dusk(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures under a low sun: long shadows, orange against blue, glare and noise."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(2.5, 9))
    towards = _towards(azimuth, elevation)
    sun = _rgb(1.0, 0.42, 0.13) * np.float32(rng.uniform(0.5, 1.3))
    sky = _rgb(0.16, 0.17, 0.3) * np.float32(rng.uniform(0.5, 1.0))
    lit = _sunlit(view, towards, 100.0, (140, 360))
    radiance = view.albedo * (sun * lit + sky * view.open_sky)
    _reflections(view, radiance, sky)
    radiance += view.glow * np.float32(0.25)
    radiance = _haze(view, radiance, rng.uniform(200, 600), _rgb(0.34, 0.2, 0.16))
    _heavens(
        view, radiance, _rgb(0.1, 0.13, 0.3), _rgb(0.85, 0.4, 0.18), rng.uniform(0.2, 0.9), _rgb(0.45, 0.2, 0.2), rng
    )
    near_sun = np.maximum(towards.astype(np.float32) @ view.rays / np.sqrt(np.square(view.rays).sum(0)), 0)
    veil = np.float32(0.35) * near_sun**6 + np.float32(1.6) * near_sun**60 + np.float32(8) * near_sun**900
    radiance += veil * _rgb(1.0, 0.55, 0.25) * np.float32(rng.uniform(0.5, 1.2))
    return _expose(radiance, rng, mean=rng.uniform(58, 85), photons=rng.uniform(250, 700), read=4)


def night(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures by headlights, street lamps and lit windows, starved of photons."""
    tint = (_rgb(1.0, 0.62, 0.25), _rgb(1.0, 0.85, 0.62), _rgb(0.85, 0.95, 1.0))[rng.integers(3)]
    glimmer = _rgb(0.014, 0.016, 0.024) * np.float32(rng.uniform(0.5, 1.6))
    lamps = light.lamplight(view.xyz, view.normal, view.layout.lamps) * np.float32(rng.uniform(0.3, 1.2))
    head = light.headlights(view.xyz, view.normal) * np.float32(rng.uniform(0.5, 1.0))
    lit = view.open_sky * glimmer + lamps * tint + head * _rgb(1.0, 0.94, 0.82)
    back = np.maximum(-view.xyz[0] - 2, 0)
    lit += (0.5 / (1 + np.square(back) + np.square(view.xyz[1]))) * (back > 0) * _rgb(0.5, 0.04, 0.03)
    radiance = view.albedo * lit
    radiance += view.glow * np.float32(rng.uniform(0.4, 1.0))
    _heavens(view, radiance, _rgb(0.002, 0.003, 0.007), _rgb(0.02, 0.014, 0.012), 0.5, _rgb(0.016, 0.012, 0.012), rng)
    image = radiance.reshape(_GRID)
    lamps_seen = np.maximum(image - np.float32(0.4), 0)
    image += _spread(lamps_seen, 1) * np.float32(0.5) + _spread(lamps_seen, 6) * np.float32(0.35)
    mean, photons = rng.uniform(42, 58), rng.uniform(110, 380)
    return _expose(image, rng, mean=mean, photons=photons, read=2.5, most_gain=5.0, blur=0.16)


def rain(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures in rain: wet mirrors on the road, streaks, drops on the lens."""
    sky = _rgb(0.5, 0.54, 0.6) * np.float32(rng.uniform(0.7, 1.1))
    flat = view.normal[2] > 0.9
    soaked = np.where(flat & (view.solid < 0), np.float32(1 - 0.5 * severity), np.float32(0.9))
    radiance = _overcast(view, _rgb(0.62, 0.66, 0.72), sky, view.albedo * soaked)
    radiance += view.glow * np.float32(0.12)
    _heavens(view, radiance, sky * np.float32(0.8), sky, 0.5, sky * np.float32(1.25), rng)
    _puddles(view, radiance, severity, rng)
    radiance = _haze(view, radiance, 420 - 290 * severity, sky)
    image = radiance.reshape(_GRID)
    _lens_drops(image, severity, rng)
    streaks = _slice(_streaks(), rng)
    image += streaks * np.float32(0.1 + 0.22 * severity)
    image += np.float32(0.06 + 0.1 * severity) * sky[:, :, None, None]
    return _expose(
        image, rng, mean=rng.uniform(70, 105), photons=rng.uniform(400, 1200), read=4, blur=0.14 + 0.07 * severity
    )


def fog(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures in fog of 40 to 120 metres of visibility."""
    visibility = fog_visibility(severity)
    air = (
        _rgb(0.6, 0.62, 0.65)
        * np.float32(rng.uniform(0.8, 1.1))
        * np.exp(rng.normal(0, 0.05, (3, 1))).astype(np.float32)
    )
    radiance = _overcast(view, _rgb(0.6, 0.63, 0.68), air)
    _heavens(view, radiance, air, air, 0, air, rng)
    radiance = _haze(view, radiance, visibility, air)
    return _expose(radiance, rng, mean=rng.uniform(100, 150), photons=rng.uniform(600, 1500), read=4, blur=0.16)


def snow(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures in snowfall over ground that is partly white."""
    sky = _rgb(0.66, 0.68, 0.72) * np.float32(rng.uniform(0.8, 1.1))
    albedo = view.albedo + (_rgb(0.82, 0.84, 0.88) - view.albedo) * _snow_cover(view, severity)
    radiance = _overcast(view, _rgb(0.6, 0.63, 0.68), sky, albedo)
    _heavens(view, radiance, sky * np.float32(0.95), sky, 0, sky, rng)
    radiance = _haze(view, radiance, 320 - 240 * severity, sky)
    image = radiance.reshape(_GRID)
    flakes = np.minimum(_slice(_flakes(), rng) * np.float32(0.5 + 0.5 * severity), 0.95)
    image += (sky[:, :, None, None] * np.float32(1.15) - image) * flakes
    return _expose(image, rng, mean=rng.uniform(110, 150), photons=rng.uniform(600, 1500), read=4, blur=0.15)


# -- water and snow --


def _puddles(view: View, radiance: Floats, severity: float, rng: Rng) -> None:
    """Mirror what stands behind the wet ground: level cameras see it as far above the horizon as the water below."""
    rows = np.flatnonzero((view.solid < 0) & (view.depth > 0) & (view.normal[2] > 0.9))
    level = view.labels[rows]
    place, x, y = rows % PER_VIEW, view.xyz[0, rows], view.xyz[1, rows]
    line = place // WIDTH
    mirrored = rows + (HEIGHT - 1 - 2 * line) * WIDTH
    ray = view.rays[:, rows]
    grazing = 1 + ray[2] / np.sqrt(np.square(ray).sum(0))  # 1 at the horizon
    fresnel = 0.03 + 0.75 * np.clip(grazing, 0, 1) ** 6
    ripple = grain(x, y, view.depth[rows] * np.float32(0.007), 0.35, 1.0)
    water = np.clip(0.35 + 0.4 * ripple + 0.5 * severity, 0, 1) * np.where(level == TERRAIN, 0.2, 1.0).astype(
        np.float32
    )
    share = fresnel * water * np.float32(0.6 + 0.4 * severity)
    jitter = (2 * rng.random(len(rows), dtype=np.float32) - 1) * 2
    source = np.clip(mirrored + jitter.astype(np.int64) * WIDTH, 0, radiance.shape[1] - 1)
    radiance[:, rows] += share * (radiance[:, source] - radiance[:, rows])


def _snow_cover(view: View, severity: float) -> Floats:
    """Return how white each place is: level surfaces first, the road between its tyre tracks."""
    x, y = view.xyz[:2]
    patchy = grain(x, y, view.depth * np.float32(0.007), 0.5, 1.1)
    cover = np.clip((view.normal[2] - 0.35) * 2.2, 0, 1) * np.clip(0.25 + 1.0 * severity + 0.35 * patchy, 0, 1)
    road = np.flatnonzero(view.labels == ROAD)
    _, lateral = view.layout.ground.streets[0].along_lateral(x[road], y[road])
    track = np.exp(-np.square(np.mod(lateral, 1.7) - 0.85) * 9)
    cover[road] *= (0.25 + 0.75 * severity) * (1 - 0.65 * track)
    return np.where(view.labels >= 0, cover, np.float32(0)).astype(np.float32)


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


def _lens_drops(image: Floats, severity: float, rng: Rng) -> None:
    """Lay drops on the lenses; through one everything is a blur."""
    blurred = _spread(image, 0)
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


CAMERA: dict[str, Callable[[View, float, Rng], Bytes]] = {
    "day": day,
    "dusk": dusk,
    "night": night,
    "rain": rain,
    "fog": fog,
    "snow": snow,
}
