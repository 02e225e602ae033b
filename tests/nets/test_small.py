import pytest
import torch
from safetensors.torch import save_file

from lidar2d.errors import UsageError
from lidar2d.nets.small import SmallConv


def test_a_quarter_of_the_image_comes_out():
    net = SmallConv(width=16, channels=24)
    assert net(torch.rand(2, 3, 112, 208)).shape == (2, 24, 28, 52)
    assert net(torch.rand(1, 3, 75, 90)).shape == (1, 24, 19, 22)
    assert net.channels == 24
    assert net.stride == 4


def test_a_stride_of_2_follows_edges_at_half_of_the_image():
    net = SmallConv(width=16, channels=24, stride=2)
    assert net(torch.rand(2, 3, 112, 208)).shape == (2, 24, 56, 104)
    assert net(torch.rand(1, 3, 75, 90)).shape == (1, 24, 38, 45)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    net(images)[0, 0, 3, 3].backward()
    assert images.grad.abs().sum() > 0


def test_a_network_that_is_told_places_tells_equal_pixels_apart():
    torch.manual_seed(0)
    images = torch.full((1, 3, 64, 64), 0.5)
    spread = {}
    for place in (False, True):
        net = SmallConv(width=16, channels=8, place=place)
        spread[place] = net(images)[0, :, 6:10, 6:10].std((1, 2)).mean()  # far from the border, which tells it, too
    assert spread[True] > 3 * spread[False]


def test_the_default_has_about_a_million_weights():
    assert 0.8e6 < sum(p.numel() for p in SmallConv().parameters()) < 1.2e6


def test_a_feature_sees_most_of_a_small_image():
    net = SmallConv(width=16, channels=8).double()
    for name, parameter in net.named_parameters():
        if name.endswith("norm2.weight"):
            torch.nn.init.ones_(parameter)  # residual branches begin at zero
    images = torch.rand(1, 3, 112, 208, dtype=torch.float64, requires_grad=True)
    # without GroupNorm, whose statistics see the whole image anyway
    for module in net.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x  # type: ignore[method-assign]
    net(images)[0, :, 14, 26].sum().backward()
    seen = images.grad.abs().sum((0, 1)) > 0
    rows, columns = seen.any(1).sum(), seen.any(0).sum()
    assert rows >= 100
    assert columns >= 150


def test_one_image_does_not_change_the_features_of_another():
    net = SmallConv(width=16)
    images = torch.rand(3, 3, 32, 48)
    torch.testing.assert_close(net(images)[1:2], net(images[1:2]), atol=1e-5, rtol=0)


def test_every_weight_learns():
    net = SmallConv(width=16)
    for name, parameter in net.named_parameters():
        if name.endswith("norm2.weight"):
            torch.nn.init.ones_(parameter)
    net(torch.rand(1, 3, 32, 48)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_weights_come_back_from_a_file(tmp_path):
    net = SmallConv(width=16)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    again = SmallConv(width=16, weights=str(tmp_path / "net.safetensors"))
    images = torch.rand(1, 3, 32, 48)
    assert torch.equal(net(images), again(images))


def test_weights_of_another_width_are_refused_by_name(tmp_path):
    save_file(SmallConv(width=16).state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match=r"net.safetensors does not fit.*is \(8, 3, 3, 3\), not \(16, 3, 3, 3\)"):
        SmallConv(width=32, weights=str(tmp_path / "net.safetensors"))


def test_an_unknown_name_of_weights_is_refused():
    with pytest.raises(UsageError, match="no weights 'twon'"):
        SmallConv(weights="twon")
