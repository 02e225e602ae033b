"""What drives in the streets, from bicycles to excavators, as compounds of solids."""

from __future__ import annotations

import colorsys

import numpy as np

from lidar2d.data.synthetic.objects import Rng, any_colour
from lidar2d.data.synthetic.solids import Builder, Paint, Pose, Shape, Texture

BOX, WEDGE, ELLIPSOID, CYLINDER = Shape.BOX, Shape.WEDGE, Shape.ELLIPSOID, Shape.CYLINDER
_QUARTER = np.pi / 2


def _wheels(b: Builder, rng: Rng, axles: tuple[float, ...], track: float, radius: float, width: float) -> None:
    rim = 0.15 + 0.5 * rng.random()
    paint = Paint(Texture.WHEEL, (0.03, 0.03, 0.03), (rim, rim, rim), 0.08)
    for x in axles:
        for side in (-1, 1):
            at = (x, side * (track - width) / 2, radius)
            b.add(CYLINDER, at, (2 * radius, 2 * radius, width), paint, roll=_QUARTER)


def car(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a hatchback, saloon, estate, off-roader or van."""
    kind = rng.choice(5, p=[0.28, 0.3, 0.15, 0.17, 0.1])
    length = (3.9, 4.6, 4.7, 4.6, 5.0)[kind] * rng.uniform(0.94, 1.06)
    height = (1.48, 1.45, 1.5, 1.75, 1.98)[kind] * rng.uniform(0.97, 1.04)
    width = rng.uniform(1.72, 1.95)
    colour, shine = any_colour(rng), rng.uniform(0.08, 0.6)
    waist = height * rng.uniform(0.56, 0.63)
    glass = (0.03, 0.035, 0.045)
    b.begin("car", pose)
    b.box(speed)
    body = Paint(Texture.BODY, colour, (0.03, 0.03, 0.03), shine, (length / 2, width / 2, rng.random(), 0))
    b.add(WEDGE, (0, 0, (0.22 + waist) / 2), (length, width, waist - 0.22), body, taper=(0.06, 0.05, 0.05))
    share = (0.62, 0.54, 0.68, 0.66, 0.76)[kind]
    back = (0.03, 0.12, 0.02, 0.03, 0.01)[kind]
    cabin = share * length
    x = -length / 2 + back * length + cabin / 2
    top = Paint(Texture.CABIN, colour, glass, shine, (cabin / 2, width / 2, (height - waist) / 2, rng.random()))
    taper = ((0.5, 0.5, 0.45, 0.4, 0.3)[kind], (0.25, 0.5, 0.2, 0.15, 0.06)[kind], 0.2)
    b.add(WEDGE, (x, 0, (waist + height) / 2), (cabin, width * 0.97, height - waist), top, taper=taper)
    _wheels(b, rng, (-0.29 * length, 0.31 * length), width, rng.uniform(0.31, 0.38), 0.22)


def truck(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a box lorry, a tipper or a pick-up."""
    kind = rng.choice(3, p=[0.6, 0.2, 0.2])
    colour, second = any_colour(rng), any_colour(rng, 0.15, 0.9)
    shine = rng.uniform(0.1, 0.6)
    b.begin("truck", pose)
    if kind == 2:
        length, width, height = rng.uniform(5.2, 5.9), rng.uniform(1.9, 2.1), rng.uniform(1.8, 1.98)
        b.box(speed)
        body = Paint(Texture.BODY, colour, (0.03, 0.03, 0.03), shine, (length / 2, width / 2, rng.random(), 0))
        b.add(WEDGE, (0, 0, 0.72), (length, width, 0.8), body, taper=(0.05, 0.0, 0.03))
        top = Paint(Texture.CABIN, colour, (0.03, 0.035, 0.045), shine, (1.0, width / 2, (height - 1.12) / 2, 0.5))
        b.add(WEDGE, (0.3, 0, (1.12 + height) / 2), (2.1, width * 0.95, height - 1.12), top, taper=(0.5, 0.15, 0.15))
        _wheels(b, rng, (-0.3 * length, 0.31 * length), width, 0.4, 0.26)
        return
    length, width, height = rng.uniform(6.2, 10.5), rng.uniform(2.2, 2.55), rng.uniform(2.9, 3.8)
    b.box(speed)
    cab = rng.uniform(1.8, 2.3)
    tall = min(height, rng.uniform(2.5, 3.0))
    x = length / 2 - cab / 2
    body = Paint(Texture.BODY, colour, (0.03, 0.03, 0.03), shine, (cab / 2, width / 2, rng.random(), 0))
    b.add(BOX, (x, 0, 0.45 + 0.5), (cab, width, 1.0), body)
    top = Paint(Texture.CABIN, colour, (0.03, 0.035, 0.045), shine, (cab / 2, width / 2, (tall - 1.45) / 2, 0.5))
    b.add(WEDGE, (x, 0, (1.45 + tall) / 2), (cab, width, tall - 1.45), top, taper=(0.2, 0, 0.05))
    load = length - cab - 0.15
    texture = Texture.RIBS if kind == 0 and rng.random() < 0.4 else Texture.PLAIN
    paint = Paint(texture, second, colour, rng.uniform(0.2, 0.7), (rng.uniform(0.25, 0.9), rng.random(), 0, 0))
    top_of_load = height if kind == 0 else 0.75 * height
    b.add(BOX, (-length / 2 + load / 2, 0, (1.0 + top_of_load) / 2), (load, width, top_of_load - 1.0), paint)
    b.add(BOX, (-0.3, 0, 0.78), (length - 0.8, 0.9, 0.4), Paint(Texture.PLAIN, (0.04, 0.04, 0.04), infrared=0.1))
    _wheels(b, rng, (-0.36 * length, -0.36 * length + 1.15, length / 2 - 1.1), width, 0.48, 0.32)


def bus(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a city bus."""
    length, width, height = rng.uniform(9.5, 12.5), rng.uniform(2.5, 2.6), rng.uniform(2.95, 3.35)
    b.begin("bus", pose)
    b.box(speed)
    paint = Paint(
        Texture.COACH,
        any_colour(rng, 0.1, 0.8),
        any_colour(rng, 0.05, 0.8),
        rng.uniform(0.15, 0.6),
        (length / 2, width / 2, height / 2 - 0.15, rng.uniform(1.2, 1.8)),
    )
    b.add(WEDGE, (0, 0, (0.3 + height) / 2), (length, width, height - 0.3), paint, taper=(0.02, 0.01, 0.03))
    _wheels(b, rng, (-0.27 * length, 0.32 * length), width, 0.48, 0.3)


def trailer(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a semi-trailer or a small trailer, standing on its own legs."""
    small = rng.random() < 0.35
    length = rng.uniform(3.0, 5.0) if small else rng.uniform(8.0, 12.5)
    width, height = (2.0, rng.uniform(1.7, 2.4)) if small else (2.5, rng.uniform(3.4, 3.95))
    floor = 0.75 if small else 1.15
    b.begin("trailer", pose)
    b.box(speed)
    paint = Paint(
        Texture.RIBS,
        any_colour(rng, 0.15, 0.9),
        any_colour(rng),
        rng.uniform(0.2, 0.7),
        (rng.uniform(0.2, 0.6), 1, 0, 0),
    )
    steel = Paint(Texture.PLAIN, (0.06, 0.06, 0.06), infrared=0.15)
    b.add(BOX, (0.0, 0, (floor + height) / 2), (length, width, height - floor), paint)
    b.add(BOX, (0, 0, floor - 0.15), (length, 0.9, 0.3), steel)
    for side in (-0.4, 0.4):
        b.add(BOX, (0.32 * length, side * width, floor / 2), (0.15, 0.15, floor), steel)
    axles = (-0.2 * length,) if small else (-0.25 * length, -0.25 * length - 1.25)
    _wheels(b, rng, axles, width, 0.35 if small else 0.5, 0.3)


def construction_vehicle(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add an excavator on tracks or a wheel loader."""
    vivid = colorsys.hsv_to_rgb(rng.uniform(0.06, 0.16), rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.8))
    colour = vivid if rng.random() < 0.6 else any_colour(rng)
    paint = Paint(Texture.PLAIN, colour, infrared=rng.uniform(0.3, 0.6))
    dark = Paint(Texture.RIBS, (0.05, 0.05, 0.05), (0.02, 0.02, 0.02), 0.1, (0.3, 0, 0, 0))
    b.begin("construction_vehicle", pose)
    cab = Paint(Texture.CABIN, colour, (0.03, 0.035, 0.045), 0.3, (0.8, 0.6, 0.75, 0.5))
    if rng.random() < 0.6:
        b.box(speed)
        for side in (-1.1, 1.1):
            b.add(BOX, (-1.1, side, 0.45), (4.0, 0.6, 0.9), dark)
        b.add(BOX, (-1.7, 0, 1.55), (3.2, 2.6, 1.2), paint)
        b.add(BOX, (-0.4, 0.7, 2.1), (1.6, 1.2, 1.7), cab)
        up = rng.uniform(0.5, 0.65)
        b.add(BOX, (1.1, -0.3, 2.4), (3.6, 0.45, 0.55), paint, pitch=-up)
        b.add(BOX, (2.8, -0.3, 2.15), (0.4, 0.35, 2.7), paint, pitch=-0.3)
        b.add(WEDGE, (3.05, -0.3, 0.75), (0.9, 1.1, 0.9), Paint(Texture.PLAIN, (0.1, 0.1, 0.1), infrared=0.2))
        return
    b.box(speed)
    b.add(BOX, (-1.5, 0, 1.45), (3.0, 1.9, 1.2), paint)
    b.add(BOX, (-0.5, 0, 2.4), (1.6, 1.5, 1.6), cab)
    b.add(BOX, (0.9, 0, 1.1), (2.2, 1.2, 0.7), paint)
    b.add(BOX, (2.0, 0, 1.1), (2.4, 0.5, 0.35), paint, pitch=0.3)
    b.add(WEDGE, (2.9, 0, 0.6), (0.9, 2.6, 1.0), Paint(Texture.PLAIN, colour, infrared=0.25), taper=(0.7, 0, 0))
    _wheels(b, rng, (-1.9, 1.2), 2.5, 0.75, 0.6)


def _cycle_wheels(b: Builder, base: float, radius: float, width: float) -> None:
    paint = Paint(Texture.WHEEL, (0.03, 0.03, 0.03), (0.3, 0.3, 0.3), 0.1, (0, 0, 0, 1))
    for x in (-base / 2, base / 2):
        b.add(CYLINDER, (x, 0, radius), (2 * radius, 2 * radius, width), paint, roll=_QUARTER)


def motorcycle(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a motorcycle or a scooter."""
    paint = Paint(Texture.PLAIN, any_colour(rng, 0.05, 0.7, 1.0), infrared=rng.uniform(0.1, 0.5))
    dark = Paint(Texture.PLAIN, (0.04, 0.04, 0.04), infrared=0.1)
    b.begin("motorcycle", pose)
    b.box(speed)
    _cycle_wheels(b, 1.4, 0.32, 0.16)
    b.add(ELLIPSOID, (0.0, 0, 0.55), (1.0, 0.4, 0.6), dark)
    b.add(ELLIPSOID, (0.15, 0, 0.85), (0.7, 0.36, 0.4), paint)
    b.add(BOX, (-0.45, 0, 0.84), (0.8, 0.3, 0.14), dark)
    b.add(CYLINDER, (0.58, 0, 0.75), (0.14, 0.14, 0.95), dark, pitch=-0.4)
    b.add(BOX, (0.4, 0, 1.12), (0.1, 0.7, 0.08), dark)
    b.add(ELLIPSOID, (0.55, 0, 0.98), (0.25, 0.26, 0.35), paint)
    if speed > 0:
        _rider(b, rng, -0.2, 0.85)


def bicycle(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a bicycle, with its rider if it moves."""
    paint = Paint(Texture.PLAIN, any_colour(rng, 0.05, 0.8, 1.0), infrared=rng.uniform(0.1, 0.5))
    dark = Paint(Texture.PLAIN, (0.04, 0.04, 0.04), infrared=0.1)
    b.begin("bicycle", pose)
    b.box(speed)
    _cycle_wheels(b, 1.05, 0.34, 0.06)
    for x, z, length, lean in ((0.05, 0.78, 0.62, 0.0), (0.1, 0.55, 0.72, -0.75), (-0.18, 0.58, 0.6, 1.3)):
        b.add(BOX, (x, 0, z), (length, 0.07, 0.07), paint, pitch=lean)
    b.add(BOX, (-0.3, 0, 0.42), (0.5, 0.06, 0.06), paint, pitch=0.3)
    b.add(BOX, (-0.26, 0, 0.96), (0.28, 0.16, 0.08), dark)
    b.add(CYLINDER, (0.46, 0, 0.7), (0.07, 0.07, 0.76), paint, pitch=-0.3)
    b.add(BOX, (0.36, 0, 1.04), (0.07, 0.55, 0.06), dark)
    if speed > 0:
        _rider(b, rng, -0.15, 0.98)


def _rider(b: Builder, rng: Rng, x: float, seat: float) -> None:
    coat = Paint(Texture.CLOTH, any_colour(rng), infrared=rng.uniform(0.2, 0.7))
    legs = Paint(Texture.CLOTH, any_colour(rng, 0.02, 0.4), infrared=rng.uniform(0.2, 0.6))
    top = 1.75 - seat
    b.add(ELLIPSOID, (x + 0.1, 0, seat + 0.3 * top), (0.3, 0.44, 0.72 * top), coat, pitch=0.3)
    b.add(ELLIPSOID, (x + 0.28, 0, 1.62), (0.22, 0.2, 0.26), Paint(Texture.PLAIN, any_colour(rng), infrared=0.4))
    for side in (-0.12, 0.12):
        b.add(CYLINDER, (x + 0.2, side, seat - 0.22), (0.15, 0.15, 0.6), legs, pitch=-0.5)
