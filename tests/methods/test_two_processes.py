"""Every method has the losses and gradients of one process on two, also where one of them has no pair."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from plain import PlainImages, PlainPoints, make_frame
from torch import Tensor

from lidar2d.frame import Batch, collate
from lidar2d.methods.base import Method, Stage
from lidar2d.methods.collab import Collab
from lidar2d.methods.fused import Fused
from lidar2d.methods.geometric import Geometric
from lidar2d.methods.hvdistill import HVDistill
from lidar2d.methods.olivine import Olivine
from lidar2d.methods.photometric import Photometric
from lidar2d.methods.ppkt import PPKT
from lidar2d.methods.scalr import ScaLR
from lidar2d.methods.selfdistill import SelfDistill
from lidar2d.methods.slidr import SLidR
from lidar2d.methods.supervised import Supervised
from lidar2d.nets.bev import DepthBins, Ground

STAGE = Stage(steps=5)
GROUND, BINS = Ground(25.6, 1.6, -3.0, 3.0), DepthBins(2.0, 22.0, 2.0)
SIZES = {"clusters": 12, "hidden": 8, "bottleneck": 6, "crop": (32, 48)}
MAKE: dict[str, Callable[[], Method]] = {
    "collab": lambda: Collab(PlainPoints(), PlainImages(), STAGE, STAGE, codes=4, matches=300, distorted=0.5),
    "ppkt": lambda: PPKT(PlainPoints(), PlainImages(), STAGE, dim=5, matches=64),
    "slidr": lambda: SLidR(PlainPoints(), PlainImages(), STAGE, dim=5),
    "scalr": lambda: ScaLR(PlainPoints(), PlainImages(), STAGE),
    "olivine": lambda: Olivine(PlainPoints(), PlainImages(), STAGE, classes=3, dim=5, matches=64, rate=0.3, settle=1),
    "hvdistill": lambda: HVDistill(PlainPoints(), PlainImages(), STAGE, GROUND, BINS, dim=5, cells=40, width=16),
    "photometric": lambda: Photometric(PlainPoints(), PlainImages(), STAGE),
    "fused": lambda: Fused(PlainPoints(), PlainImages(), STAGE, voxel_size=2.0, matches=100),
    "supervised": lambda: Supervised(PlainPoints(), PlainImages(), classes=3, learn=STAGE),
    "geometric": lambda: Geometric(
        PlainPoints(), PlainImages(), STAGE, STAGE, (4, 3, 3), rows_per_frame=30, matches=99
    ),
    "selfdistill": lambda: SelfDistill(PlainPoints(), PlainImages(), STAGE, **SIZES),
}


def frames(blind: bool) -> list[Batch]:
    """The batch of each of two processes; one of the second sees nothing, where it is blind."""
    made = [make_frame(0), make_frame(1, "fog"), make_frame(2), make_frame(3, "night", points=150)]
    row, column = torch.meshgrid(torch.arange(32) // 8, torch.arange(48) // 8, indexing="ij")
    regions, labels = (row * 6 + column).expand(2, -1, -1), (column // 2).expand(2, -1, -1)
    made = [replace(frame, regions=regions, weak_labels=labels, pixel_labels=labels % 4 - 1) for frame in made]
    if blind:
        made[2:] = [replace(frame, points=frame.points * torch.tensor([-1.0, 1, 1, 1])) for frame in made[2:]]
    days = ["day"]
    return [
        collate(made[:2], [10, 11], days),
        collate(made[2:], [12, 13], days),
        collate(made, [10, 11, 12, 13], days),
    ]


def steps(method: Method, batch: Batch) -> list[Tensor]:
    """Losses of two steps of each stage, and the gradients of the second."""
    found: list[Tensor] = []
    for stage in method.stages():
        if isinstance(method, Collab) and stage == "align":
            method.look([batch])
        method.begin(stage, 1)
        for _ in range(2):
            method.zero_grad()
            losses = method.losses(batch)
            sum(losses.values()).backward()
            found += [value.detach().double() for value in losses.values()]
        grads = (p.grad if p.grad is not None else torch.zeros_like(p) for p in method.parameters() if p.requires_grad)
        found.append(torch.cat([grad.flatten().double() for grad in grads]))
        method.finish()
    return found


def run(name: str, batch: Batch) -> list[Tensor]:
    torch.manual_seed(0)
    return steps(MAKE[name](), batch)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    out = {}
    for blind in (False, True):
        batch = frames(blind)[rank]
        for name in MAKE:
            mean = [value.clone() for value in run(name, batch)]
            for value in mean:
                torch.distributed.all_reduce(value)
            out[name, blind] = [value / 2 for value in mean]  # as data-parallel training averages
    if rank == 0:
        torch.save(out, f"{folder}/mean.pt")
    torch.distributed.destroy_process_group()  # else its threads may outlive the process, which is then ended by force


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> dict[tuple[str, bool], list[Tensor]]:
    folder: Path = tmp_path_factory.mktemp("methods")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return torch.load(folder / "mean.pt", weights_only=True)


@pytest.mark.parametrize("blind", [False, True], ids=["pairs on both", "no pair on one"])
@pytest.mark.parametrize("name", MAKE)
def test_two_processes_are_one(both, name, blind):
    alone = run(name, frames(blind)[2])
    assert len(alone) == len(both[name, blind])
    for one, two in zip(alone, both[name, blind], strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
