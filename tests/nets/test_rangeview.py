import math

import pytest
import torch

from lidar2d.errors import SettingError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.rangeview import RangeView, cells_of, nearest_points


def frame(points: torch.Tensor, token: str = "a") -> Frame:
    return Frame(
        points, torch.zeros(0, 3, 4, 4), torch.zeros(0, 3, 3).double(), torch.zeros(0, 4, 4).double(), token=token
    )


def sweep(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    azimuth, elevation, distance, intensity = torch.rand(4, count, generator=generator)
    azimuth, elevation, distance = azimuth * 2 * math.pi, torch.deg2rad(elevation * 40 - 30), distance * 40 + 2
    xy = distance * elevation.cos()
    return torch.stack([xy * azimuth.cos(), xy * azimuth.sin(), distance * elevation.sin(), intensity], dim=1)


def batch(*counts: int) -> Batch:
    return collate([frame(sweep(count, seed), str(seed)) for seed, count in enumerate(counts)])


def net(**options: object) -> RangeView:
    torch.manual_seed(0)
    return RangeView(**{"channels": 8, "width": 8, "columns": 64, "hidden": 16, **options})  # type: ignore[arg-type]


def test_cells_follow_elevation_and_azimuth():
    span = (-30.0, 10.0)
    down = math.tan(math.radians(29))
    xyz = torch.tensor([[-1.0, -1e-6, 0], [1.0, 1e-6, 0], [1.0, 0, -down], [0, 1, 10], [0, 1, -10], [0, 0, 0]])
    row, column = divmod(cells_of(xyz, 4, 8, span).numpy(), 8)
    assert row.tolist() == [1, 1, 3, 0, 3, 1]
    assert column.tolist() == [0, 4, 4, 6, 6, 4]


def test_each_beam_of_nuscenes_has_its_row():
    beams = torch.deg2rad(torch.linspace(10.67, -30.67, 32))
    xyz = torch.stack([beams.cos(), torch.zeros(32), beams.sin()], dim=1)
    assert (cells_of(xyz, 32, 480, (-31.0, 11.0)) // 480).tolist() == list(range(32))


def test_the_nearest_point_wins_and_the_first_of_equals():
    cell = torch.tensor([2, 0, 2, 2, 0, 4])
    distance = torch.tensor([5.0, 1.0, 3.0, 3.0, 1.0, 9.0])
    assert nearest_points(cell, distance, 5).tolist() == [1, 6, 2, 6, 5]


def test_nearest_points_equals_a_loop():
    generator = torch.Generator().manual_seed(0)
    cell = torch.randint(50, (400,), generator=generator)
    distance = torch.randint(20, (400,), generator=generator).double()
    expected = []
    for wanted in range(50):
        inside = [(float(distance[i]), i) for i in range(400) if cell[i] == wanted]
        expected.append(min(inside)[1] if inside else 400)
    assert nearest_points(cell, distance, 50).tolist() == expected


def test_every_point_has_a_feature_and_points_of_one_cell_differ():
    scene = sweep(300, 0)
    scene[1] = scene[0] * torch.tensor([1.5, 1.5, 1.5, 1])  # the same ray, farther away
    found = net()(collate([frame(scene)]))
    assert found.shape == (300, 8)
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_frames_of_a_batch_do_not_mix():
    model = net()
    both = model(batch(200, 300))
    torch.testing.assert_close(both[:200], model(collate([frame(sweep(200, 0))])), atol=1e-5, rtol=0)
    torch.testing.assert_close(both[200:], model(collate([frame(sweep(300, 1))])), atol=1e-5, rtol=0)


def test_the_order_of_points_does_not_matter():
    model, scene = net(), sweep(500, 0)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        model(collate([frame(scene[order])])), model(collate([frame(scene)]))[order], atol=1e-5, rtol=0
    )


def test_the_panorama_closes_on_itself():
    """Turning the image by whole strides turns what the network sees: no seam behind the car."""
    model = net().double()
    image = torch.randn(1, 6, 32, 64, dtype=torch.float64)
    turned = model._panorama(image.roll(24, dims=-1))
    torch.testing.assert_close(turned, model._panorama(image).roll(24, dims=-1), atol=1e-10, rtol=0)


def test_any_lidar_fits_and_so_does_an_empty_frame():
    scene = sweep(100, 0)
    scene[:, 2] += 40  # far above the elevation span
    found = net()(collate([frame(scene), frame(torch.zeros(0, 4), "b"), frame(torch.zeros(3, 4), "c")]))
    assert found.shape == (103, 8)
    assert found.isfinite().all()


def test_every_weight_learns_and_runs_agree_bit_for_bit():
    gradients = []
    for _ in range(2):
        model = net()
        model(batch(300, 200)).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(a.abs().sum() > 0 and torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_it_runs_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        found = net()(batch(300))
    found.float().sum().backward()
    assert found.isfinite().all()


def test_the_default_is_light():
    assert sum(p.numel() for p in RangeView().parameters()) < 0.7e6


def test_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(SettingError, match="multiple"):
        RangeView(columns=100)


def test_features_of_some_points_are_those_of_all():
    points, rows = batch(50, 70), torch.tensor([3, 3, 119, 60, 0])
    encoder = net()
    assert torch.allclose(encoder(points, rows), encoder(points)[rows], atol=1e-6)


def test_a_panorama_of_another_sensor_is_told():
    net = RangeView()
    assert net.advice(32, (-30.67, 10.67)) == ""
    assert "--method.points.rows 64 --method.points.elevation [-24.9,2] fits it" in net.advice(64, (-24.9, 2.0))
    assert "32 rows from -31 to 11 degrees" in net.advice(64, (-24.9, 2.0))
