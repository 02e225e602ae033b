import csv
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from command_line import SMALL, CommandLine
from safetensors.torch import load_file

from lidar2d import exchange
from lidar2d.errors import UsageError

METHODS = {
    "collab": ["--method.align.steps", "60", "--method.anchor.steps", "60", "--data.batch_size", "4"],
    "ppkt": ["--method.pretrain.steps", "60", "--data.batch_size", "4"],
}


def weights(run):
    return torch.load(run / "method.ckpt", weights_only=True)["state_dict"]


def rows(run, stage):
    with (run / "logs" / f"{stage}-0" / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize("method", METHODS)
def test_fit_leaves_everything_a_user_expects(command_line, method):
    command_line.fit(method, "one", *METHODS[method])
    run = command_line.folder / "one"
    names = {path.name for path in run.iterdir()}
    assert {"recipe.yaml", "method.ckpt", "report.json", "report.txt", "features.png", "losses.json", "logs"} <= names
    report = json.loads((run / "report.json").read_text())
    for fell in report["losses"].values():
        first, last = fell["losses"].get("loss") or next(iter(fell["losses"].values()))
        assert last < first
    student = "student" if method == "collab" else "distilled"
    assert 0 < report["features"][student]["clear_probe"]["miou"]["fog"] <= 100
    assert "Frozen" in (run / "report.txt").read_text()


@pytest.fixture(scope="module")
def never_killed(tmp_path_factory):
    command_line = CommandLine(tmp_path_factory.mktemp("never-killed"))
    command_line.fit("collab", "whole", *METHODS["collab"], "--trainer.report", "false")
    return weights(command_line.folder / "whole")


@pytest.mark.parametrize("after", [0.5, "align", "anchor"])
def test_a_killed_run_goes_on_to_the_weights_of_one_that_was_not(command_line, never_killed, after):
    run = command_line.folder / "cut"
    words = ["--method", "collab", "--data", "./tiny.yaml", "--run", "cut", *METHODS["collab"]]

    process = command_line.start("fit", *words, *SMALL, "--trainer.report", "false", "--trainer.save_every", "0")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if isinstance(after, float) and (run / "recipe.yaml").exists():
            time.sleep(after)
            break
        if isinstance(after, str) and (run / f"{after}-last.ckpt").exists():
            break
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    command_line.run("fit", "--resume", "cut")
    cut = weights(run)
    assert all(torch.equal(never_killed[name], cut[name]) for name in never_killed)


@pytest.mark.parametrize(
    "mistake", [["--data.test", "nosuch"], ["--method.pretrain.lr", "-1"], ["--trainer.devices", "3"]], ids=" ".join
)
def test_a_mistake_is_told_before_a_run_folder_is_made(command_line, mistake):
    said = command_line.fit("ppkt", "never", *mistake, "--data.batch_size", "4", status=2)
    assert 1 <= len(said.splitlines()) <= 3
    assert not (command_line.folder / "never").exists()


def test_a_split_without_labels_is_refused_before_a_run_folder_is_made(command_line):
    card = command_line.folder / "tiny.yaml"
    card.write_text(card.read_text().replace("tiny_source.Tiny", "tiny_source.Unlabelled"))
    said = command_line.fit("ppkt", "never", status=2)
    assert "tiny probe has no point labels to judge points by" in said
    said = command_line.fit("collab", "never", status=2)
    assert "tiny probe has no pixel labels to judge images by" in said
    assert not (command_line.folder / "never").exists()


def test_a_data_set_of_clear_days_alone_is_judged_and_told(command_line):
    card = command_line.folder / "tiny.yaml"
    card.write_text(
        card.read_text().replace("clear: [day]", "clear: [day, fog, night]").replace("[fog, night]\ni", "[]\ni")
    )
    steps = ["--method.align.steps", "1", "--method.anchor.steps", "2", "--data.batch_size", "4"]
    said = command_line.fit("collab", "one", *steps)
    assert "stage anchor: tiny train has no adverse frame; it sees clear ones alone" in said
    report = json.loads((command_line.folder / "one" / "report.json").read_text())
    assert report["features"]["student"]["clear_probe"]["adverse"] is None
    assert "–" in (command_line.folder / "one" / "report.txt").read_text()


def test_what_is_not_judged_is_told(command_line):
    card = command_line.folder / "tiny.yaml"
    card.write_text(card.read_text().replace("probe: probe\n", 'probe: ""\n'))
    said = command_line.fit("ppkt", "one", "--method.pretrain.steps", "1", "--method.pretrain.warmup", "0")
    assert "not judged: tiny names no labelled splits" in said
    assert not any(note in said for note in ("no point was visible", "stayed 0", "warm-up"))
    far = command_line.fit("ppkt", "far", "--method.pretrain.steps", "2", "--method.pairing.min_depth", "1000")
    assert "stage pretrain: no point was visible in an image" in far
    idle = ["--method.ground.low", "500", "--method.ground.high", "600", "--method.pretrain.warmup", "9"]
    high = command_line.fit("hvdistill", "high", "--method.pretrain.steps", "2", *idle)
    assert "stage pretrain: ground stayed 0 and taught nothing" in high
    assert "stage pretrain: its warm-up of 9 steps is longer than its 2" in high


def test_others_may_read_what_a_run_leaves(command_line):
    command_line.fit("ppkt", "one", "--method.pretrain.steps", "1", "--trainer.report", "false")
    modes = {path.stat().st_mode for path in (command_line.folder / "one").iterdir() if path.is_file()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(b"\x80nothing"), lambda path: os.truncate(path, 1000)],
    ids=["other", "cut"],
)
def test_a_damaged_state_is_named(command_line, damage):
    command_line.fit("ppkt", "one", "--method.pretrain.steps", "1", "--trainer.report", "false")
    damage(command_line.folder / "one" / "pretrain-done.ckpt")
    said = command_line.run("fit", "--resume", "one", status=2)
    assert "pretrain-done.ckpt" in said
    assert 1 <= len(said.splitlines()) <= 3


@pytest.mark.parametrize(
    ("method", "stage", "lengths"),
    [
        ("collab", "align", {"align": 5, "anchor": 0}),
        ("collab", "anchor", {"align": 0, "anchor": 5}),
        ("ppkt", "pretrain", {"pretrain": 5}),
    ],
)
def test_two_processes_train_with_the_losses_of_one(command_line, method, stage, lengths):
    words = ["--data.batch_size", "4", "--trainer.report", "false", "--trainer.accelerator", "cpu"]
    words += ["--trainer.precision", "32-true"]  # bfloat16 would hide more than 1e-5
    for name, steps in lengths.items():
        words += [f"--method.{name}.steps", str(steps)]
    command_line.fit(method, "one", *words)
    command_line.fit(method, "two", *words, "--trainer.devices", "2")
    one, two = rows(command_line.folder / "one", stage), rows(command_line.folder / "two", stage)
    assert len(one) == len(two) == 5
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_a_distilled_backbone_is_told_from_its_file_and_written_for_a_detector(command_line, monkeypatch):
    points = ["--method.points", "lidar2d.nets.voxelnet.VoxelNet", "--method.points.channels", "8"]
    images = ["--method.images.width", "16", "--method.images.weights", "null"]
    short = ["--method.pretrain.steps", "1", "--trainer.report", "false"]
    common = ["fit", "--method", "ppkt", "--data", "./tiny.yaml", *points, *images, *short]
    command_line.run(*common, "--run", "one")
    said = command_line.run("weights", "one", "--to", "openpcdet", "--out", "detector.pth")
    assert said == "detector.pth: VoxelNet of one, for openpcdet\n"
    assert "name another file" in command_line.run(
        "weights", "one", "--to", "openpcdet", "--out", "detector.pth", status=2
    )
    told = command_line.run("weights", "detector.pth", "--names")
    assert "fits VoxelNet" in told
    assert "random     final.kernel" in told
    student = load_file(command_line.folder / "one" / "student.safetensors")
    written = torch.load(command_line.folder / "detector.pth")["model_state"]
    assert torch.equal(written["backbone_3d.conv_out.1.weight"], student["conv_out.1.weight"])
    again = command_line.run(*common, "--run", "two", "--method.points.weights", "detector.pth")
    assert re.search(r"points +VoxelNet, .*60 weights used", again)
    assert "images      SmallConv, random weights" in again
    assert "fits the run's method.points, VoxelNet" in command_line.run("weights", "two/student.safetensors")
    assert (
        "used       model_state.backbone_3d.conv_out.0.weight"
        in (command_line.folder / "two" / "points-weights.txt").read_text()
    )
    (command_line.folder / "detector.pth").rename(command_line.folder / "moved.pth")
    (command_line.folder / "two" / "pretrain-done.ckpt").unlink()
    (command_line.folder / "two" / "method.ckpt").unlink()
    resumed = command_line.run("fit", "--resume", "two")  # without the file that it began from
    assert "pretrain 1/1" in resumed
    again = load_file(command_line.folder / "two" / "student.safetensors")
    command_line.run(*common, "--run", "three", "--method.points.weights", "moved.pth")
    once = load_file(command_line.folder / "three" / "student.safetensors")
    assert all(torch.equal(once[name], value) for name, value in again.items())
    assert "for TimmEncoder" in command_line.run("weights", "one", "--to", "timm", "--out", "a.pth", status=2)
    monkeypatch.chdir(command_line.folder)
    Path("file").write_text("in the way")
    for run, out, said in (
        *(("one", out, "--out") for out in (".", "one", "one/method.ckpt", "/dev/null", "a.safetensors")),
        ("one", "missing/../one/x.pth", "--out"),
        ("one", "file/a.pth", "cannot write file/a.pth"),
        ("four", "a.pth", "no run folder"),
    ):
        with pytest.raises(UsageError, match=said):
            exchange.write(Path(run), "openpcdet", Path(out))
    assert not Path("a.pth").exists()


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("slidr", ["superpixels.segments", "6"]),
        ("olivine", ["weak_labels", "ClusterLabels", "weak_labels.classes", "3", "weak_labels.images", "SmallConv"]),
    ],
)
def test_what_a_method_wants_beside_images_is_prepared_once(command_line, method, wanted):
    made = command_line.folder / "kept"
    command_line.environment["LIDAR2D_CACHE"] = str(made)
    words = ["prepare", "--method", method, "--data", "./tiny.yaml", *SMALL]
    words += [word if index % 2 else f"--data.{word}" for index, word in enumerate(wanted)]
    if method == "olivine":
        assert "Olivine, as it is set, has no use for it" in command_line.run(*words, status=2)
        words += ["--method.labels", "given", "--data.weak_labels.images.width", "8"]
    said = command_line.run(*words)
    assert re.search(r" of 3 frames, about \d.\d MB in \S*kept/", said)  # of clear days
    files = sorted(made.rglob("*.npz"))
    assert len(files) == 3
    before = [path.stat().st_mtime_ns for path in files]
    files[2].unlink()
    assert " of 1 frame," in command_line.run(*words)
    after = [path.stat().st_mtime_ns for path in files]
    assert [one == two for one, two in zip(before, after, strict=True)].count(False) == 1
    assert " of 1 frames" not in command_line.run(*words)
