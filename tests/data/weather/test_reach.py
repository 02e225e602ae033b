"""How far pixels are where only LiDAR tells: planes between beams, and what passes for sky."""

from dataclasses import replace

import pytest
import torch

from lidar2d.data.weather.reach import _FAR, SKY, reaches

EYE = 1.5  # metres of the camera above the road
HEIGHT, WIDTH, FOCAL = 320, 480, 240.0


@pytest.fixture
def street(day):
    """A camera that looks along a flat road; a wall stands across it, and the LiDAR lies in the camera."""
    forward = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    matrix = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    return replace(
        day,
        images=torch.full((1, 3, HEIGHT, WIDTH), 0.3),
        intrinsics=matrix[None],
        cam_from_lidar=forward[None],
        points=swept(wall=30.0),
        **{name: None for name in ("labels", "depth", "pixel_labels", "boxes", "regions", "weak_labels")},
    )


def swept(wall):
    """Return what 10 beams see of the road and of the wall, four metres high."""
    elevation, azimuth = torch.meshgrid(
        torch.linspace(-30, 6, 10).deg2rad(), torch.linspace(-45, 45, 700).deg2rad(), indexing="ij"
    )
    x, y, z = elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()
    reach = torch.where(z < -EYE / (wall / x), EYE / -z, wall / x)
    points = torch.stack([x, y, z], -1) * reach[..., None]
    seen = points[..., 2] < 4.0 - EYE
    return torch.cat([points[seen], torch.full((int(seen.sum()), 1), 0.5)], 1)


def truth(wall):
    v, u = torch.meshgrid(torch.arange(160) * 2 + 1.0, torch.arange(240) * 2 + 1.0, indexing="ij")
    ray = torch.stack([(u - WIDTH / 2) / FOCAL, (v - HEIGHT / 2) / FOCAL, torch.ones_like(u)])
    return torch.where(ray[1] > EYE / wall, EYE / ray[1], wall) * ray.square().sum(0).sqrt()


def test_between_beams_a_road_and_a_wall_are_flat(street):
    found = torch.nn.functional.interpolate(reaches(street)[None], (160, 240))[0, 0]
    ratio = (found / truth(30.0))[:, 16:-16]
    road, wall = ratio[100:150], ratio[74:80]
    assert float((road.log().abs()).max()) < 0.12  # half a cell of eight pixels, 40 below the horizon, is a tenth
    assert float((wall.log().abs()).max()) < 0.05


@pytest.mark.parametrize(("spread", "sky"), [(0.0, True), (0.2, False)])
def test_sky_is_smooth(street, spread, sky):
    bright = 0.8 + spread * (torch.rand(3, HEIGHT // 2, WIDTH, generator=torch.manual_seed(0)) - 0.5)
    images = street.images.clone()
    images[0, :, : HEIGHT // 2] = bright
    top = reaches(replace(street, images=images))[0, :8]
    assert (float(top.min()) > 0.9 * SKY) == sky


def test_a_camera_that_no_point_is_in_sees_far(street):
    behind = street.points * torch.tensor([-1.0, -1, 1, 1])
    assert float(reaches(replace(street, points=behind)).min()) >= 0.99 * _FAR
