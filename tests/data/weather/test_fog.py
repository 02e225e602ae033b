"""Fog: Koschmieder's law for cameras, the pulse's law for LiDAR, and one extinction for both."""

import numpy as np
import pytest
import torch

from lidar2d.data.weather.corruption import Scene, Sweep, View
from lidar2d.data.weather.fog import Fog, extinction, soft_by_hard
from lidar2d.data.weather.light import linear

LIGHT, PULSE, TARGET = 299_792_458.0, 20e-9, 1e-6 / np.pi
SCENE = Scene(np.array([0.0, 0.0, 1.0, 1.8]), 0, 1)


def view(image, reach):
    matrix = torch.tensor([[50.0, 0, 8], [0, 50, 8], [0, 0, 1]], dtype=torch.float64)
    return View(image, lambda: reach, matrix, torch.eye(4, dtype=torch.float64), SCENE, 0)


def soft_twin(visibility, target):
    """Integrate the pulse over the fog before the target, a thin slice of time after the other."""
    loss = -np.log(0.05) / visibility
    best = 0.0
    for place in np.arange(0.95, target + 6.0, 0.05):
        time = (np.arange(2000) + 0.5) / 2000 * 2 * PULSE
        depth = place - LIGHT * time / 2
        seen = np.clip((depth - 0.9) / 0.1, 0, 1) * (depth <= target)
        depth = np.where(depth > 0.5, depth, 1.0)
        echo = np.sin(np.pi * time / (2 * PULSE)) ** 2 * np.exp(-2 * loss * depth) / depth**2 * seen
        best = max(best, echo.mean() * 2 * PULSE)
    return target**2 * 0.046 / visibility / TARGET * best / np.exp(-2 * loss * target)


@pytest.mark.parametrize(
    ("loss", "target", "ratio"),
    [(0.06, 10, 0.0037), (0.06, 30, 0.36), (0.06, 60, 53.0), (0.02, 60, 0.17), (0.02, 100, 2.3)],
)
def test_echoes_of_fog_by_those_of_targets_are_the_published_models(loss, target, ratio):
    found, place = soft_by_hard(-np.log(0.05) / loss, np.array([target], np.float32))
    assert found[0] == pytest.approx(ratio, rel=0.05)
    assert 4.5 < place[0] < 4.8


@pytest.mark.parametrize("target", [1.2, 3.0, 5.0, 8.0, 40.0])
def test_the_table_is_the_integral(target):
    found, _ = soft_by_hard(100.0, np.array([target], np.float32))
    assert found[0] == pytest.approx(soft_twin(100.0, target), rel=0.03)


@pytest.mark.parametrize("visibility", [600.0, 150.0, 50.0])
def test_contrast_at_the_visibility_is_5_percent(visibility):
    image = torch.full((3, 16, 16), 255, dtype=torch.uint8)
    image[:, :, :8] = 120
    image[:, :8] = 255  # a sky that fills half of the picture is the light of endless air
    reach = torch.full((16, 16), visibility)
    found = linear(Fog(visibility).picture(view(image, reach), np.random.default_rng(0)))[0]
    before = linear(image)[0]
    contrast = (found[12, 12] - found[12, 2]) / (before[12, 12] - before[12, 2])
    assert float(contrast) == pytest.approx(0.05, abs=0.01)  # steps of eight bits near white


def test_both_sensors_lose_light_by_one_extinction():
    fog, distance = Fog(150.0), 40.0
    image = torch.full((3, 16, 16), 255, dtype=torch.uint8)
    image[:, 8:] = 20
    seen = linear(fog.picture(view(image, torch.full((16, 16), distance)), np.random.default_rng(0)))
    once = (1 - seen[0, 12, 8]) / (1 - linear(image)[0, 12, 8])
    near = np.array([[5.0, 0, 0, 1e-5]], np.float32).repeat(50, 0)  # dim: the sensor sees fainter echoes than ours
    points = np.concatenate([near, np.array([[distance, 0, 0, 0.8]], np.float32).repeat(50, 0)])
    echoes = fog.echoes(Sweep(points, SCENE, (-30, 10), 32), np.random.default_rng(0))
    twice = echoes.points[np.isin(echoes.source, range(50, 100)), 3].mean() / 0.8
    assert float(once) == pytest.approx(np.exp(-extinction(150.0) * distance), abs=0.01)
    assert twice == pytest.approx(float(once) ** 2, rel=0.03)


def test_without_fog_nothing_changes():
    fog = Fog(1e9)
    image = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    assert torch.equal(fog.picture(view(image, torch.full((16, 16), 100.0)), np.random.default_rng(0)), image)
    points = np.random.default_rng(0).uniform(-30, 30, (500, 4)).astype(np.float32)
    points[:, 3] = np.abs(points[:, 3]) / 30
    echoes = fog.echoes(Sweep(points, SCENE, (-30, 10), 32), np.random.default_rng(0))
    assert not echoes.synthetic.any()
    np.testing.assert_array_equal(echoes.source, np.arange(500))
    np.testing.assert_allclose(echoes.points, points, atol=1e-3)
