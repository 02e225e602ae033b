"""Losses are the same inside and outside of mixed precision."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import normalize

from lidar2d.losses.codes import Codes
from lidar2d.losses.contrast import info_nce, weak_contrast
from lidar2d.losses.depth import depth_loss
from lidar2d.losses.distill import distance
from lidar2d.losses.selfdistill import agreement, sinkhorn, spread
from lidar2d.losses.vmf import VonMisesFisher

Cast = Callable[[torch.Tensor], torch.Tensor]


def rows(seed: int) -> torch.Tensor:
    return normalize(torch.randn(64, 32, generator=torch.Generator().manual_seed(seed)), dim=1)


LABELS, HALVES = torch.arange(64) % 5, torch.arange(64) % 2


def directions(cast: Cast) -> torch.Tensor:
    model = VonMisesFisher(2, 32, rate=0.5)
    model.update(cast(rows(0)), HALVES)
    return model(cast(rows(1)), HALVES)


def clusters(cast: Cast) -> torch.Tensor:
    codes = Codes(32, 6)
    codes.seek(cast(rows(0)), torch.Generator().manual_seed(0))
    return codes.expected(cast(rows(1)[:, :6])) + codes.sort(cast(rows(1)))[:, None]


LOSSES: dict[str, Callable[[Cast], torch.Tensor]] = {
    "contrast": lambda cast: info_nce(cast(rows(0)), cast(rows(1)), 0.07),
    "weak contrast": lambda cast: weak_contrast(cast(rows(0)), cast(rows(1)), LABELS, 0.07),
    "directions": directions,
    "clusters": clusters,
    "distance": lambda cast: distance(cast(rows(0)), cast(rows(1)), "cosine"),
    "depth": lambda cast: depth_loss(cast(rows(0).softmax(1)), LABELS),
    "sinkhorn": lambda cast: sinkhorn(cast(rows(0)), 0.07),
    "agreement": lambda cast: agreement(cast(rows(0)), cast(rows(1).softmax(1)), 0.1),
    "spread": lambda cast: spread(cast(rows(0))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_precision_does_not_reach_a_loss(name):
    alone = LOSSES[name](torch.Tensor.float)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = LOSSES[name](torch.Tensor.float)
    assert mixed.dtype == alone.dtype
    assert torch.equal(mixed, alone)


@pytest.mark.parametrize("name", LOSSES)
def test_what_a_network_gives_in_half_precision_is_taken_in_full(name):
    half = LOSSES[name](torch.Tensor.bfloat16)
    full = LOSSES[name](lambda given: given.bfloat16().float())
    assert half.dtype == torch.float32
    assert torch.equal(half, full)


def test_double_precision_is_kept():
    assert info_nce(rows(0).double(), rows(1).double(), 0.07).dtype == torch.float64
