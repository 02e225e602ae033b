"""Losses are the same inside and outside of mixed precision."""

import pytest
import torch
from torch.nn.functional import normalize

from lidar2d.losses.codes import Codes
from lidar2d.losses.contrast import info_nce, weak_contrast
from lidar2d.losses.depth import depth_loss
from lidar2d.losses.distill import distance
from lidar2d.losses.selfdistill import agreement, sinkhorn, spread
from lidar2d.losses.vmf import VonMisesFisher


def rows(seed: int) -> torch.Tensor:
    return normalize(torch.randn(64, 32, generator=torch.Generator().manual_seed(seed)), dim=1)


LABELS = torch.arange(64) % 5


def directions() -> torch.Tensor:
    model = VonMisesFisher(5, 32, rate=0.5)
    model.update(rows(0), LABELS)
    return model(rows(1), LABELS)


def clusters() -> torch.Tensor:
    codes = Codes(32, 6)
    codes.seek(rows(0), torch.Generator().manual_seed(0))
    return codes.expected(rows(1)[:, :6]) + codes.sort(rows(1))[:, None]


LOSSES = {
    "contrast": lambda: info_nce(rows(0), rows(1), 0.07),
    "weak contrast": lambda: weak_contrast(rows(0), rows(1), LABELS, 0.07),
    "directions": directions,
    "clusters": clusters,
    "distance": lambda: distance(rows(0), rows(1), "cosine"),
    "depth": lambda: depth_loss(rows(0).softmax(1), LABELS),
    "sinkhorn": lambda: sinkhorn(rows(0), 0.07),
    "agreement": lambda: agreement(rows(0), rows(1).softmax(1), 0.1),
    "spread": lambda: spread(rows(0)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_mixed_precision_does_not_reach_a_loss(name):
    alone = LOSSES[name]()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = LOSSES[name]()
    assert mixed.dtype == alone.dtype
    assert torch.equal(mixed, alone)


def test_what_a_network_gives_in_half_precision_is_taken_in_full():
    half = rows(0).bfloat16()
    assert info_nce(half, half, 0.07).dtype == torch.float32
    assert info_nce(half.double(), half.double(), 0.07).dtype == torch.float64
