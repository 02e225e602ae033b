import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
import yaml
from safetensors.torch import save_file

from lidar2d import arguments, recipe
from lidar2d.data.module import LidarData
from lidar2d.errors import SettingError, UsageError
from lidar2d.fit import TrainerOptions
from lidar2d.methods.base import Method
from lidar2d.nets.encoder import whole_cells
from lidar2d.nets.images import TimmEncoder

VIT = "vit_tiny_patch16_224"


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("name", "options", "channels", "stride"),
    [
        (VIT, {"level": 2}, 192, 16),
        ("vit_small_patch14_dinov2.lvd142m", {"level": 0, "norm": False}, 384, 14),
        ("resnet18", {"level": 2}, 128, 8),
        ("resnet18", {"level": 0}, 64, 2),
        ("resnet26", {"output_stride": 8}, 2048, 8),
        ("resnet26", {"output_stride": 4}, 2048, 4),
        ("resnet26", {"output_stride": 4, "level": 3}, 1024, 4),
        ("vit_small_patch14_reg4_dinov2.lvd142m", {"level": 1, "class_token": True}, 768, 14),
        ("convnext_atto", {}, 320, 32),
        (VIT, {"level": (2, 0), "class_token": True}, 768, 16),
    ],
)
def test_maps_cover_images_of_any_size(name, options, channels, stride):
    encoder = TimmEncoder(name, weights=None, **options)
    assert (encoder.channels, encoder.stride) == (channels, stride)
    found = encoder(torch.rand(1, 3, 72, 101))
    assert found.shape == (1, channels, round(72 / stride), round(101 / stride))


def test_tokens_are_those_of_timm_with_the_backbones_own_normalisation():
    torch.manual_seed(0)
    encoder = TimmEncoder(VIT, weights=None)
    torch.manual_seed(0)
    backbone = timm.create_model(VIT, num_classes=0).eval()
    images = torch.rand(1, 3, 224, 224)
    tokens = backbone.forward_features((images - 0.5) / 0.5)[:, 1:]  # this one was trained with 0.5, not ImageNet's
    torch.testing.assert_close(encoder(images), tokens.transpose(1, 2).reshape(1, 192, 14, 14), atol=1e-5, rtol=1e-4)


def test_a_frozen_encoder_stays_in_evaluation_and_gets_no_gradient():
    encoder = TimmEncoder("resnet18", weights=None, level=1).train()
    assert not any(module.training for module in encoder.modules())
    assert not encoder(torch.rand(1, 3, 32, 32)).requires_grad
    tuned = TimmEncoder("resnet18", weights=None, level=1, frozen=False).train()
    assert all(module.training for module in tuned.modules())
    tuned(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None for p in tuned.parameters())


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_local_file_gives_the_same_features(tmp_path, ending):
    model = timm.create_model("resnet18", num_classes=10)  # the file's classifier does not matter
    path = tmp_path / f"net.{ending}"
    if ending == "pt":
        torch.save({"state_dict": model.state_dict()}, path)
    else:
        save_file(model.state_dict(), path)
    encoder = TimmEncoder("resnet18", weights=str(path))
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(model.default_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = model.eval().forward_features((images - mean) / std)
    torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=1e-4)


def test_a_file_of_another_backbone_is_refused_with_its_first_faults(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(UsageError, match=r"other.safetensors does not fit this network: .*and \d+ more"):
        TimmEncoder("resnet34", weights=str(path))


def test_without_the_hub_a_local_file_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="give a local file"):
        TimmEncoder("resnet10t")


def test_wrong_names_levels_and_strides_are_refused():
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        TimmEncoder("resnet_18", weights=None)
    with pytest.raises(UsageError, match="levels 0 to 4"):
        TimmEncoder("resnet18", weights=None, level=5)
    with pytest.raises(UsageError, match="output_stride"):
        TimmEncoder(VIT, weights=None, output_stride=8)


def test_a_stride_of_four_is_torchvisions_dilated_resnet():
    torch.manual_seed(0)
    encoder = TimmEncoder("resnet50", weights=None, output_stride=4)
    judge = torchvision.models.resnet50(replace_stride_with_dilation=[True, True, True]).eval()
    judge.load_state_dict(encoder.backbone.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    x = (images - encoder.get_buffer("_mean")) / encoder.get_buffer("_std")
    with torch.no_grad():
        x = judge.maxpool(judge.relu(judge.bn1(judge.conv1(x))))
        wanted = judge.layer4(judge.layer3(judge.layer2(judge.layer1(x))))
        got = encoder(images)
    assert got.shape == (1, 2048, 16, 24)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_a_stride_of_four_is_for_bottlenecks_and_a_class_token_for_vits():
    with pytest.raises(UsageError, match="only ResNets of bottlenecks"):
        TimmEncoder("resnet18", weights=None, output_stride=4)
    with pytest.raises(UsageError, match="no class token"):
        TimmEncoder("resnet18", weights=None, class_token=True)


def test_the_class_token_stands_beside_every_patch():
    encoder = TimmEncoder("vit_small_patch14_reg4_dinov2.lvd142m", weights=None, class_token=True)
    images = torch.rand(1, 3, 28, 42)
    with torch.no_grad():
        found = encoder(images)
        x = (images - encoder.get_buffer("_mean")) / encoder.get_buffer("_std")
        tokens = encoder.backbone.forward_features(x)
    torch.testing.assert_close(found[0, 384:, 0, 0], tokens[0, 0])
    torch.testing.assert_close(found[0, 384:, 1, 2], tokens[0, 0])
    torch.testing.assert_close(found[0, :384].flatten(1).T, tokens[0, 5:])


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_small_patch16_224.dino", 1),
        ("vit_small_patch14_dinov2.lvd142m", 1),
        ("vit_small_patch14_reg4_dinov2.lvd142m", 5),
        ("vit_small_patch16_dinov3.lvd1689m", 5),
        ("vit_small_patch16_dinov3_qkvb.lvd1689m", 5),
    ],
)
def test_class_and_register_tokens_are_not_among_the_patches_of_odd_images(name, prefix):
    encoder = TimmEncoder(name, weights=None, level=0)
    images, height, width = torch.rand(2, 3, 61, 103), round(61 / encoder.stride), round(103 / encoder.stride)
    found = encoder(images)
    assert encoder.backbone.num_prefix_tokens == prefix
    assert found.shape == (2, 384, height, width)
    x = (whole_cells(images, encoder.stride) - encoder.get_buffer("_mean")) / encoder.get_buffer("_std")
    tokens = encoder.backbone.forward_features(x)
    assert tokens.shape[1] == prefix + height * width
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), tokens[:, prefix:])


@pytest.mark.parametrize("name", ["convnext_tiny.dinov3_lvd1689m", "convnext_tiny.fb_in22k"])
def test_convnexts_cover_odd_images(name):
    encoder = TimmEncoder(name, weights=None, level=(0, 2))
    assert (encoder.channels, encoder.stride) == (96 + 384, 4)
    assert encoder(torch.rand(1, 3, 61, 103)).shape == (1, 480, 16, 24)  # of 64 x 96 pixels


@pytest.mark.parametrize(
    ("name", "levels", "options"),
    [
        (VIT, (1, 2), {}),
        (VIT, (2, 0, 1), {"norm": False}),
        ("vit_small_patch16_dinov3", (1, 0), {"class_token": True}),
        ("resnet18", (2, 4, 1), {}),
        ("convnext_atto", (-1, 0), {}),
        ("resnet26", (3, 1), {"output_stride": 4}),
    ],
)
def test_several_levels_are_each_level_alone_side_by_side(name, levels, options):
    def make(level):
        torch.manual_seed(0)
        return TimmEncoder(name, weights=None, level=level, **options)

    together, alone = make(levels), [make(level) for level in levels]
    images = torch.rand(2, 3, 64, 96)
    maps = [encoder(images) for encoder in alone]
    size = [64 // together.stride, 96 // together.stride]
    expected = torch.cat([F.interpolate(m, size=size, mode="bilinear", align_corners=False) for m in maps], dim=1)
    assert together.channels == sum(encoder.channels for encoder in alone)
    assert together.stride == min(encoder.stride for encoder in alone)
    torch.testing.assert_close(together(images), expected)


@pytest.mark.parametrize(
    ("level", "answer"),
    [
        (12, r"level is 12; vit_tiny_patch16_224 has levels 0 to 11"),
        ((0, 12), r"level is \[0, 12\]; vit_tiny_patch16_224 has levels 0 to 11"),
        ((), "has levels 0 to 11"),
        ((-1, 11), "give each level once"),
    ],
)
def test_levels_that_are_not_there_or_there_twice_are_refused(level, answer):
    with pytest.raises(SettingError, match=answer):
        TimmEncoder(VIT, weights=None, level=level)


def parsed(tmp_path, images, *flags):
    """Build collab with these arguments of its image network, through the command line's parser."""
    content = recipe.read(recipe.find("methods", "collab"))
    network = {"class_path": "lidar2d.nets.images.TimmEncoder", "init_args": {"name": VIT, "weights": None, **images}}
    content["method"]["init_args"]["images"] = network
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    parser = arguments.fit_parser(Method, LidarData, TrainerOptions)
    return arguments.build(parser, arguments.parse(parser, ["--config", str(path), *flags])).method.images


def test_recipes_and_flags_name_levels_and_what_is_tuned(tmp_path):
    made = parsed(tmp_path, {"level": [2, 5], "frozen": False, "tune_last": 2, "lora_rank": 4})
    assert made.levels == (2, 5)
    assert len(made.tuned()) == 4
    flags = ("--method.images.level", "[1,0]", "--method.images.tune_last=null", "--method.images.lora_rank", "0")
    made = parsed(tmp_path, {"level": [2, 5], "frozen": False, "tune_last": 2, "lora_rank": 4}, *flags)
    assert made.levels == (1, 0)
    assert made.tuned() == [made.backbone]
    assert parsed(tmp_path, {"frozen": False}, "--method.images.level", "3").levels == (3,)


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        ("--method.images.level x", "--method.images.level: expected a whole number or a list"),
        ("--method.images.level [1,x]", "--method.images.level"),
        ("--method.images.level [2,20]", "--method.images.level is [2, 20]; vit_tiny_patch16_224 has levels 0 to 11"),
        ("--method.images.level null", "--method.images.level: null is not one of its values"),
        ("--method.images.tune_last 9 --method.images.level 1", "--method.images.tune_last is 9; vit_tiny_patch16_224"),
        ("--method.images.tune_last 2 --method.images.frozen true", "--method.images.frozen is True; set it to false"),
    ],
)
def test_wrong_levels_and_parts_are_answered_in_a_line_or_two(tmp_path, flags, answer):
    with pytest.raises(UsageError) as error:
        parsed(tmp_path, {"frozen": False}, *flags.split())
    assert answer in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize(("name", "channels"), [(VIT, 192), ("resnet18", 512)])
def test_no_image_gives_no_map(name, channels):
    assert TimmEncoder(name, weights=None)(torch.zeros(0, 3, 64, 96)).shape[:2] == (0, channels)


def test_a_backbone_that_cuts_the_border_off_is_refused():
    net = TimmEncoder("inception_v3", weights=None)
    with pytest.raises(UsageError, match="does not reach the border"):
        net(torch.rand(1, 3, 128, 128))
