"""Metrics of two processes are exactly those of one, whatever the order and the share of the frames."""

from pathlib import Path

import pytest
import torch
from torchmetrics import Metric

from lidar2d.metrics.depth import DepthErrors
from lidar2d.metrics.kitti_precision import KittiPrecision
from lidar2d.metrics.nuscenes_score import ATTRIBUTES, CLASSES, COLUMNS, POSE, NuScenesScore
from lidar2d.tasks.detection import AveragePrecision
from lidar2d.tasks.segmentation import Scores

FRAMES = 9
UNEVEN, NONE = ([7, 2, 0, 5, 3, 1], [8, 6, 4]), ([], list(range(FRAMES)))  # frames of each process
CASES = {
    "scores": ("scores", UNEVEN),
    "scores, one without frames": ("scores", NONE),
    "depth": ("depth", UNEVEN),
    "depth, one without frames": ("depth", NONE),
    "boxes": ("boxes", UNEVEN),
    "boxes, one without frames": ("boxes", NONE),
    "kitti": ("kitti", UNEVEN),
    "kitti, one without frames": ("kitti", NONE),
    "nuscenes": ("nuscenes", UNEVEN),
    "nuscenes, one without frames": ("nuscenes", NONE),
}


def drawn(name: str, frame: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the answer and the truth of a frame, as the metric takes them."""
    rng = torch.Generator().manual_seed(frame)
    if name == "scores":
        truth = torch.randint(-1, 4, (200,), generator=rng)
        return torch.where(torch.rand(200, generator=rng) < 0.6, truth.clamp_min(0), 2), truth
    if name == "depth":
        truth = torch.rand(2, 6, 8, generator=rng) * 60 + 1
        truth[0] *= frame % 2  # some images have no measured pixel
        return truth * torch.rand(2, 6, 8, generator=rng) + 2, truth
    truth = torch.full((1, 12, 9), -1.0, dtype=torch.float64)
    count = 4 + frame % 3
    truth[0, :count, 0], truth[0, :count, 1:3] = 10.0 * torch.arange(count), 0.0
    truth[0, :count, 3:6], truth[0, :count, 6] = torch.tensor([4.0, 2.0, 1.5]).double(), 0.1
    truth[0, :count, 7], truth[0, :count, 8] = (torch.arange(count) % 2).double(), 1.0
    answer = truth.clone()
    answer[0, :count, :2] += 0.4 * torch.randn(count, 2, generator=rng)
    answer[..., 8] = torch.rand(1, 12, generator=rng)
    if name == "kitti":  # some are too low for the easy level, or not in the image
        heights = torch.tensor([30.0, 90.0]).double()[torch.randint(0, 2, (1, 12, 1), generator=rng)]
        truth[..., 8] = 0
        return torch.cat([answer, heights], -1), truth
    return (answer, truth) if name == "boxes" else surveyed(frame, answer, truth)


def surveyed(frame: int, answer: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return boxes in a global frame whose origin is the LiDAR's, which stands; cars park there."""
    half = truth[..., 6:7] / 2
    still, parked = torch.zeros(1, 12, 2), torch.full((1, 12, 1), float(ATTRIBUTES.index("vehicle.parked")))
    turn = [half.cos(), torch.zeros(1, 12, 2), half.sin()]
    global_ = [truth[..., :3], truth[..., [4, 3, 5]], *turn, still, parked, torch.ones(1, 12, 1)]
    number = torch.where(truth[..., 7:8] < 0, -1, CLASSES.index("car"))
    rows = torch.cat([truth[..., :7], number, still, *global_], -1)
    pose = torch.full((1, 1, COLUMNS), -1.0).double()
    pose[0, 0, POSE] = torch.cat([torch.eye(3, 4).flatten(), torch.tensor([0.1 * frame, 0.0, 0.0])]).double()
    answers = torch.cat([answer[..., :7], number, answer[..., 8:9], still, parked], -1)
    return answers.double(), torch.cat([rows.double(), pose], 1)


def metrics() -> dict[str, Metric]:
    return {
        "scores": Scores(("car", "bus", "tram", "road")),
        "depth": DepthErrors(0.001, 80.0),
        "boxes": AveragePrecision({"car": 0.5, "pedestrian": 0.3}),
        "kitti": KittiPrecision(),
        "nuscenes": NuScenesScore(),
    }


def computed(name: str, frames: list[int]) -> dict[str, float]:
    metric = metrics()[name]
    for frame in frames:
        metric.update(*drawn(name, frame))
    return metric.compute()


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {case: computed(name, frames[rank]) for case, (name, frames) in CASES.items()}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> list[dict[str, dict[str, float]]]:
    folder: Path = tmp_path_factory.mktemp("metrics")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_numbers_of_one(both, case):
    name, _ = CASES[case]
    alone = computed(name, list(range(FRAMES)))
    assert 0 < next(iter(alone.values())) < 100  # neither perfect nor nothing
    assert alone != computed(name, UNEVEN[0])  # nor what a share has
    assert both[0][case] == both[1][case] == alone


@pytest.mark.parametrize("name", metrics())
def test_the_order_of_frames_changes_nothing(name):
    assert computed(name, list(range(FRAMES))) == computed(name, [4, 8, 0, 7, 1, 6, 2, 5, 3])


def test_perfect_answers_are_perfect():
    found = {}
    for name in ("scores", "depth", "boxes"):
        metric = metrics()[name]
        for frame in range(FRAMES):
            truth = drawn(name, frame)[1]
            metric.update(truth.clamp_min(0) if name == "scores" else truth, truth)
        found[name] = metric.compute()
    assert found["scores"]["miou"] == found["scores"]["accuracy"] == 100
    assert found["depth"]["abs_rel"] == found["depth"]["rmse"] == 0
    assert found["depth"]["d1"] == 1
    assert found["boxes"]["ap3d"] == found["boxes"]["apbev"] == 100
