"""LoRA: attention learns a low-rank update beside each frozen weight (Hu et al., arXiv 2106.09685)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lidar2d.errors import within

_PROJECTIONS = ("qkv", "q_proj", "k_proj", "v_proj", "proj")  # timm's names, fused and apart


class LowRank(nn.Module):
    """The update (alpha / rank) B A of a weight; B is zero at first, so that nothing changes before it is trained."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.a = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
        self.b = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))  # as a linear layer begins

    def forward(self) -> Tensor:
        """Return the update (out, in)."""
        return self.scale * (self.b @ self.a)


class LoRALinear(nn.Linear):
    """A linear layer whose weight is its own plus a low-rank update; the checkpoint's names of its own stay.

    The sum is made each time that the weight is read: several of timm's attentions hand ``qkv.weight`` to a function
    in place of calling ``qkv``, and would pass by an update that is added in ``forward``.

    Args:
        base: the layer whose weight and bias become this one's.
        rank: of the update.
        alpha: the update is alpha / rank times the product of its two factors.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        nn.Module.__init__(self)  # nn.Linear's would draw a weight that is not kept
        self.in_features, self.out_features = base.in_features, base.out_features
        for name in ("weight", "bias"):
            self.register_parameter(name, base._parameters[name])
        self.low_rank = LowRank(base.weight, rank, alpha)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The layer's own weight (out, in) and its update."""
        own = self._parameters.get("weight")
        if own is None:
            raise AttributeError("weight")  # not there yet, as registering it asks
        update: Tensor = self.low_rank()
        return own + update

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the update into the layer's own weight and begin another from zero."""
        own = self._parameters["weight"]
        assert own is not None  # registered in the constructor
        own.copy_(self.weight)
        self.low_rank.b.zero_()


def add_low_rank(root: nn.Module, rank: int, alpha: float) -> list[nn.Module]:
    """Put low-rank updates beside the projections of every attention inside a module; return the updates.

    Raises:
        SettingError: if the rank is larger than a projection's.
    """
    updates: list[nn.Module] = []
    for attention in list(root.modules()):
        parts = {name: part for name, part in attention.named_children() if name in _PROJECTIONS}
        if "qkv" not in parts and "q_proj" not in parts:  # a projection of something else
            continue
        for name, part in parts.items():
            if isinstance(part, nn.Linear):
                within(1, min(part.in_features, part.out_features), lora_rank=rank)
                tuned = LoRALinear(part, rank, alpha)
                setattr(attention, name, tuned)
                updates.append(tuned.low_rank)
    return updates


def merge(root: nn.Module) -> None:
    """Fold every low-rank update inside a module into the weight that it stands beside."""
    for module in root.modules():
        if isinstance(module, LoRALinear):
            module.merge()


def plain_state(root: nn.Module) -> dict[str, Tensor]:
    """Return the weights with which the same network without low-rank updates computes the same."""
    state: dict[str, Tensor] = root.state_dict()
    for name, module in root.named_modules():
        if isinstance(module, LoRALinear):
            state[f"{name}.weight"] = module.weight.detach()
            for key in module.low_rank.state_dict():
                del state[f"{name}.low_rank.{key}"]
    return state
