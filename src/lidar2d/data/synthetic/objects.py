"""What stands in the streets: vehicles, people, plants and street furniture, as compounds of solids."""

from __future__ import annotations

import colorsys

import numpy as np

from lidar2d.data.synthetic.solids import Builder, Paint, Pose, Shape, Texture, Vector

Rng = np.random.Generator
BOX, WEDGE, ELLIPSOID, CYLINDER = Shape.BOX, Shape.WEDGE, Shape.ELLIPSOID, Shape.CYLINDER
_QUARTER = np.pi / 2


def any_colour(rng: Rng, low: float = 0.04, high: float = 0.8, most: float = 0.85) -> Vector:
    """Return a linear reflectance of any hue; saturations are low more often than high."""
    value = low + (high - low) * rng.random()
    r, g, b = colorsys.hsv_to_rgb(rng.random(), most * rng.random() ** 1.5, value)
    return (r, g, b)


def varied(rng: Rng, colour: Vector, spread: float) -> Vector:
    """Return a colour near another one."""
    gain = np.exp(spread * rng.standard_normal()) * np.exp(0.3 * spread * rng.standard_normal(3))
    r, g, b = np.clip(np.array(colour) * gain, 0.01, 0.95)
    return (float(r), float(g), float(b))


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
    texture = Texture.RIBS if kind == 0 else Texture.PLAIN
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


def pedestrian(b: Builder, rng: Rng, pose: Pose, speed: float = 0.0) -> None:
    """Add a person, standing or walking, in any clothes."""
    tall = rng.uniform(1.5, 1.92) if rng.random() < 0.88 else rng.uniform(1.0, 1.4)
    bulk = tall / 1.75 * rng.uniform(0.9, 1.2)
    coat = Paint(Texture.CLOTH, any_colour(rng), any_colour(rng), rng.uniform(0.2, 0.7), (tall, rng.random(), 0, 0))
    legs = Paint(Texture.CLOTH, any_colour(rng, 0.02, 0.5), infrared=rng.uniform(0.2, 0.6))
    tone = rng.uniform(0.08, 0.6)
    skin = Paint(Texture.PLAIN, (tone, tone * 0.72, tone * 0.55), infrared=0.45)
    hair = Paint(Texture.PLAIN, any_colour(rng, 0.02, 0.35), infrared=0.3)
    b.begin("pedestrian", pose)
    b.box(speed)
    stride = 0.32 if speed > 0 else rng.uniform(0, 0.1)
    for side in (-1, 1):
        b.add(
            CYLINDER,
            (0, side * 0.1 * bulk, 0.24 * tall),
            (0.17 * bulk, 0.17 * bulk, 0.48 * tall),
            legs,
            pitch=side * stride,
        )
        b.add(
            CYLINDER,
            (0, side * 0.24 * bulk, 0.64 * tall),
            (0.11 * bulk, 0.11 * bulk, 0.33 * tall),
            coat,
            pitch=-side * stride,
        )
    b.add(ELLIPSOID, (0, 0, 0.65 * tall), (0.3 * bulk, 0.46 * bulk, 0.42 * tall), coat)
    b.add(ELLIPSOID, (0.01, 0, 0.93 * tall), (0.2 * bulk, 0.17 * bulk, 0.14 * tall), skin)
    b.add(ELLIPSOID, (-0.02 * bulk, 0, 0.955 * tall), (0.21 * bulk, 0.19 * bulk, 0.09 * tall), hair)


def barrier(b: Builder, rng: Rng, pose: Pose, paint: Paint, kind: int) -> None:
    """Add one piece of barrier: concrete, or a board on feet."""
    b.begin("barrier", pose)
    if kind == 0:
        b.box()
        b.add(WEDGE, (0, 0, 0.2), (2.0, 0.6, 0.4), paint, taper=(0, 0, 0.4))
        b.add(WEDGE, (0, 0, 0.675), (2.0, 0.36, 0.55), paint, taper=(0, 0, 0.3))
        return
    b.box()
    b.add(BOX, (0, 0, 0.85), (1.8, 0.09, 0.36), paint)
    b.add(BOX, (0, 0, 0.38), (1.8, 0.08, 0.22), paint)
    steel = Paint(Texture.PLAIN, (0.15, 0.15, 0.15), infrared=0.3)
    for x in (-0.75, 0.75):
        b.add(BOX, (x, 0, 0.5), (0.1, 0.1, 1.0), steel)
        b.add(BOX, (x, 0, 0.06), (0.14, 0.5, 0.12), steel)


def traffic_cone(b: Builder, rng: Rng, pose: Pose, paint: Paint) -> None:
    """Add a traffic cone."""
    tall = rng.uniform(0.65, 0.95)
    b.begin("traffic_cone", pose)
    b.box()
    b.add(BOX, (0, 0, 0.035), (0.42, 0.42, 0.07), Paint(Texture.PLAIN, paint.accent, infrared=0.2))
    b.add(WEDGE, (0, 0, tall / 2), (0.34, 0.34, tall), paint, taper=(0.8, 0.8, 0.8))


def tree(b: Builder, rng: Rng, pose: Pose, leaf: Vector, bare: float, conifer: bool) -> None:
    """Add a tree: a trunk and a crown of porous ellipsoids; ``bare`` is the share of holes."""
    b.begin("vegetation", pose)
    size = rng.uniform(0.6, 1.3)
    bark = Paint(Texture.SLATS, varied(rng, (0.12, 0.09, 0.07), 0.3), (0.05, 0.04, 0.03), 0.35, (0.12, 0, 0, 0))
    paint = Paint(Texture.LEAVES, varied(rng, leaf, 0.25), infrared=rng.uniform(0.45, 0.75))
    trunk = rng.uniform(1.6, 2.6) * size
    if conifer:
        b.add(CYLINDER, (0, 0, 0.6), (0.3, 0.3, 1.2), bark)
        for level in range(3):
            wide = (2.6 - 0.7 * level) * size
            b.add(ELLIPSOID, (0, 0, (1.8 + 1.6 * level) * size), (wide, wide, 3.2 * size), paint, porous=0.7 * bare)
        return
    b.add(CYLINDER, (0, 0, trunk / 2 + 0.4), (0.3 * size, 0.3 * size, trunk + 0.8), bark)
    for _ in range(rng.integers(3, 6)):
        wide = rng.uniform(1.8, 3.2) * size
        at = (*(rng.normal(0, 0.8, 2) * size), trunk + rng.uniform(0.7, 2.4) * size)
        b.add(ELLIPSOID, at, (wide, wide, wide * rng.uniform(0.7, 1.0)), paint, porous=bare)


def bush(b: Builder, rng: Rng, pose: Pose, leaf: Vector) -> None:
    """Add a bush."""
    b.begin("vegetation", pose)
    paint = Paint(Texture.LEAVES, varied(rng, leaf, 0.25), infrared=rng.uniform(0.45, 0.75))
    for _ in range(rng.integers(1, 4)):
        wide, high = rng.uniform(0.8, 2.0), rng.uniform(0.7, 1.5)
        x, y = rng.normal(0, 0.5, 2)
        b.add(ELLIPSOID, (x, y, high * 0.4), (wide, wide, high), paint, porous=0.2)


def hedge(b: Builder, rng: Rng, pose: Pose, leaf: Vector, length: float) -> None:
    """Add a trimmed hedge."""
    b.begin("vegetation", pose)
    high, thick = rng.uniform(0.8, 1.9), rng.uniform(0.6, 1.1)
    paint = Paint(Texture.LEAVES, varied(rng, leaf, 0.2), infrared=rng.uniform(0.45, 0.75))
    b.add(WEDGE, (0, 0, high / 2), (length, thick, high), paint, taper=(0.02, 0.02, 0.1))


def building(b: Builder, rng: Rng, pose: Pose, size: Vector, shop: bool) -> None:
    """Add a building of a length, a depth and a height, its front looking to its own -y."""
    length, depth, high = size
    b.begin("manmade", pose)
    wall = varied(rng, any_colour(rng, 0.08, 0.75, 0.6), 0.1)
    pitch_u, pitch_v = rng.uniform(1.8, 3.6), rng.uniform(2.7, 3.5)
    brick = float(rng.random() < 0.5)
    style = rng.uniform(0.35, 0.75)
    paint = Paint(
        Texture.FACADE,
        wall,
        any_colour(rng, 0.1, 0.7, 0.5),
        rng.uniform(0.2, 0.55),
        (pitch_u, pitch_v, style, brick + 2 * float(shop)),
    )
    b.add(BOX, (0, 0, high / 2), (length, depth, high), paint)
    if high < 11 and rng.random() < 0.6:
        tile = Paint(Texture.TILES, varied(rng, (0.22, 0.12, 0.09), 0.5), (0.05, 0.05, 0.05), 0.3)
        rise = rng.uniform(1.5, 3.0)
        b.add(WEDGE, (0, 0, high + rise / 2), (length + 0.6, depth + 0.8, rise), tile, taper=(0.05, 0.05, 0.95))
    elif rng.random() < 0.5:
        b.add(BOX, (0, 0, high + 0.2), (length + 0.4, depth + 0.4, 0.4), Paint(Texture.PLAIN, wall, infrared=0.3))
    if shop and rng.random() < 0.7:
        cloth = Paint(Texture.STRIPES, any_colour(rng), any_colour(rng, 0.3, 0.9), 0.5, (0.6, 0, 0, 0))
        b.add(WEDGE, (0, -depth / 2 - 0.5, 2.85), (length * 0.8, 1.0, 0.4), cloth, taper=(0, 0, 0.5))


def fence(b: Builder, rng: Rng, pose: Pose, length: float) -> None:
    """Add a wall or a wooden fence."""
    b.begin("manmade", pose)
    high = rng.uniform(0.9, 2.2)
    texture = Texture.SLATS if rng.random() < 0.6 else Texture.FACADE
    paint = Paint(texture, any_colour(rng, 0.08, 0.6, 0.6), (0.05, 0.05, 0.05), 0.3, (0.25, 99.0, 0.0, 1.0))
    b.add(BOX, (0, 0, high / 2), (length, 0.2, high), paint)


def street_lamp(b: Builder, rng: Rng, pose: Pose) -> None:
    """Add a street lamp whose arm reaches over the road, its own +x."""
    b.begin("manmade", pose)
    steel = Paint(Texture.PLAIN, any_colour(rng, 0.05, 0.4, 0.4), infrared=0.3)
    high = rng.uniform(5.5, 7.5)
    b.add(CYLINDER, (0, 0, high / 2), (0.2, 0.2, high), steel)
    b.add(BOX, (0.7, 0, high), (1.6, 0.12, 0.12), steel)
    b.add(BOX, (1.5, 0, high - 0.08), (0.7, 0.35, 0.16), Paint(Texture.LAMP, (0.5, 0.5, 0.5), infrared=0.3))
    x, y, z, yaw = pose
    b.lamps.append((x + 1.5 * np.cos(yaw), y + 1.5 * np.sin(yaw), z + high - 0.2))


def sign(b: Builder, rng: Rng, pose: Pose) -> None:
    """Add a traffic sign or a traffic light."""
    b.begin("manmade", pose)
    steel = Paint(Texture.PLAIN, (0.3, 0.3, 0.3), infrared=0.3)
    high = rng.uniform(2.2, 3.2)
    b.add(CYLINDER, (0, 0, high / 2), (0.1, 0.1, high), steel)
    if rng.random() < 0.35:
        b.add(
            BOX,
            (0.1, 0, high),
            (0.3, 0.32, 0.95),
            Paint(Texture.LAMP, (0.03, 0.03, 0.03), infrared=0.2, detail=(1, 0, 0, 0)),
        )
        return
    paint = Paint(Texture.SIGN, any_colour(rng, 0.2, 0.8, 1.0), (0.8, 0.8, 0.8), 0.95, (0.35, 0.35, 0, 0))
    b.add(BOX, (0.08, 0, high - 0.1), (0.05, rng.uniform(0.6, 0.9), rng.uniform(0.6, 0.9)), paint)


def street_box(b: Builder, rng: Rng, pose: Pose) -> None:
    """Add a bin, a cabinet, a bench or a kiosk."""
    b.begin("manmade", pose)
    kind = rng.integers(4)
    paint = Paint(Texture.PLAIN, any_colour(rng, 0.05, 0.6), infrared=rng.uniform(0.15, 0.5))
    if kind == 0:
        b.add(CYLINDER, (0, 0, 0.5), (0.55, 0.55, 1.0), paint)
    elif kind == 1:
        b.add(BOX, (0, 0, 0.6), (0.5, 1.0, 1.2), paint)
    elif kind == 2:
        b.add(BOX, (0, 0, 0.45), (0.5, 1.7, 0.1), paint)
        b.add(BOX, (-0.25, 0, 0.7), (0.08, 1.7, 0.5), paint)
        for y in (-0.7, 0.7):
            b.add(BOX, (0, y, 0.22), (0.4, 0.1, 0.44), paint)
    else:
        b.add(BOX, (0, 0, 1.2), (1.4, 3.2, 0.06), paint)
        b.add(
            BOX,
            (-0.65, 0, 1.25),
            (0.08, 3.2, 2.3),
            Paint(Texture.SIGN, any_colour(rng), (0.7, 0.7, 0.7), 0.4, (1.5, 1.0, 0, 0)),
        )
        b.add(BOX, (0, 0, 2.45), (1.6, 3.4, 0.12), paint)
