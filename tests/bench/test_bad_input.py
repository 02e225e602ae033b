"""What eval says of broken runs, of frames that do not do and of a full disk, with nothing half-written left behind."""

import subprocess
import sys

import pytest
import tiny_source
import torch
from command_line import CommandLine
from safetensors.torch import save_file

PROBE = """\
class_path: lidar2d.bench.probe.Probe
init_args:
  task: {class_path: lidar2d.tasks.segmentation.PointSegmentation}
  training: {epochs: 1, rates: [0.01], batch_size: 2}
"""
WORDS = ("--protocol", "./probe.yaml", "--results", "found")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A folder with a finished run, and the command line there."""
    folder = tmp_path_factory.mktemp("bad")
    line = CommandLine(folder)
    line.environment["LIDAR2D_CACHE"] = str(folder / "cache")
    (folder / "tiny.yaml").write_text(tiny_source.CARD.replace("test: 6}", "test: 6, none: 0}"))
    (folder / "probe.yaml").write_text(PROBE)
    short = ("--method.pretrain.steps", "1", "--method.pretrain.warmup", "0", "--trainer.report", "false")
    line.fit("ppkt", "run", *short)
    return line


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(line, *words):
    """Run eval, which fails; return what it said in one to three lines, having written nothing."""
    before = left(line.folder)
    told = line.run("eval", *words, status=2).strip().splitlines()
    found = [text for text in told if text.startswith("lidar2d: ")]
    assert len(found) == 1, told
    assert len(told) - told.index(found[0]) <= 3
    assert left(line.folder) == before
    return "\n".join(told[told.index(found[0]) :])


def test_words_that_say_nothing_or_two_things(line):
    start = ("--method", "ppkt", "--data", "./tiny.yaml", *WORDS)
    assert "--data.share belongs to training" in refused(line, *start, "--data.share", "1")
    assert "--seed is given twice" in refused(line, *start, "--seed", "1", "--seed", "2")
    assert "seed is -1; it must be from 0 to 4294967295" in refused(line, *start, "--seed", "-1")
    assert "--name is '../up'" in refused(line, *start, "--name", "../up")
    assert "--name is empty" in refused(line, *start, "--name=")
    for device in ("gpu", "hpu", "meta"):
        assert f"--device {device}: there is none here" in refused(line, *start, "--device", device)


def test_places_where_nothing_can_be_written_are_told_before_the_work(line):
    (line.folder / "afile").write_text("")
    start = ("--method", "ppkt", "--data", "./tiny.yaml", "--protocol", "./probe.yaml")
    for flag in ("--results", "--save-images"):
        assert "cannot write in afile: File exists" in refused(line, *start, flag, "afile")


def test_frames_without_a_point_are_judged_by_no_number(line):
    far = ("--data.points_range", "[90,90,90,91,91,91]")
    told = line.run("eval", "--method", "ppkt", "--data", "./tiny.yaml", "--protocol", "./probe.yaml", *far)
    assert "accuracy" not in told


def test_weights_of_another_network(line):
    other = line.folder / "run" / "other.safetensors"
    save_file({"conv.weight": torch.zeros(3, 3)}, other)
    assert "other.safetensors" in refused(line, "--checkpoint", "run/other.safetensors", *WORDS)
    content = (line.folder / "run" / "recipe.yaml").read_text()
    (line.folder / "wide").mkdir()
    (line.folder / "wide" / "recipe.yaml").write_text(content.replace("width: 8", "width: 12"))
    (line.folder / "wide" / "method.ckpt").write_bytes((line.folder / "run" / "method.ckpt").read_bytes())
    assert content != (line.folder / "wide" / "recipe.yaml").read_text()
    assert "wide/method.ckpt does not fit this network" in refused(line, "--checkpoint", "wide", *WORDS)


def test_features_that_are_not_finite(line):
    weights = torch.load(line.folder / "run" / "method.ckpt", weights_only=True)
    (line.folder / "nan").mkdir(exist_ok=True)
    for name in ("recipe.yaml", "trained-on.json"):
        (line.folder / "nan" / name).write_bytes((line.folder / "run" / name).read_bytes())
    values = weights.get("state_dict", weights)
    for value in values.values():
        if torch.is_tensor(value) and value.is_floating_point():
            value.fill_(torch.nan)
    torch.save(weights, line.folder / "nan" / "method.ckpt")
    told = refused(line, "--checkpoint", "nan", *WORDS)
    assert "are not finite; the network's weights are broken" in told


def test_splits_without_frames_and_labels_without_rule(line):
    for split in ("probe", "test"):
        told = refused(line, "--checkpoint", "run", *WORDS, f"--data.{split}", "none")
        assert "split 'none' of tiny has no frame; name another one" in told
    assert "tiny has no published rule for a share" in refused(line, "--checkpoint", "run", *WORDS, "--labels", "1")


def test_a_disk_without_room(line):
    command = [sys.executable, "-c", FULL, "eval", "--checkpoint", "run", *WORDS]
    before = left(line.folder)
    found = subprocess.run(command, cwd=line.folder, env=line.environment, text=True, capture_output=True)
    assert found.returncode == 2, found.stderr
    assert "cannot keep features in" in found.stderr
    assert "make room there" in found.stderr
    assert left(line.folder) == before


FULL = """
import resource, sys
import lidar2d.cli
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may grow beyond; Python ignores the signal
sys.exit(lidar2d.cli.main())
"""
