"""WaffleIron: its parts against loops, its names, and what it does with points beyond its views."""

import pytest
import torch
from torch import Tensor

from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.waffleiron import (
    CELLS,
    LOW,
    Embedding,
    View,
    WaffleIron,
    _by_distances,
    _by_tree,
    choose_tokens,
    nearest,
)


def sweep(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 4, generator=generator) * torch.tensor([40.0, 40, 4, 1]) - torch.tensor([20.0, 20, 2, 0])


def batch(*sweeps: Tensor) -> Batch:
    none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
    return collate([Frame(points, *none, token=str(index)) for index, points in enumerate(sweeps)])


def test_a_view_is_the_mean_of_each_cell_and_gives_it_back():
    xyz = torch.tensor([[0.1, 0.1, 0], [0.2, 0.2, 3], [0.6, 0.1, 0], [0.1, 0.1, 0], [99, -99, 0]]).double()
    frame = torch.tensor([0, 0, 0, 1, 1])
    tokens = torch.tensor([[1.0], [3.0], [5.0], [7.0], [9.0]]).double()
    view = View(xyz, frame, (0, 1), 2)
    maps = view.flatten(tokens)
    assert maps.shape == (2, 1, *CELLS[:2])
    origin = int(-LOW[0] / 0.5)
    assert maps[0, 0, origin, origin] == 2
    assert maps[0, 0, origin + 1, origin] == 5
    assert maps[1, 0, origin, origin] == 7
    assert maps[1, 0, -1, 0] == 9
    assert int((maps != 0).sum()) == 4
    assert view.inflate(maps)[:, 0].tolist() == [2, 2, 5, 7, 9]


def test_a_token_is_the_first_point_of_a_cube_counted_from_the_least_coordinates():
    xyz = torch.tensor([[1.07, 0, 0], [1.02, 0, 0], [1.13, 0, 0], [1.29, 0, 0], [1.11, 0, 0], [9, 9, 2]])
    frame = torch.tensor([0, 0, 0, 0, 0, 1])
    kept, spread = choose_tokens(xyz, frame, 0.1)
    assert kept.tolist() == [0, 2, 3, 5]
    assert spread.tolist() == [0, 0, 1, 2, 1, 3]  # the nearest token, in whichever cube
    kept, spread = choose_tokens(xyz, frame, 0)
    assert kept.tolist() == spread.tolist() == [0, 1, 2, 3, 4, 5]


def test_points_beyond_the_views_read_the_nearest_token_and_are_none_unless_all_are():
    xyz = torch.tensor([[63.0, 0, 0], [70, 0, 0], [0, 0, -9], [0, 0, 9], [0, 90, 0]])
    kept, spread = choose_tokens(xyz, torch.tensor([0, 0, 0, 1, 1]), 0.1)
    assert kept.tolist() == [0, 3, 4]
    assert spread.tolist() == [0, 0, 0, 1, 2]


def test_a_point_that_is_no_token_has_the_feature_of_the_nearest_one():
    points = sweep(30)
    copy = points[[4]] + torch.tensor([[1e-3, 0, 0, 0.5]])
    net = WaffleIron(8, 16, 3, neighbours=4).eval()
    alone, together = net(batch(points)), net(batch(torch.cat([points, copy])))
    torch.testing.assert_close(together, torch.cat([alone, alone[[4]]]))


def test_tokens_are_made_from_intensity_place_and_distance():
    net, seen = WaffleIron(8, 16, 1, intensity_mean=0.5, intensity_std=2).eval(), []
    net.embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(batch(torch.tensor([[2.0, 3, 6, 0.7]])))
    torch.testing.assert_close(seen[0], torch.tensor([[0.1, 2, 3, 6, 7]]))


def test_the_nearest_equal_a_loop_over_all_pairs():
    points = torch.cat([sweep(60), sweep(5, 1)])[:, :3].double()
    frame = torch.tensor([0] * 60 + [1] * 5)
    found = nearest(points, frame, 7)
    for row in range(65):
        others = [other for other in range(65) if frame[other] == frame[row] and other != row]
        others.sort(key=lambda other: float((points[other] - points[row]).norm()))
        wanted = (others + [row] * 7)[:7]
        assert found[row].tolist() == wanted


def test_a_gpus_way_to_the_nearest_finds_those_of_the_tree():
    points = torch.cat([sweep(300), sweep(50, 1) * 0.1 + 1000])[:, :3]
    found = [(points[near(points, points, 5)] - points[:, None]).norm(dim=2) for near in (_by_distances, _by_tree)]
    torch.testing.assert_close(*found, atol=1e-6, rtol=0)


def test_points_on_one_another_are_neighbours_and_not_themselves():
    found = nearest(torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64), 3)
    assert all(row not in near for row, near in enumerate(found.tolist()))
    assert found.shape == (6, 3)


def test_an_embedding_equals_a_loop():
    torch.manual_seed(0)
    layer = Embedding(5, 8).double().eval()
    inputs, near = torch.randn(9, 5).double(), torch.randint(9, (9, 4))
    got = layer(inputs, near)
    x = layer.norm(inputs)
    for row in range(9):
        hidden = [layer.conv2["1"](layer.conv2["0"](x[other] - x[row : row + 1])) for other in near[row]]
        seen = torch.cat([layer.conv2["4"](torch.relu(layer.conv2["2"](one))) for one in hidden])
        wanted = layer.final(torch.cat([layer.conv1(x[row]), seen.amax(0)]))
        torch.testing.assert_close(got[row], wanted)


def test_a_frames_features_are_its_own_and_rows_pick_them():
    net = WaffleIron(8, 16, 3).eval()
    alone = net(batch(sweep(50)))
    together = net(batch(sweep(50), sweep(30, 1)))
    assert together.shape == (80, 8)
    torch.testing.assert_close(together[:50], alone, atol=1e-5, rtol=1e-5)
    rows = torch.tensor([3, 77])
    torch.testing.assert_close(net(batch(sweep(50), sweep(30, 1)), rows), together[rows])


@pytest.mark.parametrize("count", [0, 1])
def test_no_point_and_one_point_are_no_error(count):
    assert WaffleIron(8, 16, 3).eval()(batch(sweep(count))).shape == (count, 8)


def test_dropped_layers_leave_tokens_as_they_are_and_keep_the_mean():
    torch.manual_seed(0)
    net = WaffleIron(4, 8, 1, drop_path=0.5)
    layer = net.waffleiron["channel_mix"][0]
    tokens, frame = torch.randn(400, 8), torch.arange(400)
    change = layer(tokens, frame) - tokens
    whole = layer.eval()(tokens, frame) - tokens
    dropped = change.abs().amax(1) < 1e-6
    assert 0.4 < float(dropped.float().mean()) < 0.6
    torch.testing.assert_close(change[~dropped], 2 * whole[~dropped], atol=1e-5, rtol=1e-4)


def test_names_are_those_of_released_weights():
    names = set(WaffleIron().state_dict())
    assert {
        "embed.conv2.4.weight",
        "waffleiron.spatial_mix.5.ffn.2.bias",
        "waffleiron.channel_mix.0.scale.weight",
        "classif.bias",
    } <= names
