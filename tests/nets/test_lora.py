import copy

import pytest
import torch
from torch import nn

from lidar2d.errors import SettingError
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.lora import LoRALinear, add_low_rank, merge, plain_state

FAMILIES = [
    "vit_tiny_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_dinov3_qkvb",  # hands qkv.weight to a function, and never calls qkv
    "eva02_tiny_patch14_224",
]


def encoder(name: str, rank: int = 4, **options) -> TimmEncoder:
    torch.manual_seed(0)
    made = TimmEncoder(name, weights=None, level=1, frozen=False, lora_rank=rank, **options).eval()
    for key, scale in made.named_parameters():
        if "gamma" in key:  # untrained, DINOv3's layers would add a hundred-thousandth of what they compute
            nn.init.ones_(scale)
    return made


def randomise(update: nn.Module) -> None:
    with torch.no_grad():
        update.b.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))


def test_the_weight_is_the_papers_sum():
    base = nn.Linear(6, 5)
    layer = LoRALinear(base, rank=2, alpha=8.0)
    randomise(layer.low_rank)
    x = torch.randn(3, 6)
    with torch.no_grad():
        expected = base(x) + 8 / 2 * (layer.low_rank.b @ (layer.low_rank.a @ x.T)).T
        torch.testing.assert_close(layer(x), expected)
    assert set(dict(layer.named_parameters())) == {"weight", "bias", "low_rank.a", "low_rank.b"}
    layer.load_state_dict({**layer.state_dict(), **nn.Linear(6, 5).state_dict()})
    assert not torch.equal(layer(x), expected)


def test_a_layer_without_bias_stays_without():
    assert LoRALinear(nn.Linear(6, 5, bias=False), 2, 1.0).bias is None


@pytest.mark.parametrize("name", FAMILIES)
def test_an_update_begins_at_zero_and_every_projection_uses_its_own(name):
    tuned = encoder(name)
    images = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        before = tuned(images)
        assert torch.equal(before, encoder(name, rank=0)(images))
        assert len(tuned.tuned()) == 4  # qkv and proj of two blocks
        for update in tuned.tuned():
            randomise(update)
            assert not torch.allclose(tuned(images), before, atol=1e-4)
            nn.init.zeros_(update.b)
        assert torch.equal(tuned(images), before)


@pytest.mark.parametrize("name", FAMILIES)
def test_merging_keeps_the_maps_and_a_plain_network_reads_what_is_left(name):
    tuned, plain = encoder(name), encoder(name, rank=0)
    images = torch.rand(1, 3, 48, 48)
    for update in tuned.tuned():
        randomise(update)
    with torch.no_grad():
        before = tuned(images)
        plain.load_state_dict(plain_state(tuned))
        assert torch.equal(plain(images), before)
        tuned.merge()
        assert torch.equal(tuned(images), before)
    assert all(update.b.count_nonzero() == 0 for update in tuned.tuned())
    left = plain_state(tuned)
    assert left.keys() == plain.state_dict().keys()
    assert all(torch.equal(left[key], value) for key, value in plain.state_dict().items())


def test_gradients_are_those_of_the_factors():
    layer = LoRALinear(nn.Linear(6, 5), rank=2, alpha=3.0)
    layer.requires_grad_(False)
    layer.low_rank.requires_grad_(True)
    x, up = torch.randn(7, 6), torch.randn(7, 5)
    layer(x).backward(up)
    torch.testing.assert_close(layer.low_rank.b.grad, 1.5 * up.T @ x @ layer.low_rank.a.T)
    assert layer.low_rank.a.grad.count_nonzero() == 0  # B is still zero
    assert dict(layer.named_parameters())["weight"].grad is None


def test_a_copy_has_updates_of_its_own():
    tuned = encoder("vit_tiny_patch16_224")
    other = copy.deepcopy(tuned)
    for update in other.tuned():
        randomise(update)
    assert all(update.b.count_nonzero() == 0 for update in tuned.tuned())
    merge(other)
    assert not torch.equal(other(torch.ones(1, 3, 32, 32)), tuned(torch.ones(1, 3, 32, 32)))


def test_only_attention_takes_updates_and_no_rank_beyond_its_own():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(4, 4)

    assert add_low_rank(Plain(), 2, 1.0) == []
    with pytest.raises(SettingError, match="lora_rank is 200; it must be from 1 to 192"):
        encoder("vit_tiny_patch16_224", rank=200)
    with pytest.raises(SettingError, match="convnext_atto has no attention that takes it; leave it at 0"):
        encoder("convnext_atto")
