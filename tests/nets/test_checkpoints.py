"""Files in the layouts that the field's authors released: every number arrives, every name is accounted for."""

import argparse

import pytest
import timm
import torch
from torch import Tensor, nn

from lidar2d.errors import UsageError
from lidar2d.fit.folder import RunFolder
from lidar2d.methods.base import Stage
from lidar2d.methods.ppkt import PPKT
from lidar2d.nets.checkpoints import match_images, open_file
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.rangeview import RangeView
from lidar2d.nets.releases import mmdet3d_name, obow_name, spconv_name
from lidar2d.nets.small import SmallConv
from lidar2d.nets.sparse.layouts import kernels, lay_out
from lidar2d.nets.voxelnet import VoxelNet
from lidar2d.nets.waffleiron import WaffleIron

State = dict[str, Tensor]


def scrambled(net: nn.Module) -> nn.Module:
    """Give every number of a network a value of its own, statistics of norms among them."""
    for value in net.state_dict().values():
        value.copy_(torch.randn(value.shape).abs() if value.is_floating_point() else torch.tensor(7))
    return net


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def same(net: nn.Module, state: State, but: str = "no name") -> bool:
    own = net.state_dict()
    return all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith(but))


@pytest.fixture(scope="module")
def unet() -> State:
    torch.manual_seed(1)
    return scrambled(MinkUNet()).state_dict()


@pytest.fixture(scope="module")
def resnet() -> State:
    torch.manual_seed(2)
    return scrambled(timm.create_model("resnet26", num_classes=0)).state_dict()


def as_spconv(state: State) -> State:
    sizes = kernels(MinkUNet())
    found = {}
    for name, value in state.items():
        laid = lay_out(value, sizes[name], "spconv") if name in sizes else value
        found[spconv_name(name)] = laid.flatten() if name == "final.bias" else laid
    return found


def unet_files(unet: State, resnet: State) -> dict[str, object]:
    images = under("encoder.", resnet) | {"decoder.0.weight": torch.zeros(64, 2048, 1, 1)}
    images |= {"decoder_class_level.0.weight": torch.zeros(64, 2048, 1, 1)}
    other = {"final_class_level.kernel": torch.zeros(32, 64), "final_class_level.bias": torch.zeros(1, 64)}
    dense = {name: value for name, value in unet.items() if not name.startswith("final.")}
    branches = dense | {name.replace("final.", "final_1."): unet[name] for name in unet if name.startswith("final.")}
    branches |= {"final_2.0.kernel": torch.zeros(32, 64, 64), "final_2.1.bn.weight": torch.zeros(64)}
    vmf = {f"vmf_distributions.{index}.mu": torch.zeros(1, 64) for index in range(17)}
    config = {"voxel_size": 0.1, "cylindrical_coordinates": True, "name": "a", "batch_size": 16}
    return {
        "SLidR": {"model_points": unet, "config": config},
        "SLidR, with the image network": {"model_points": unet, "model_images": images},
        "SLidR, as Lightning saves it": {"state_dict": under("model_points.", unet) | under("model_images.", images)},
        "OLIVINE": {
            "state_dict": under("model_points.", unet | other) | under("model_images.", images) | vmf,
            "epoch": 50,
            "config": config,
            "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.5}]},
        },
        "HVDistill": {
            "model_points": branches,
            "model_images": images,
            "epoch": 50,
            "config": config | {"cylindrical_coordinates": False},
        },
        "of several devices": {"state_dict": under("module.", unet)},
        "DepthContrast": {"model": under("module.trunk.2.", unet)},
        "spconv": as_spconv(unet),
    }


@pytest.mark.parametrize(
    ("release", "place", "beside", "elsewhere"),
    [
        ("SLidR", "model_points.", 0, False),
        ("SLidR, with the image network", "model_points.", 0, True),
        ("SLidR, as Lightning saves it", "state_dict.model_points.", 0, True),
        ("OLIVINE", "state_dict.model_points.", 2, True),
        ("HVDistill", "model_points.", 2, True),
        ("of several devices", "state_dict.module.", 0, False),
        ("DepthContrast", "model.module.trunk.2.", 0, False),
        ("spconv", "", 0, False),
    ],
)
def test_a_minkunet_is_found_in_its_release(tmp_path, unet, resnet, release, place, beside, elsewhere):
    torch.save(unet_files(unet, resnet)[release], tmp_path / "file.pt")
    net = MinkUNet(cylindrical=release != "HVDistill", weights=str(tmp_path / "file.pt"))
    counts = {name for name in unet if name.endswith("num_batches_tracked")}
    assert same(net, {name: value for name, value in unet.items() if name not in counts})
    loaded = net.loaded
    assert loaded.found.place == place
    assert (len(loaded.used), len(loaded.beside), loaded.kept) == (len(unet) - len(counts), beside, ())
    assert bool(loaded.elsewhere) == elsewhere
    assert len(loaded.reshaped) == (len(kernels(net)) + 1 if release == "spconv" else 0)


@pytest.fixture(scope="module")
def voxelnet() -> State:
    torch.manual_seed(3)
    return scrambled(VoxelNet()).state_dict()


def backbone_3d(state: State, layout: str, rename=spconv_name) -> State:
    sizes = kernels(VoxelNet())
    return {
        rename(name): lay_out(value, sizes[name], layout) if name in sizes else value
        for name, value in state.items()
        if not name.startswith("final.")
    }


@pytest.mark.parametrize("layout", ["spconv", "spconv-1", "spconv-native"])
def test_openpcdets_backbone_is_found_whatever_spconv_kept_it(tmp_path, voxelnet, layout):
    detector = {"vfe.a": torch.zeros(1), "dense_head.conv.weight": torch.zeros(2), "global_step": torch.zeros(1)}
    state = under("backbone_3d.", backbone_3d(voxelnet, layout)) | detector
    torch.save({"model_state": state, "optimizer_state": {"a": torch.zeros(1)}, "epoch": 80}, tmp_path / "file.pth")
    net = VoxelNet(weights=str(tmp_path / "file.pth"))
    counts = {name: value for name, value in voxelnet.items() if name.endswith("num_batches_tracked")}
    assert same(net, {name: value for name, value in voxelnet.items() if name not in counts}, but="final.")
    assert net.loaded.kept == ("final.kernel",)
    assert len(net.loaded.elsewhere) == 3
    assert len(net.loaded.reshaped) == 12  # the convolutions


def test_slidrs_voxelnet_and_mmdetection3ds_encoder_are_found(tmp_path, voxelnet):
    final = lay_out(voxelnet["final.kernel"], (1, 1, 1), "spconv-1")
    torch.save({"model_points": backbone_3d(voxelnet, "spconv-1") | {"final.weight": final}}, tmp_path / "a.pt")
    encoder = under("pts_middle_encoder.", backbone_3d(voxelnet, "spconv-1", mmdet3d_name))
    torch.save({"meta": {"epoch": 20}, "state_dict": encoder | {"pts_bbox_head.a": torch.zeros(1)}}, tmp_path / "b.pt")
    first, second = VoxelNet(weights=str(tmp_path / "a.pt")), VoxelNet(weights=str(tmp_path / "b.pt"))
    learnt = {name: value for name, value in voxelnet.items() if not name.endswith("num_batches_tracked")}
    assert same(first, learnt)
    assert same(second, learnt, but="final.")
    assert (first.loaded.kept, second.loaded.kept) == ((), ("final.kernel",))


def test_scalrs_waffleiron_is_found_and_its_convolutions_of_width_one_become_matrices(tmp_path):
    torch.manual_seed(4)
    state = scrambled(WaffleIron(channels=8, width=6, depth=2)).state_dict()
    released = {}
    for name, value in state.items():
        matrix = value.ndim == 2
        scale = ".scale." in name
        released[f"module.{name}"] = value[..., None] if matrix else value[:, None, None] if scale else value
    torch.save({"model_point": released, "epoch": 25, "optimizer": {"state": {}}}, tmp_path / "file.pth")
    net = WaffleIron(channels=8, width=6, depth=2, weights=str(tmp_path / "file.pth"))
    assert same(net, {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")})
    assert not net.loaded.beside
    assert not net.loaded.kept
    assert all("conv" in name or "mlp" in name or "scale" in name or "final" in name or "classif" in name
               for name in net.loaded.reshaped)  # fmt: skip


def test_a_waffleiron_with_a_head_of_several_layers_is_refused(tmp_path):
    """ScaLR+'s, whose names are otherwise ScaLR's, while its layers are joined by GELU, not by ReLU."""
    state = WaffleIron(channels=8, width=6, depth=2).state_dict()
    state = {name: value for name, value in state.items() if not name.startswith("classif.")}
    state |= {"classif.0.weight": torch.zeros(9, 6, 1), "classif.2.weight": torch.zeros(8, 9, 1)}
    torch.save({"model_point": under("module.", state)}, tmp_path / "file.pth")
    said = refusal(lambda: WaffleIron(channels=8, width=6, depth=2, weights=str(tmp_path / "file.pth")))
    assert "no place for model_point.module.classif.0.weight" in said


def test_a_head_of_another_size_stays_random_and_is_told(tmp_path, unet):
    torch.save(unet, tmp_path / "file.pt")
    torch.manual_seed(5)
    begun = MinkUNet(channels=17).state_dict()
    torch.manual_seed(5)
    net = MinkUNet(channels=17, weights=str(tmp_path / "file.pt"))
    assert torch.equal(net.final.kernel, begun["final.kernel"])
    assert same(net, {name: value for name, value in unet.items() if "tracked" not in name}, but="final.")
    assert net.loaded.kept == ("final.kernel", "final.bias")
    assert "final.kernel, final.bias not in it in this size: random" in net.loaded.summary()
    assert net.loaded.table().count("\nused ") == len(net.loaded.used)


IMAGE_RELEASES = {
    "MoCo-v2": ("state_dict.module.encoder_q.", "fc.0.weight"),
    "SwAV": ("module.", "projection_head.0.weight"),
    "DeepCluster-v2": ("module.", "prototypes.prototypes0.weight"),
    "DINO": ("", ""),
    "DINO, whole": ("teacher.module.backbone.", ""),
    "OBoW": ("network.", "fc.weight"),
    "OBoW, student": ("network.", ""),
    "OBoW, whole": ("network.feature_extractor.", ""),
    "PixPro": ("model.module.encoder.", ""),
    "torchvision": ("", "fc.weight"),
}


def as_obow(state: State) -> State:
    return {obow_name(name): value for name, value in state.items()}


def test_obow_numbers_the_blocks_of_a_resnet():
    assert obow_name("conv1.weight") == "_feature_blocks.0.Conv.weight"
    assert obow_name("bn1.running_mean") == "_feature_blocks.0.bn.running_mean"
    assert obow_name("layer4.2.conv1.weight") == "_feature_blocks.4.2.conv1.weight"


def test_a_resnet_of_obows_is_cut_after_a_level(tmp_path, resnet):
    torch.save({"network": as_obow(resnet)}, tmp_path / "file.pth.tar")
    encoder = TimmEncoder("resnet26", weights=str(tmp_path / "file.pth.tar"), level=2)
    own = encoder.backbone.state_dict()
    assert all(torch.equal(value, resnet[name]) for name, value in own.items() if "tracked" not in name)
    assert len(encoder.loaded.used) == sum("tracked" not in name for name in own)


def image_file(release: str, state: State) -> dict[str, object]:
    fc = {"fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000)}
    other = {name: value + 1 for name, value in state.items()}  # the average, or the twin
    if release == "MoCo-v2":
        heads = {"fc.0.weight": torch.zeros(8, 8), "fc.2.weight": torch.zeros(8, 8)}
        queries = under("module.encoder_q.", state | heads)
        keys = under("module.encoder_k.", other | heads)
        return {"epoch": 800, "arch": "resnet50", "state_dict": keys | queries | {"module.queue": torch.zeros(128, 4)}}
    if release == "SwAV":
        heads = {"projection_head.0.weight": torch.zeros(8, 8), "prototypes.weight": torch.zeros(3000, 8)}
        return under("module.", state | heads)
    if release == "DeepCluster-v2":
        heads = {"projection_head.0.weight": torch.zeros(8), "prototypes.prototypes0.weight": torch.zeros(3, 8)}
        return under("module.", state | heads)
    if release == "DINO, whole":
        head = {"head.last_layer.weight_v": torch.zeros(4, 4)}
        students = under("module.backbone.", other) | under("module.", head)
        teachers = under("module.backbone.", state) | under("module.", head)
        args = argparse.Namespace(arch="resnet50")
        return {"student": students, "teacher": teachers, "args": args, "dino_loss": {"center": torch.zeros(1, 4)}}
    if release == "OBoW":
        return {"network": state | fc}
    if release == "OBoW, student":
        return {"epoch": 200, "network": as_obow(state), "meters": None}
    if release == "OBoW, whole":
        teacher = under("feature_extractor_teacher.", as_obow(other))
        head = {"_alpha": torch.zeros(1), "bow_predictor.layers_w.0.0.weight": torch.zeros(4)}
        return {"epoch": 200, "network": head | teacher | under("feature_extractor.", as_obow(state)), "meters": None}
    if release == "PixPro":
        projector = under("module.projector.", {"linear1.weight": torch.zeros(4, 4)})
        model = under("module.encoder_k.", other) | under("module.encoder.", state) | projector
        return {"opt": argparse.Namespace(lr=1.0), "model": model, "epoch": 400}
    return state | fc if release == "torchvision" else state


@pytest.mark.parametrize("release", IMAGE_RELEASES)
def test_a_resnet_is_found_in_its_release(tmp_path, resnet, release):
    place, beside = IMAGE_RELEASES[release]
    torch.save(image_file(release, resnet), tmp_path / "file.pth.tar")
    encoder = TimmEncoder("resnet26", weights=str(tmp_path / "file.pth.tar"))
    assert same(encoder.backbone, {name: value for name, value in resnet.items() if "tracked" not in name})
    assert encoder.loaded.found.place == place
    assert not encoder.loaded.kept
    assert bool(encoder.loaded.beside) == bool(beside)
    assert not beside or place + beside in encoder.loaded.beside


def test_dinov2s_own_names_are_found(tmp_path):
    torch.manual_seed(6)
    name = "vit_small_patch14_reg4_dinov2.lvd142m"
    net = scrambled(timm.create_model(name, num_classes=0))
    state = dict(net.state_dict())
    # Meta's files: registers under another name, a place for the class token in the embedding, a token for masks
    released = {key: value for key, value in state.items() if key not in ("reg_token", "pos_embed", "cls_token")}
    released |= {
        "register_tokens": state["reg_token"],
        "cls_token": state["cls_token"],
        "mask_token": torch.zeros(1, 384),
    }
    released["pos_embed"] = torch.cat([torch.zeros(1, 1, 384), state["pos_embed"]], dim=1)
    torch.save(released, tmp_path / "file.pth")
    encoder = TimmEncoder(name, weights=str(tmp_path / "file.pth"), level=1)
    own = encoder.backbone.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in own.items())
    assert "blocks.2.norm1.weight" not in own  # cut after the level, and not missed
    assert list(encoder.loaded.beside) == ["mask_token"]


def test_embeddings_of_another_size_are_resampled_and_told(tmp_path):
    torch.manual_seed(7)
    state = scrambled(timm.create_model("vit_tiny_patch16_224", img_size=160, num_classes=0)).state_dict()
    torch.save(state, tmp_path / "file.pth")
    encoder = TimmEncoder("vit_tiny_patch16_224", weights=str(tmp_path / "file.pth"))
    assert encoder.loaded.reshaped == {"pos_embed": ((1, 101, 192), (1, 197, 192))}
    assert torch.equal(encoder.backbone.pos_embed[:, 0], state["pos_embed"][:, 0])


def test_a_run_goes_on_from_what_another_left(tmp_path):
    torch.manual_seed(8)
    left = scrambled(MinkUNet()).state_dict()
    method = under("points.", left) | under("images.", {"a": torch.zeros(1)})
    torch.save({"state_dict": method}, tmp_path / "method.ckpt")
    assert same(
        MinkUNet(weights=str(tmp_path / "method.ckpt")), {name: left[name] for name in left if "tracked" not in name}
    )

    first = TimmEncoder("vit_tiny_patch16_224", weights=None, level=3)
    torch.save(first.state_dict(), tmp_path / "student.pt")
    again = TimmEncoder("vit_tiny_patch16_224", weights=str(tmp_path / "student.pt"), level=3)
    assert same(again, first.state_dict())


# what must be refused, and by which words


def refusal(make) -> str:
    with pytest.raises(UsageError) as caught:
        make()
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_another_networks_file_is_refused_with_what_it_holds(tmp_path, resnet):
    torch.save({"state_dict": under("module.encoder_q.", resnet)}, tmp_path / "file.pt")
    said = refusal(lambda: MinkUNet(weights=str(tmp_path / "file.pt")))
    assert "12 of the 162 weights of MinkUNet" in said  # norms are called bn1 in both
    assert "state_dict.module.encoder_q.layer1 (" in said


def test_a_deeper_networks_file_is_refused_though_it_has_every_name(tmp_path):
    torch.save(timm.create_model("resnet50").state_dict(), tmp_path / "file.pt")
    said = refusal(lambda: TimmEncoder("resnet26", weights=str(tmp_path / "file.pt")))
    assert "no place for layer1.2.conv1.weight" in said
    torch.save(MinkUNet(layers=(2, 1, 1, 1, 1, 1, 1, 1)).state_dict(), tmp_path / "unet.pt")
    assert "no place for block1.1.conv1.kernel" in refusal(lambda: MinkUNet(weights=str(tmp_path / "unet.pt")))


def test_a_file_that_lacks_a_layer_is_refused(tmp_path, unet, resnet):
    torch.save({name: value for name, value in unet.items() if not name.startswith("block3.")}, tmp_path / "a.pt")
    assert "missing block3.0.conv1.kernel" in refusal(lambda: MinkUNet(weights=str(tmp_path / "a.pt")))
    torch.save({name: value for name, value in resnet.items() if name != "bn1.running_mean"}, tmp_path / "b.pt")
    assert "missing bn1.running_mean" in refusal(lambda: TimmEncoder("resnet26", weights=str(tmp_path / "b.pt")))


def test_a_wider_stem_is_refused_by_its_shape(tmp_path, unet):
    torch.save(unet, tmp_path / "file.pt")
    said = refusal(lambda: MinkUNet(stem_width=5, weights=str(tmp_path / "file.pt")))
    assert "conv0p1s1.kernel is (27, 1, 16), not (125, 1, 16)" in said


def test_weights_of_other_voxels_are_refused(tmp_path, unet):
    torch.save({"model_points": unet, "config": {"voxel_size": 0.05}}, tmp_path / "file.pt")
    assert "voxel_size 0.05" in refusal(lambda: MinkUNet(weights=str(tmp_path / "file.pt")))
    MinkUNet(voxel_size=0.05, weights=str(tmp_path / "file.pt"))


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path, unet):
    wrong = dict(unet) | {"block8.0.conv2.kernel": torch.zeros(8, 3, 3)}
    torch.save(wrong, tmp_path / "file.pt")
    net = MinkUNet()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UsageError, match="block8"):
        net.load(tmp_path / "file.pt")
    assert same(net, before)


def test_what_is_matched_is_not_yet_changed(tmp_path, resnet):
    torch.save(resnet, tmp_path / "file.pt")
    backbone = timm.create_model("resnet26", num_classes=0)
    before = backbone.conv1.weight.clone()
    values, loaded = match_images(backbone, open_file(tmp_path / "file.pt"), (), {})
    assert torch.equal(backbone.conv1.weight, before)
    assert torch.equal(values["conv1.weight"], resnet["conv1.weight"])
    assert "conv1.weight" in loaded.used


@pytest.mark.parametrize("release", ["SLidR", "HVDistill", "OLIVINE"])
def test_a_network_without_its_last_layer_leaves_the_files_out(tmp_path, unet, resnet, release):
    torch.save(unet_files(unet, resnet)[release], tmp_path / "file.pt")
    net = MinkUNet(channels=None, cylindrical=release != "HVDistill", weights=str(tmp_path / "file.pt"))
    assert net.channels == 32
    assert not any(name.startswith("final") for name in net.state_dict())
    assert same(
        net, {name: value for name, value in unet.items() if name in net.state_dict() and "tracked" not in name}
    )
    assert {"the last layer, which this network is without"} <= set(net.loaded.beside.values())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.full((27, 1, 16), torch.nan), "not finite"),
        (torch.ones(27, 1, 16, dtype=torch.int8), "torch.int8"),
        (torch.ones(27, 1, 16, dtype=torch.complex64), "torch.complex64"),
        (torch.ones(27, 1, 16).to_sparse(), "no plain real numbers"),
    ],
)
def test_numbers_that_no_training_leaves_are_refused(tmp_path, unet, wrong, said):
    torch.save(dict(unet) | {"conv0p1s1.kernel": wrong}, tmp_path / "file.pt")
    assert said in refusal(lambda: MinkUNet(weights=str(tmp_path / "file.pt")))


def test_a_negative_variance_is_refused(tmp_path, unet, resnet):
    torch.save(dict(unet) | {"bn0.bn.running_var": -torch.ones(16)}, tmp_path / "file.pt")
    said = refusal(lambda: MinkUNet(weights=str(tmp_path / "file.pt")))
    assert "bn0.bn.running_var holds a negative variance" in said
    torch.save(dict(resnet) | {"bn1.running_var": -torch.ones(64)}, tmp_path / "image.pt")
    assert "negative variance" in refusal(lambda: TimmEncoder("resnet26", weights=str(tmp_path / "image.pt")))


@pytest.mark.parametrize("average", ["ema", "swa", "avg", "net_ema", "ema_model", "model_ema", "teacher"])
def test_the_network_counts_and_not_its_average(tmp_path, unet, average):
    other = {name: value * 2 if value.is_floating_point() else value for name, value in unet.items()}
    other |= {name: value.abs() for name, value in other.items() if name.endswith("running_var")}
    torch.save({average: other, "network": unet}, tmp_path / "file.pt")
    assert MinkUNet(weights=str(tmp_path / "file.pt")).loaded.found.place == "network."


def test_a_run_keeps_the_settings_that_its_weights_depend_on(tmp_path):
    folder = RunFolder(tmp_path)
    net = MinkUNet(voxel_size=0.2, intensity_scale=1.0)
    folder.save_student(net)
    MinkUNet(voxel_size=0.2, intensity_scale=1.0, weights=str(folder.student))
    said = refusal(lambda: MinkUNet(voxel_size=0.2, weights=str(folder.student)))
    assert "trained with intensity_scale 1.0, this network has 255.0" in said
    panorama = RangeView(elevation=(-25.0, 2.0))
    folder.save_student(panorama)
    assert "trained with elevation [-25.0, 2.0]" in refusal(lambda: RangeView(weights=str(folder.student)))
    assert RangeView(elevation=(-25.0, 2.0), weights=str(folder.student)).loaded.kept == ()


def test_a_method_keeps_the_settings_of_both_of_its_encoders(tmp_path):
    method = PPKT(MinkUNet(voxel_size=0.2), TimmEncoder("vit_tiny_patch16_224.augreg_in21k", weights=None), Stage(1))
    RunFolder(tmp_path).save_weights(tmp_path / "method.ckpt", method)
    MinkUNet(voxel_size=0.2, weights=str(tmp_path / "method.ckpt"))
    assert "voxel_size 0.2" in refusal(lambda: MinkUNet(weights=str(tmp_path / "method.ckpt")))
    TimmEncoder("vit_tiny_patch16_224.augreg_in21k", weights=str(tmp_path / "method.ckpt"))
    other = "deit_tiny_patch16_224.fb_in1k"  # the same shapes; images were normalised otherwise
    assert "trained with mean [0.5" in refusal(lambda: TimmEncoder(other, weights=str(tmp_path / "method.ckpt")))


def test_kernels_of_patches_of_another_size_are_not_resampled(tmp_path):
    state = timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict()
    state["patch_embed.proj.weight"] = torch.randn(192, 3, 8, 8)
    torch.save(state, tmp_path / "file.pt")
    said = refusal(lambda: TimmEncoder("vit_tiny_patch16_224", weights=str(tmp_path / "file.pt")))
    assert "no patch_embed.proj.weight of (192, 3, 16, 16) in it" in said


def test_low_rank_updates_are_folded_in_before_a_file_is_taken(tmp_path):
    tuned = TimmEncoder("vit_tiny_patch16_224", weights=None, frozen=False, tune_last=1, lora_rank=2)
    for part in tuned.tuned():
        if hasattr(part, "b"):
            torch.nn.init.ones_(part.b)
    torch.save(tuned.state_dict(), tmp_path / "file.pt")
    assert "is not folded in" in refusal(lambda: TimmEncoder("vit_tiny_patch16_224", weights=str(tmp_path / "file.pt")))
    tuned.merge()
    torch.save(tuned.state_dict(), tmp_path / "file.pt")
    plain = TimmEncoder("vit_tiny_patch16_224", weights=str(tmp_path / "file.pt")).eval()
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain(images), tuned.eval()(images), atol=1e-5, rtol=1e-4)


def test_a_small_encoder_is_found_in_a_method(tmp_path):
    net = scrambled(SmallConv(16, 8))
    torch.save({"state_dict": under("images.", net.state_dict())}, tmp_path / "file.pt")
    assert same(SmallConv(16, 8, weights=str(tmp_path / "file.pt")), net.state_dict())
    assert "does not fit" in refusal(lambda: SmallConv(16, 4, weights=str(tmp_path / "file.pt")))
