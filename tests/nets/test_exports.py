"""What others read: their names, their layouts, nothing of ours; and it comes back as it went."""

import pytest
import timm
import torch

from lidar2d.errors import UsageError
from lidar2d.nets.exports import FORMS, export, form
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.voxelnet import VoxelNet

# of OpenPCDet's VoxelBackBone8x with spconv 2, written out
STAGES = {1: [(16, 16)], 2: [(16, 32), (32, 32), (32, 32)], 3: [(32, 64), (64, 64), (64, 64)], 4: [(64, 64)] * 3}


def expected_backbone() -> dict[str, tuple[int, ...]]:
    layout = {"conv_input.0.weight": (16, 3, 3, 3, 4)} | norm("conv_input.1", 16)
    for stage, convs in STAGES.items():
        for index, (channels, out) in enumerate(convs):
            layout[f"conv{stage}.{index}.0.weight"] = (out, 3, 3, 3, channels)
            layout |= norm(f"conv{stage}.{index}.1", out)
    return layout | {"conv_out.0.weight": (128, 3, 1, 1, 64)} | norm("conv_out.1", 128)


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    sizes = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return sizes | {f"{name}.num_batches_tracked": ()}


def shapes(state: dict[str, torch.Tensor], prefix: str) -> dict[str, tuple[int, ...]]:
    assert all(name.startswith(prefix) for name in state)
    return {name.removeprefix(prefix): tuple(value.shape) for name, value in state.items()}


def test_openpcdet_gets_its_backbone_and_nothing_else():
    content = export(VoxelNet(), form("openpcdet"))
    assert list(content) == ["model_state"]
    assert shapes(content["model_state"], "backbone_3d.") == expected_backbone()


@pytest.mark.parametrize(("name", "prefix"), [("mmdet3d", "middle_encoder."), ("mmdet3d-mvx", "pts_middle_encoder.")])
def test_mmdetection3d_gets_its_sparse_encoder(name, prefix):
    expected = {}
    for key, shape in expected_backbone().items():
        stage, dot, rest = key.partition(".")
        own = f"encoder_layers.encoder_layer{stage[-1]}" if stage[-1].isdigit() else stage
        expected[own + dot + rest] = (*shape[1:], shape[0]) if len(shape) == 5 else shape
    assert shapes(export(VoxelNet(), form(name))["state_dict"], prefix) == expected


@pytest.mark.parametrize("name", [name for name in FORMS if FORMS[name].network is not TimmEncoder])
def test_what_is_exported_comes_back_bit_by_bit(tmp_path, name):
    torch.manual_seed(0)
    net = FORMS[name].network()
    for value in net.state_dict().values():
        value.copy_(torch.randn(value.shape).abs() if value.is_floating_point() else torch.tensor(3))
    torch.save(export(net, form(name)), tmp_path / "file.pth")
    again = type(net)(weights=str(tmp_path / "file.pth"))
    for key, value in again.state_dict().items():
        if not (key.endswith("num_batches_tracked") or (not FORMS[name].whole and key.startswith(net.head))):
            assert torch.equal(value, net.state_dict()[key]), key
    assert again.loaded.kept == (() if FORMS[name].whole else ("final.kernel",))
    assert not again.loaded.beside


def test_a_bias_is_a_vector_where_spconvs_layers_are_to_read_it():
    net = MinkUNet()
    assert export(net, form("spconv"))["final.bias"].shape == (64,)
    assert export(net, form("slidr"))["model_points"]["final.bias"].shape == (1, 64)


def test_what_the_voxels_were_travels_with_slidrs_form():
    config = export(MinkUNet(voxel_size=0.05, cylindrical=False), form("slidr"))["config"]
    assert config == {"voxel_size": 0.05, "cylindrical_coordinates": False}


def test_timm_itself_reads_an_image_encoder():
    encoder = TimmEncoder("resnet26", weights=None)
    timm.create_model("resnet26", num_classes=0).load_state_dict(export(encoder, form("timm")))


def test_the_wrong_network_and_an_unknown_form_are_refused():
    with pytest.raises(UsageError, match="for VoxelNet, not for MinkUNet"):
        export(MinkUNet(), form("openpcdet"))
    with pytest.raises(UsageError, match="did you mean 'openpcdet'"):
        form("openpcdt")


def test_low_rank_updates_are_folded_into_what_timm_reads():
    name = "vit_tiny_patch16_224"
    encoder = TimmEncoder(name, weights=None, frozen=False, lora_rank=2)
    for pair in encoder.tuned():
        torch.nn.init.normal_(pair.b, std=0.1)
    plain = timm.create_model(name, num_classes=0).eval()
    plain.load_state_dict(export(encoder, form("timm")))
    images = torch.rand(1, 3, 224, 224)
    tokens = plain.forward_features((images - 0.5) / 0.5)[:, 1:].transpose(1, 2).reshape(1, 192, 14, 14)
    torch.testing.assert_close(encoder.eval()(images), tokens, atol=1e-5, rtol=1e-4)
