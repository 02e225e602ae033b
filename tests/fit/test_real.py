"""The main job on real sensor data: short runs on the official samples, whose loss must fall."""

import json
import os
from pathlib import Path

import pytest

SAMPLES = Path(os.environ.get("LIDAR2D_SAMPLES", Path(__file__).parents[3] / "shared" / "data"))
SHORT = {
    "collab": ["--method.align.steps", "60", "--method.anchor.steps", "40", "--method.survey", "4"],
    "ppkt": ["--method.pretrain.steps", "40"],
}
POINTS = [
    "--data.batch_size",
    "1",
    "--method.pretrain.steps",
    "40",
    "--method.pretrain.warmup",
    "5",
    "--trainer.report",
    "false",
]
IMAGES = [
    "--data.batch_size",
    "1",
    "--method.tune.steps",
    "40",
    "--method.tune.warmup",
    "5",
    "--trainer.report",
    "false",
]
OTHERS = {
    "slidr": POINTS,
    "scalr": POINTS,
    "olivine": [*POINTS, "--method.survey", "4"],
    "hvdistill": [*POINTS, "--data.cameras", "null"],
    "photometric": IMAGES,
    "selfdistill": [*IMAGES, "--data.batch_size", "4"],
    "fused": IMAGES,
}


@pytest.mark.parametrize(("card", "folder"), [("kitti", "kitti_object"), ("nuscenes", "nuscenes")])
@pytest.mark.parametrize("method", SHORT)
def test_fit_on_real_frames_runs_to_the_end_with_falling_loss(command_line, method, card, folder):
    if not (SAMPLES / folder).is_dir():
        pytest.skip(f"no real samples in {SAMPLES / folder}; set LIDAR2D_SAMPLES")
    words = ["--data", card, "--data.root", str(SAMPLES / folder), "--data.batch_size", "1", "--run", "real"]
    command_line.run("fit", "--method", method, *words, *SHORT[method])
    run = command_line.folder / "real"
    for fell in json.loads((run / "report.json").read_text())["losses"].values():
        first, last = fell["losses"].get("loss") or next(iter(fell["losses"].values()))
        assert last < first
    assert (run / "features.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(("card", "folder"), [("kitti", "kitti_object"), ("nuscenes", "nuscenes")])
@pytest.mark.parametrize("method", OTHERS)
def test_every_other_method_runs_on_real_frames_and_its_loss_falls(command_line, method, card, folder):
    if not (SAMPLES / folder).is_dir():
        pytest.skip(f"no real samples in {SAMPLES / folder}; set LIDAR2D_SAMPLES")
    words = ["--data", card, "--data.root", str(SAMPLES / folder), "--run", "real"]
    command_line.environment["LIDAR2D_CACHE"] = str(command_line.folder / "cache")
    command_line.run("fit", "--method", method, *words, *OTHERS[method])
    for fell in json.loads((command_line.folder / "real" / "losses.json").read_text()).values():
        first, last = fell["losses"].get("loss") or next(iter(fell["losses"].values()))
        assert last < first
