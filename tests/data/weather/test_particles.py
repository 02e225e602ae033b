"""Drops and flakes: what they take from the light, and the strongest echo against drops drawn one by one."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import ks_2samp

from lidar2d.data.weather.particles import strongest_echo
from lidar2d.data.weather.rain import drop_sizes
from lidar2d.data.weather.snow import flakes


def test_extinction_of_rain_is_twice_the_shadow_of_its_drops():
    rate = 25.0
    # Marshall and Palmer: per cubic metre and millimetre, D in millimetres
    shadow, _ = quad(lambda d: 8000 * np.exp(-4.1 * rate**-0.21 * d) * np.pi / 4 * (d * 1e-3) ** 2, 0, 50)
    assert drop_sizes(rate).extinction == pytest.approx(2 * shadow, rel=1e-6)


def test_flakes_fill_their_share_of_the_air():
    snow = flakes(5e-6)
    volume, _ = quad(lambda d: snow.density * np.exp(-d / snow.size) * np.pi / 6 * d**3, 0, 0.1)
    assert volume == pytest.approx(5e-6, rel=1e-6)


@pytest.mark.parametrize("particles", [drop_sizes(25.0), flakes(1e-6)])
def test_the_strongest_echo_is_that_of_drops_drawn_one_by_one(particles):
    rng = np.random.default_rng(0)
    far, beams = 25.0, 600
    edges = np.linspace(0.9, far, 300)
    depth = (edges[1:] + edges[:-1]) / 2
    volume = np.pi / 4 * (0.01 + 3e-3 * depth) ** 2 * np.diff(edges)
    drawn, places = np.zeros(beams), np.zeros(beams)
    for beam in range(beams):
        r = np.repeat(depth, rng.poisson(particles.number * volume))
        share = np.minimum(rng.exponential(particles.size, len(r)) / (0.01 + 3e-3 * r), 1) ** 2
        seen = np.clip((r - 0.9) / 0.1, 0, 1)
        power = particles.reflectivity * seen * share * np.exp(-2 * particles.extinction * r) / r**2
        drawn[beam], places[beam] = power.max(), r[power.argmax()]
    power, place, _ = strongest_echo(particles, np.full(4000, far, np.float32), np.random.default_rng(1))
    assert ks_2samp(power, drawn).pvalue > 0.01
    assert ks_2samp(place, places).pvalue > 0.001
    assert np.all(place <= far)


def test_a_target_nearer_than_any_drop_is_seen():
    power, _, _ = strongest_echo(drop_sizes(100.0), np.full(50, 0.5, np.float32), np.random.default_rng(0))
    assert np.median(power) < 1e-8
