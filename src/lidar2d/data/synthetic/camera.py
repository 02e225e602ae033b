"""Pictures of one town by day, at dusk, at night, in rain, fog and snow: light, air, lens and sensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.synthetic import light, water
from lidar2d.data.synthetic.exposure import GRID, Bytes, expose, spread
from lidar2d.data.synthetic.lidar import fog_visibility
from lidar2d.data.synthetic.noise import SIZE, look_up, tile
from lidar2d.data.synthetic.objects import Rng
from lidar2d.data.synthetic.scene import View
from lidar2d.data.synthetic.sensors import Floats

_CLEAR = np.float32(0.3)  # metres off a surface from which it looks for the sun, so that it does not shade itself


def _towards(azimuth: float, elevation: float) -> NDArray[np.float64]:
    return np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])


def _rgb(*values: float) -> Floats:
    return np.array(values, np.float32)[:, None]


def _sunlit(view: View, towards: NDArray[np.float64], metres: float, shape: tuple[int, int]) -> Floats:
    facing = np.maximum(towards.astype(np.float32) @ view.normal, 0)
    reached: Floats = facing * light.reached(
        view.layout.solids, towards, view.xyz + _CLEAR * view.normal, metres, shape
    )
    return reached


def _heavens(
    view: View, radiance: Floats, zenith: Floats, horizon: Floats, clouds: float, cloud: Floats, rng: Rng
) -> None:
    """Paint the sky's pixels: a gradient with clouds."""
    rows = np.flatnonzero(view.sky)
    if not len(rows):
        return
    x, y, z = view.rays[:, rows]
    up = z / view.stretch[rows]
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
    radiance += view.mirror * sky


def _haze(view: View, radiance: Floats, visibility: float, air: Floats) -> Floats:
    """Mix in air light by Koschmieder's law; ``visibility`` in metres leaves 2 % of the contrast."""
    sight = np.exp(np.minimum(view.distance, 400.0) * np.float32(-3.912 / visibility))
    seen: Floats = radiance * sight + air * (1 - sight)
    return seen


def _overcast(view: View, strength: Floats, sky: Floats, albedo: Floats | None = None) -> Floats:
    radiance: Floats = (view.albedo if albedo is None else albedo) * (view.open_sky * strength)
    _reflections(view, radiance, sky)
    return radiance


def day(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures (6, 3, H, W) in clear sunlight."""
    elevation = np.radians(rng.uniform(25, 65))
    towards = _towards(rng.uniform(-np.pi, np.pi), elevation)
    sun = _rgb(1.0, 0.92, 0.8) * np.float32(rng.uniform(1.3, 2.3))
    sky = _rgb(0.4, 0.5, 0.68) * np.float32(rng.uniform(0.8, 1.2))
    lit = _sunlit(view, towards, 84.0, (260, 320))
    radiance = view.albedo * (sun * lit + sky * view.open_sky)
    _reflections(view, radiance, sky)
    horizon = _rgb(0.8, 0.88, 0.97) * np.float32(rng.uniform(0.8, 1.2))
    radiance = _haze(view, radiance, 4000 - 3000 * severity, horizon)
    zenith = _rgb(0.16, 0.3, 0.62) * np.float32(rng.uniform(0.7, 1.2))
    _heavens(view, radiance, zenith, horizon, rng.uniform(0.0, 0.9), _rgb(1.25, 1.25, 1.25), rng)
    # clear days differ in exposure too, or a network would take any darker picture for another world
    return expose(radiance, rng, mean=rng.uniform(85, 150), photons=rng.uniform(1500, 8000), read=4)


def dusk(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures under a low sun: long shadows, orange against blue, glare and noise."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(9 - 6.5 * severity)
    towards = _towards(azimuth, elevation)
    sun = _rgb(1.0, 0.5, 0.2) * np.float32(rng.uniform(0.5, 1.3))
    sky = _rgb(0.19, 0.2, 0.29) * np.float32(rng.uniform(0.5, 1.0))
    lit = _sunlit(view, towards, 100.0, (140, 360))
    radiance = view.albedo * (sun * lit + sky * view.open_sky)
    _reflections(view, radiance, sky)
    radiance += view.glow * np.float32(0.25)
    radiance = _haze(view, radiance, 600 - 400 * severity, _rgb(0.34, 0.2, 0.16))
    _heavens(
        view, radiance, _rgb(0.1, 0.13, 0.3), _rgb(0.85, 0.4, 0.18), rng.uniform(0.2, 0.9), _rgb(0.45, 0.2, 0.2), rng
    )
    near_sun = np.maximum(towards.astype(np.float32) @ view.rays / view.stretch, 0)
    around = near_sun > 0.9993
    seen = np.float32(view.sky[around].mean() if around.any() else 1)  # a hidden sun dazzles little
    veil = np.float32(0.35) * near_sun**6 + seen * (np.float32(1.6) * near_sun**60 + np.float32(8) * near_sun**900)
    radiance += veil * _rgb(1.0, 0.55, 0.25) * np.float32(rng.uniform(0.5, 1.2))
    return expose(radiance, rng, mean=rng.uniform(72, 110), photons=2400 - 1800 * severity, read=4)


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
    image = radiance.reshape(GRID)
    lamps_seen = np.maximum(image - np.float32(0.4), 0)
    image += spread(lamps_seen, 1) * np.float32(0.5) + spread(lamps_seen, 6) * np.float32(0.35)
    mean, photons = rng.uniform(44, 60), 1000 - 750 * severity
    return expose(image, rng, mean=mean, photons=photons, read=2.5, most_gain=5.0, blur=0.16)


def rain(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures in rain: wet mirrors on the road, streaks, drops on the lens."""
    sky = _rgb(0.5, 0.54, 0.6) * np.float32(rng.uniform(0.7, 1.1))
    flat = view.normal[2] > 0.9
    soaked = np.where(flat & (view.solid < 0), np.float32(1 - 0.5 * severity), np.float32(0.9))
    radiance = _overcast(view, _rgb(0.62, 0.66, 0.72), sky, view.albedo * soaked)
    radiance += view.glow * np.float32(0.12)
    _heavens(view, radiance, sky * np.float32(0.8), sky, 0.5, sky * np.float32(1.25), rng)
    water.puddles(view, radiance, severity, rng)
    radiance = _haze(view, radiance, 420 - 290 * severity, sky)
    image = radiance.reshape(GRID)
    water.lens_drops(image, severity, rng)
    streaks = water.rain_layer(rng)
    image += streaks * np.float32(0.1 + 0.22 * severity)
    image += np.float32(0.06 + 0.1 * severity) * sky[:, :, None, None]
    return expose(
        image, rng, mean=rng.uniform(85, 120), photons=rng.uniform(1200, 3000), read=4, blur=0.14 + 0.07 * severity
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
    return expose(radiance, rng, mean=rng.uniform(100, 150), photons=rng.uniform(1800, 4000), read=4, blur=0.16)


def snow(view: View, severity: float, rng: Rng) -> Bytes:
    """Return pictures in snowfall over ground that is partly white."""
    sky = _rgb(0.66, 0.68, 0.72) * np.float32(rng.uniform(0.8, 1.1))
    albedo = view.albedo + (_rgb(0.82, 0.84, 0.88) - view.albedo) * water.snow_cover(view, severity)
    radiance = _overcast(view, _rgb(0.6, 0.63, 0.68), sky, albedo)
    _heavens(view, radiance, sky * np.float32(0.95), sky, 0, sky, rng)
    radiance = _haze(view, radiance, 320 - 240 * severity, sky)
    image = radiance.reshape(GRID)
    flakes = np.minimum(water.snow_layer(rng) * np.float32(0.5 + 0.5 * severity), 0.95)
    image += (sky[:, :, None, None] * np.float32(1.15) - image) * flakes
    return expose(image, rng, mean=rng.uniform(140, 175), photons=rng.uniform(1800, 4000), read=4, blur=0.15)


CAMERA: dict[str, Callable[[View, float, Rng], Bytes]] = {
    "day": day,
    "dusk": dusk,
    "night": night,
    "rain": rain,
    "fog": fog,
    "snow": snow,
}
