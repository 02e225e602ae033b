import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.minkunet import MinkUNet, MinkUNet34C
from lidar2d.nets.sparse import SparseTensor, cylindrical, voxelise


def frame(count: int, seed: int) -> Frame:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 4, generator=generator) * torch.tensor([4.0, 4, 2, 1]) - torch.tensor([2.0, 2, 1, 0])
    none = torch.zeros(0, 3, 3).double()
    return Frame(points, torch.zeros(0, 3, 4, 4), none, torch.zeros(0, 4, 4).double(), token=str(seed))


def batch(*counts: int) -> Batch:
    return collate([frame(count, seed) for seed, count in enumerate(counts)])


def expected_layout() -> dict[str, tuple[int, ...]]:
    """The 126 convolutions, norms and the bias of the published network, written out."""
    layout: dict[str, tuple[int, ...]] = {"conv0p1s1.kernel": (27, 1, 32), "bn0": (32,)}
    for index, (name, channels) in enumerate((("1p1s2", 32), ("2p2s2", 32), ("3p4s2", 64), ("4p8s2", 128)), 1):
        layout |= {f"conv{name}.kernel": (8, channels, channels), f"bn{index}": (channels,)}
    ups = (("4p16s2", 256, 256), ("5p8s2", 256, 128), ("6p4s2", 128, 96), ("7p2s2", 96, 96))
    for index, (name, before, out) in enumerate(ups, 4):
        layout |= {f"convtr{name}.kernel": (8, before, out), f"bntr{index}": (out,)}
    before = (32, 32, 64, 128, 384, 192, 128, 128)
    after = (32, 64, 128, 256, 256, 128, 96, 96)
    for group, (size, out, depth) in enumerate(zip(before, after, (2, 3, 4, 6, 2, 2, 2, 2), strict=True), 1):
        for j in range(depth):
            block = f"block{group}.{j}"
            layout |= {f"{block}.conv1.kernel": (27, size if j == 0 else out, out), f"{block}.norm1": (out,)}
            layout |= {f"{block}.conv2.kernel": (27, out, out), f"{block}.norm2": (out,)}
        if size != out:
            layout |= {f"block{group}.0.downsample.0.kernel": (size, out), f"block{group}.0.downsample.1": (out,)}
    return layout | {"final.kernel": (96, 64), "final.bias": (1, 64)}


def test_names_and_shapes_are_those_of_the_released_weights():
    layout = expected_layout()
    assert len(layout) == 126
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in layout.items():
        if name.endswith((".kernel", ".bias")):
            expected[name] = shape
        else:
            expected |= {f"{name}.bn.{key}": shape for key in ("weight", "bias", "running_mean", "running_var")}
            expected[f"{name}.bn.num_batches_tracked"] = ()
    net = MinkUNet34C()
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == expected
    assert sum(p.numel() for p in net.parameters()) == 37_849_184


def test_the_momentum_reaches_the_norms_outside_the_blocks_and_in_short_cuts():
    net = MinkUNet(bn_momentum=0.02)
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            inside = ".norm1." in f"{name}." or ".norm2." in f"{name}."
            assert module.momentum == (0.1 if inside else 0.02), name


def test_every_point_has_the_feature_of_its_voxel_and_every_weight_learns():
    net = MinkUNet(channels=8, voxel_size=0.2)
    scene = batch(300, 200)
    found = net(scene)
    assert found.shape == (500, 8)
    voxels = voxelise(cylindrical(scene.points[:, :3]), scene.point_frame, (0.2, 1.0, 0.2))
    assert len(voxels.grid) < 500
    assert torch.equal(found, found[voxels.first][voxels.inverse])
    found.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_frames_of_a_batch_do_not_mix():
    net = MinkUNet(voxel_size=0.2, cylindrical=False).eval()
    both = net(batch(300, 200))
    torch.testing.assert_close(both[:300], net(collate([frame(300, 0)])), atol=1e-5, rtol=1e-4)


def test_cartesian_features_move_with_the_scene_by_whole_coarsest_voxels():
    net = MinkUNet(voxel_size=0.25, cylindrical=False).double().eval()
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(-400, 400, (300, 4), generator=generator).double() / 128 + 1 / 256  # off voxel borders
    moved = points + torch.tensor([16 * 0.25, -32 * 0.25, 16 * 0.25, 0])
    none = torch.zeros(0, 3, 3).double(), torch.zeros(0, 4, 4).double()
    found, again = (net(collate([Frame(p, torch.zeros(0, 3, 4, 4), *none, token="a")])) for p in (points, moved))
    torch.testing.assert_close(found, again, atol=1e-12, rtol=0)


def test_the_intensity_enters_at_the_recipes_scale():
    torch.manual_seed(0)
    raw = MinkUNet(voxel_size=0.2, intensity_scale=255.0).eval()
    unit = MinkUNet(voxel_size=0.2, intensity_scale=1.0).eval()
    unit.load_state_dict(raw.state_dict())
    unit.conv0p1s1.kernel.data *= 255
    scene = batch(200)
    torch.testing.assert_close(raw(scene), unit(scene), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(raw(scene), MinkUNet(voxel_size=0.2, intensity_scale=1.0).eval()(scene), atol=1e-3)


def dense_unet(net: MinkUNet, volume: Tensor, occupied: Tensor) -> Tensor:
    """The same network on a dense volume (1, C, c, b, a), cleared outside the occupied voxels after every layer."""
    masks = [occupied]
    for _ in range(4):
        masks.append(F.max_pool3d(masks[-1], 2))

    def kernel(module: torch.nn.Module) -> Tensor:
        weight = module.kernel
        if weight.ndim == 2:
            weight = weight[None]
        width = round(len(weight) ** (1 / 3))
        return weight.view(width, width, width, *weight.shape[1:])

    def norm(module: torch.nn.Module, x: Tensor, level: int) -> Tensor:
        bn = module.bn
        out = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        return out * masks[level]

    def conv(module: torch.nn.Module, x: Tensor, level: int) -> Tensor:
        weight = kernel(module)
        return F.conv3d(x, weight.permute(4, 3, 0, 1, 2), padding=weight.shape[0] // 2) * masks[level]

    def block(blocks: torch.nn.Module, x: Tensor, level: int) -> Tensor:
        for one in blocks:
            inner = F.relu(norm(one.norm1, conv(one.conv1, x, level), level))
            inner = norm(one.norm2, conv(one.conv2, inner, level), level)
            if one.downsample is not None:
                x = norm(one.downsample[1], conv(one.downsample[0], x, level), level)
            x = F.relu(inner + x)
        return x

    levels = [F.relu(norm(net.bn0, conv(net.conv0p1s1, volume, 0), 0))]
    x = levels[0]
    names = ("conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2")
    for level, name in enumerate(names, 1):
        x = F.conv3d(x, kernel(getattr(net, name)).permute(4, 3, 0, 1, 2), stride=2)
        x = block(getattr(net, f"block{level}"), F.relu(norm(getattr(net, f"bn{level}"), x, level)), level)
        levels.append(x)
    for level, name in zip((3, 2, 1, 0), ("4p16s2", "5p8s2", "6p4s2", "7p2s2"), strict=True):
        x = F.conv_transpose3d(x, kernel(getattr(net, f"convtr{name}")).permute(3, 4, 0, 1, 2), stride=2)
        x = F.relu(norm(getattr(net, f"bntr{name[0]}"), x, level))
        x = block(getattr(net, f"block{8 - level}"), torch.cat([x, levels[level]], dim=1), level)
    return conv(net.final, x, 0) + net.final.bias[0, :, None, None, None]


def test_the_whole_network_equals_its_dense_twin():
    torch.manual_seed(0)
    net = MinkUNet(
        channels=5, stem=4, planes=(4, 5, 6, 7, 7, 6, 5, 4), layers=(2, 1, 1, 1, 1, 1, 1, 2), cylindrical=False
    )
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias, std=0.3)
    places = torch.cartesian_prod(*(torch.arange(-16, 16),) * 3)
    places = places[torch.rand(len(places)) < 0.05]
    voxels = voxelise(places.double() + 0.5, torch.zeros(len(places), dtype=torch.int64), (1.0, 1.0, 1.0))
    features = torch.randn(len(places), 1, dtype=torch.float64)
    a, b, c = (voxels.grid.coordinates[:, 1:] + 16).unbind(1)
    volume, occupied = torch.zeros(2, 1, 1, 32, 32, 32, dtype=torch.float64)
    volume[0, 0, c, b, a] = features[:, 0]
    occupied[0, 0, c, b, a] = 1
    expected = dense_unet(net, volume, occupied)[0, :, c, b, a].T
    torch.testing.assert_close(net._unet(SparseTensor(features, voxels.grid)).features, expected, atol=1e-10, rtol=0)


def test_features_of_some_points_are_those_of_all():
    points, rows = batch(50, 70), torch.tensor([3, 3, 119, 60, 0])
    encoder = MinkUNet().eval()
    assert torch.allclose(encoder(points, rows), encoder(points)[rows], atol=1e-6)


def test_weights_with_the_published_names_load_with_nothing_left_over(tmp_path):
    torch.manual_seed(0)
    released = {}
    for name, shape in expected_layout().items():
        parts = [name] if name.endswith((".kernel", ".bias")) else [
            f"{name}.bn.{part}" for part in ("weight", "bias", "running_mean", "running_var")
        ]  # fmt: skip
        released |= {part: torch.randn(shape).abs() for part in parts}
    torch.save({"model_points": released}, tmp_path / "released.pt")
    net = MinkUNet34C(weights=str(tmp_path / "released.pt"))
    assert all(torch.equal(net.state_dict()[name], value) for name, value in released.items())
    assert set(net.loaded.used) == {f"model_points.{name}" for name in released}
    assert set(net.state_dict()).difference(released) == {n for n in net.state_dict() if n.endswith("tracked")}
    left = net.loaded.beside, net.loaded.elsewhere, net.loaded.kept, net.loaded.reshaped
    assert left == ({}, (), (), {})
