"""Methods that teach images train the part of the network that it names, and leave the rest as it was."""

import copy

import pytest
import torch

from lidar2d.errors import SettingError
from lidar2d.methods.base import Stage
from lidar2d.methods.collab import Collab
from lidar2d.methods.geometric import Geometric
from lidar2d.methods.photometric import Photometric
from lidar2d.methods.supervised import Supervised
from lidar2d.nets.images import TimmEncoder

VIT = "vit_tiny_patch16_224"
LORA = tuple(f"blocks.{block}.attn.{part}.low_rank." for block in (0, 1) for part in ("qkv", "proj"))
PARTS = [
    (VIT, {"level": 3, "tune_last": 2}, ("blocks.2.", "blocks.3.", "norm.")),
    (VIT, {"level": (3, 0), "tune_last": 1, "norm": False}, ("blocks.3.",)),
    (VIT, {"level": 1, "lora_rank": 2}, LORA),
    (VIT, {"level": 1, "lora_rank": 2, "tune_last": 1}, LORA[2:]),
    ("vit_small_patch16_dinov3", {"level": 1, "tune_last": 1}, ("blocks.1.", "norm.")),
    ("vit_small_patch16_dinov3_qkvb", {"level": 1, "lora_rank": 2}, LORA),
    ("resnet18", {"level": 3, "tune_last": 1}, ("layer3.",)),
    ("resnet18", {"level": 3, "tune_last": 3}, ("layer1.", "layer2.", "layer3.")),
    ("convnext_atto", {"tune_last": 2}, ("stages.2.", "stages.3.")),
]


def encoder(name, **options):
    torch.manual_seed(0)
    made = TimmEncoder(name, weights=None, frozen=False, **options)
    for key, scale in made.named_parameters():
        if "gamma" in key:  # untrained, layers with a scale of their own would learn next to nothing
            torch.nn.init.ones_(scale)
    return made


def named(network, tensor_or_module):
    """Return the names of a network's parameters among these modules or tensors."""
    ids = {id(p) for x in tensor_or_module for p in (x.parameters() if hasattr(x, "parameters") else [x])}
    return {name for name, p in network.named_parameters() if id(p) in ids}


def leaves(output):
    """Return the tensors that a backward pass from the output would reach."""
    found, todo, seen = [], [output.grad_fn], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        todo += [before for before, _ in node.next_functions]
    return found


@pytest.mark.parametrize(("name", "options", "prefixes"), PARTS)
def test_the_named_part_trains_and_nothing_else_changes(encoders, batch, name, options, prefixes):
    images = encoder(name, **options)
    method = Photometric(encoders[0], images, tune=Stage(steps=2), distorted=1.0)
    method.begin("tune", 1)
    method.train()
    backbone = images.backbone
    trained = {key for key, p in backbone.named_parameters() if p.requires_grad}
    assert trained == {key for key, _ in backbone.named_parameters() if key.startswith(prefixes)}
    assert {prefix for prefix in prefixes if any(key.startswith(prefix) for key in trained)} == set(prefixes)
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # a low-rank A moves once its B has
        optimizer.zero_grad()
        torch.stack(list(method.losses(batch).values())).sum().backward()
        optimizer.step()
    moved = {key for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert moved >= trained
    assert all(key.startswith(prefixes) for key in moved)  # statistics of normalisation as well
    assert named(backbone, leaves(images(batch.images))) == trained


@pytest.mark.parametrize(
    ("name", "options", "early", "late"),
    [
        (VIT, {"level": 3, "tune_last": 2}, ("patch_embed", "blocks.0", "blocks.1"), ("blocks.2", "blocks.3")),
        (VIT, {"level": 3, "tune_last": 1, "lora_rank": 2}, ("patch_embed", "blocks.2"), ("blocks.3",)),
        ("resnet18", {"level": 3, "tune_last": 1}, ("bn1", "layer2"), ("layer3",)),
    ],
)
def test_what_comes_before_the_tuned_part_keeps_nothing_for_the_gradient(name, options, early, late):
    images = encoder(name, **options)
    kept, saved = {}, []
    for part in (*early, *late):
        images.backbone.get_submodule(part).register_forward_hook(
            lambda _module, _given, found, part=part: kept.update({part: (found.requires_grad, len(saved))})
        )
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(1) or t, lambda t: t):
        images(torch.rand(1, 3, 32, 48))
    assert [kept[part] for part in early] == [(False, 0)] * len(early)
    assert all(kept[part][0] and kept[part][1] > 0 for part in late)


def test_the_part_alone_is_in_training_mode():
    images = encoder("resnet18", level=3, tune_last=1)
    for _ in range(2):  # as built, and when asked to train
        assert images.training
        assert images.backbone.layer3[0].bn1.training
        assert not images.backbone.layer2[0].bn1.training
        assert not images.backbone.bn1.training
        images.train()
    assert not any(module.training for module in images.eval().modules())


@pytest.mark.parametrize("kind", [Collab, Geometric, Photometric, Supervised])
def test_every_method_that_teaches_images_keeps_to_the_part(encoders, kind):
    images = encoder(VIT, level=1, tune_last=1)
    stages = {
        Collab: {"align": Stage(steps=1), "anchor": Stage(steps=1)},
        Geometric: {"measure": Stage(steps=1), "sort": Stage(steps=1)},
        Photometric: {"tune": Stage(steps=1)},
        Supervised: {"classes": 3, "learn": Stage(steps=1)},
    }[kind]
    method = kind(encoders[0], images, **stages)
    method.begin("anchor" if kind is Collab else next(iter(method.stages())), 1)
    assert {key for key, p in images.named_parameters() if p.requires_grad} == named(images, images.tuned())


def test_parts_that_cannot_be_tuned_are_refused():
    for options in ({"tune_last": 1}, {"lora_rank": 2}):
        with pytest.raises(SettingError, match="frozen is True; set it to false to tune a part"):
            TimmEncoder(VIT, weights=None, **options)
    for count in (0, 5):
        with pytest.raises(SettingError, match=f"tune_last is {count}; {VIT} has 4 blocks or stages up to level 3"):
            encoder(VIT, level=3, tune_last=count)
    with pytest.raises(SettingError, match="tune_last is 1; hrnet_w18_small does not tell its blocks apart"):
        encoder("hrnet_w18_small", tune_last=1)


@pytest.mark.parametrize(
    ("options", "prefixes"),
    [
        ({"tune_last": 1}, ("images.backbone.blocks.1.", "images.backbone.norm.")),
        ({"lora_rank": 2}, tuple(f"images.backbone.{prefix}" for prefix in LORA)),
    ],
)
def test_collab_tunes_a_part_from_end_to_end(encoders, batch, options, prefixes):
    torch.manual_seed(1)
    method = Collab(
        encoders[0],
        encoder(VIT, level=1, **options),
        align=Stage(steps=2, conditions="clear"),
        anchor=Stage(steps=2),
        codes=7,
        survey=1,
        blend=0.5,
    )
    started = copy.deepcopy(method.images)
    method.begin("align", 1)
    method.look([batch])
    for stage, moving in (("align", ("points.", "head.")), ("anchor", prefixes)):
        method.begin(stage, 1)
        method.train()
        before = copy.deepcopy(method.state_dict())
        optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=0.01)
        for step in range(3):
            optimizer.zero_grad()
            parts = method.losses(batch)
            if stage == "anchor":
                assert (parts["preserve"].item() > 1e-6) == (step > 0)
            torch.stack(list(parts.values())).sum().backward()
            optimizer.step()
        moved = {key for key, value in method.state_dict().items() if not torch.equal(value, before[key])}
        assert moved
        assert all(key.startswith(moving) for key in moved)
        if stage == "align":
            method.finish()
            assert all(torch.equal(p, q) for p, q in zip(started.parameters(), method.images.parameters(), strict=True))
    method.eval()
    unblended = copy.deepcopy(method)
    unblended.blend = 1.0
    with torch.no_grad():
        tuned = method.images(batch.images)
        unblended.finish()
        torch.testing.assert_close(unblended.images(batch.images), tuned)
        method.finish()
        half = copy.deepcopy(started)
        for part in (half, unblended.images):
            part.merge()
        for key, weight in half.state_dict().items():
            weight.copy_((weight + unblended.images.state_dict()[key]) / 2)
        torch.testing.assert_close(method.images(batch.images), half(batch.images))
        assert not torch.allclose(method.images(batch.images), started(batch.images), atol=1e-3)
    begun = {key: value.shape for key, value in started.state_dict().items()}
    assert {key: value.shape for key, value in method.images.state_dict().items()} == begun  # a run can be resumed
