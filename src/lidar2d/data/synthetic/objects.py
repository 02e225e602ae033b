"""What stands in the streets beside vehicles: people, plants, houses and street furniture, as compounds of solids."""

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


def barrier(b: Builder, pose: Pose, paint: Paint, kind: int) -> None:
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
