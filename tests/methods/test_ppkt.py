import pytest
import torch
from torch.nn.functional import normalize

from lidar2d.geometry import pairs
from lidar2d.methods.base import Stage
from lidar2d.methods.ppkt import PPKT
from lidar2d.nets.encoder import read


@pytest.fixture
def ppkt(encoders):
    torch.manual_seed(1)
    return PPKT(*encoders, pretrain=Stage(steps=5), dim=5, matches=40)


def test_loss_of_all_pairs_equals_its_slow_twin(ppkt, batch):
    ppkt.matches = 10**6
    ppkt.begin("pretrain", 1)
    loss = ppkt.losses(batch)["contrast"]
    with torch.no_grad():
        found = pairs(batch)
        k = normalize(ppkt.point_head(ppkt.points(batch)), dim=1)[found.point].double()
        maps = ppkt.image_head.project(ppkt.images(batch.images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        q = normalize(read(maps, found, (32, 48), align_corners=True), dim=1).double()
        terms = [-torch.log(torch.exp(k[n] @ q[n] / 0.07) / torch.exp(q @ k[n] / 0.07).sum()) for n in range(len(k))]
    assert loss.item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


def test_the_draw_comes_from_the_frames_seeds(ppkt, batch):
    ppkt.begin("pretrain", 1)
    assert ppkt.losses(batch)["contrast"].item() == ppkt.losses(batch)["contrast"].item()


def test_the_teacher_gets_no_gradient(ppkt, batch):
    ppkt.begin("pretrain", 1)
    ppkt.losses(batch)["contrast"].backward()
    assert all(p.grad is None for p in ppkt.images.parameters())
    assert all(p.grad is not None for p in [*ppkt.points.parameters(), *ppkt.image_head.parameters()])
