"""Water on the road: it mirrors what stands behind it, and takes away what the road sends back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.weather.air import Glass, air_light
from lidar2d.data.weather.beams import reach, strongest
from lidar2d.data.weather.corruption import Corruption, Echoes, Floats, Sweep, View
from lidar2d.data.weather.ground import height
from lidar2d.data.weather.light import brightness, displayed, linear, reduced
from lidar2d.errors import within

_DEPTH = 1.2  # millimetres of an asphalt's texture; as much water covers all of it: Hahner et al., CVPR 2022
_INDEX = 1.33  # of refraction of water
_FLAT = 0.15  # metres above the plane of the road, up to which a point belongs to it
STRAIGHT = 0.02  # share of light that water mirrors straight back: Fresnel
_STEPS = (0.15, 60.0, 16)  # metres along them: the first, the last, and how many
_RIPPLES = 60  # parts of the image's height: ripples smear over one of them
_INSIDE = 0.5  # share of diffuse light that water sends back to the road from within: Lekner and Dorf, 1988


@dataclass(frozen=True)
class WetGround(Corruption):
    """A wet road. The part of it that water covers is a mirror under a film; the rest is dry.

    Args:
        film: millimetres of water.
    """

    film: float

    def __post_init__(self) -> None:
        """Refuse what is no film."""
        within(0, 100, film=self.film)

    @property
    def covered(self) -> float:
        """The share of the road that is under water."""
        return under_water(self.film)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Darken the road and lay the mirror image of what stands behind it over it, by Fresnel's equations."""
        light = linear(view.image)
        return displayed(film(view, light, air_light(light), self.covered).seen(light))

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Take away what the water mirrors on: it does not come back."""
        return strongest(sweep, film_returns(sweep, self.covered), rng)


def under_water(film: float) -> float:
    """Return the share of the road that so many millimetres of water cover."""
    return min(film / _DEPTH, 1.0)


def fresnel(cosine: Floats | NDArray[np.float64]) -> Floats:
    """Return the share of unpolarised light that water mirrors, by the cosine of its angle to the normal."""
    cosine = np.clip(np.abs(cosine), 0, 1)
    inner = np.sqrt(1 - (1 - np.square(cosine)) / _INDEX**2)
    across = (cosine - _INDEX * inner) / (cosine + _INDEX * inner)
    along = (_INDEX * cosine - inner) / (_INDEX * cosine + inner)
    share: Floats = ((np.square(across) + np.square(along)) / 2).astype(np.float32)
    return share


def on_road(sweep: Sweep) -> NDArray[np.bool_]:
    """Return which points (N,) belong to the road."""
    flat: NDArray[np.bool_] = np.abs(height(sweep.points, sweep.scene.ground)) < _FLAT
    return flat


def film_returns(sweep: Sweep, covered: float) -> Floats:
    """Return the share (N,) of a clear echo that comes back from the road under water, 1 elsewhere.

    A beam enters the film, is scattered by the road, and leaves it: two passages of the surface. What leaves spreads by
    the square of the refractive index; what is sent back within has another chance: Lekner and Dorf, Applied Optics
    1988.
    """
    distance = reach(sweep.points)
    cosine = (sweep.points[:, :3] @ sweep.scene.ground[:3]) / distance
    passed = np.square(1 - fresnel(cosine)) / _INDEX**2
    wet = passed / (1 - _INSIDE * np.clip(sweep.points[:, 3], 0, 1))
    return np.where(on_road(sweep), 1 - covered + covered * np.minimum(wet, 1), 1).astype(np.float32)


def film(view: View, light: Tensor, sky: Tensor, covered: float) -> Glass:
    """Return what a film of water on the road does to the light (3, H, W) of a view under a sky (3, 1, 1).

    Each ray that meets the road goes on upward until what the picture shows stands in its way; the colour there is what
    the water mirrors, and that of the sky where nothing does, or where it is not in the picture.
    """
    direction, up, flat = _road(view)
    cosine = torch.einsum("chw,c->hw", direction, up)
    small = reduced(light, (view.reach.shape[0], view.reach.shape[1]))
    mirror = direction - 2 * cosine * up[:, None, None]
    seen = sky.expand_as(small).clone()
    road = flat > 0
    if road.any():  # elsewhere nothing is mirrored
        seen[:, road] = _seen_by(view, small, (direction * view.reach)[:, road], mirror[:, road], seen[:, 0, :1])
    wet = covered * flat
    share = torch.from_numpy(fresnel(cosine.numpy())) * wet
    dark = ((1 - STRAIGHT) / _INDEX**2) / (1 - _INSIDE * brightness(small))  # of what is scattered under the film
    return Glass((1 - wet + wet * dark) * (1 - share), seen * share)


def _road(view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Return rays (3, h, w), the road's normal (3,) in the camera's axes, and which cells show the road (h, w)."""
    direction = view.rays()
    rotation, shift = view.cam_from_lidar[:3, :3].float(), view.cam_from_lidar[:3, 3].float()
    road = torch.from_numpy(view.scene.ground).float()
    up = rotation @ road[:3]
    above = road[3] - up @ shift  # metres of the camera above the road
    cosine = torch.einsum("chw,c->hw", direction, up)
    meets = above / (-cosine).clamp_min(1e-4)
    # of what is seen in its place: a third nearer or farther is no road any more
    flat = (cosine < -1e-3) & ((view.reach / meets).log().abs() < 0.3)
    return direction, up, flat.float()


def _seen_by(view: View, light: Tensor, start: Tensor, mirror: Tensor, sky: Tensor) -> Tensor:
    """Return the light (3, N) that comes along mirrored rays (3, N) to where they start.

    Ripples smear what they show upward.
    """
    scene = view.reach[None, None]
    place, met, before = torch.zeros_like(start[:2]), torch.zeros_like(start[0], dtype=torch.bool), 0.0
    for step in np.geomspace(*_STEPS):
        at = start + float(step) * mirror
        grid = _projected(view, at)
        there = F.grid_sample(scene, grid.T[None, None], mode="nearest", align_corners=False)[0, 0, 0]
        behind = at.square().sum(0).sqrt() - there
        # behind what is seen there, and hardly farther than this step is long: else the ray passes behind it
        hit = ~met & (at[2] > 0) & (behind > 0) & (behind < 1 + 2 * (step - before)) & (grid.abs() < 1).all(0)
        place, met, before = torch.where(hit, grid, place), met | hit, float(step)
    endless = _projected(view, mirror)
    known = met | ((endless.abs() < 1).all(0) & (mirror[2] > 0))
    grid = torch.where(met, place, endless).T[None, None]
    smeared = F.avg_pool2d(light[None], (max(1, light.shape[1] // _RIPPLES), 1), ceil_mode=True)
    found = F.grid_sample(smeared, grid, padding_mode="border", align_corners=False)[0, :, 0]
    return torch.where(known, found, sky)


def _projected(view: View, places: Tensor) -> Tensor:
    """Project places (3, N) in the camera's axes to (2, N), from -1 to 1 over the image."""
    rows, columns = view.size
    matrix, ahead = view.intrinsics.float(), places[2].clamp_min(1e-3)
    u = (matrix[0, 0] * places[0] + matrix[0, 1] * places[1]) / ahead + matrix[0, 2]
    v = matrix[1, 1] * places[1] / ahead + matrix[1, 2]
    return torch.stack([2 * u / columns - 1, 2 * v / rows - 1])
