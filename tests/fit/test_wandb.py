"""wandb: one run under an id that stays, never a question, and a mistake told in time."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

from lidar2d.compare.folder import read_folder
from lidar2d.compare.offline import read_offline
from lidar2d.compare.places import find
from lidar2d.errors import UsageError
from lidar2d.fit.folder import RunFolder
from lidar2d.fit.wandb_run import check_wandb, identity, sent_by


def test_wandb_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match=r"wandb is not installed; pip install 'lidar2d\[wandb\]'"):
        check_wandb()


@pytest.mark.parametrize("kept", [[1], "x", {"id": 3}, {"project": "lidar2d"}, {"id": "a", "mode": "online"}])
def test_a_file_that_names_no_run_of_wandbs_is_told(tmp_path, kept):
    assert identity(RunFolder(tmp_path)) == {}
    (tmp_path / "wandb.json").write_text(json.dumps({"id": "a", "project": "lidar2d"}))
    assert identity(RunFolder(tmp_path)) == {"id": "a", "project": "lidar2d"}
    (tmp_path / "wandb.json").write_text(json.dumps(kept))
    with pytest.raises(UsageError, match=r"wandb\.json: names no run of wandb's; remove it"):
        identity(RunFolder(tmp_path))


def test_all_parts_of_an_offline_run_are_sent(tmp_path):
    parts = [tmp_path / "my run/wandb" / name for name in ("offline-run-1-abc", "offline-run-2-abc", "offline-run-1-b")]
    for part in parts:
        part.mkdir(parents=True)
    assert shlex.split(sent_by(parts[1], "abc")) == ["wandb", "sync", str(parts[0]), str(parts[1])]


@pytest.fixture
def line(tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed; pip install 'lidar2d[wandb]'")
    return CommandLine(tmp_path).logged_out()


def test_a_killed_run_goes_on_under_its_id_and_never_asks(line, tmp_path):
    steps = ["--method.align.steps", "1", "--method.anchor.steps", "400", "--data.batch_size", "4"]
    words = [
        "--method",
        "collab",
        "--data",
        "./tiny.yaml",
        "--run",
        "cut",
        *SMALL,
        *steps,
        "--trainer.progress",
        "false",
    ]
    process = line.start("fit", *words, "--logger", "wandb")
    run = tmp_path / "cut"
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None and not logged(run, "anchor/loss"):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = json.loads((run / "wandb.json").read_text())["id"]
    (cut,) = find([str(run / "wandb")]).runs
    assert not cut.finished
    assert not read_folder(run).finished

    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace("steps: 400", "steps: 2"))  # the rest would teach the test nothing
    said = on_a_terminal([sys.executable, "-m", "lidar2d.cli", "fit", "--resume", "cut"], line)
    assert json.loads((run / "wandb.json").read_text())["id"] == kept
    logs = sorted(run.glob("wandb/offline-run-*/*.wandb"))
    assert [log.name for log in logs] == [f"run-{kept}.wandb"] * 2
    told = [line.rstrip() for line in said.splitlines() if "wandb" in line.lower()]  # one line, and of lidar2d's
    assert [shlex.split(line)[:3] for line in told] == [["wandb", "wandb", "sync"]]
    assert [(tmp_path / part).resolve() for part in shlex.split(told[0])[3:]] == [log.parent for log in logs]
    (whole,) = find([str(run / "wandb")]).runs
    assert whole.finished
    assert whole.metrics == read_folder(run).metrics
    assert whole.metrics["align/align"] == cut.metrics["align/align"]  # of the part before


def logged(run: Path, metric: str) -> bool:
    try:
        (found,) = find([str(run / "wandb")]).runs
    except UsageError:  # it has not begun
        return False
    return metric in found.metrics


def on_a_terminal(command: list[str], line: CommandLine) -> str:
    """Run a command where it could ask: on a terminal that nobody types at."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=line.folder,
        env=line.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0, said.decode(errors="replace")
    return said.decode(errors="replace")


def test_wandb_is_refused_before_a_run_folder_is_made(line, tmp_path):
    line.environment["WANDB_MODE"] = "online"
    said = line.fit("ppkt", "never", "--logger", "wandb", status=2)
    assert (
        said == "lidar2d: WANDB_MODE asks for wandb online, and it has no login; `wandb login`, or unset WANDB_MODE\n"
    )
    assert not (tmp_path / "never").exists()


def test_a_wrong_setting_of_wandbs_is_told_in_a_line(line):
    code = "from lidar2d.wandb_login import has_login; has_login()"
    environment = {**line.environment, "WANDB_MODE": "somewhere"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    last = told.stderr.splitlines()[-1]
    assert "UsageError: wandb does not take its settings: mode is 'somewhere': Input should be 'online'" in last


def test_of_two_processes_one_logs_into_the_run_that_a_sweeps_agent_names(line, tmp_path):
    line.environment |= {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "named", "WANDB_MODE": "offline"}
    short = ["--method.pretrain.steps", "2", "--method.pretrain.warmup", "0", "--trainer.report", "false"]
    two = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--data.batch_size", "4"]
    line.fit("ppkt", "one", *short, *two, "--logger", "wandb")
    assert json.loads((tmp_path / "one/wandb.json").read_text())["id"] == "named"
    (log,) = tmp_path.glob("one/wandb/offline-run-*-named/run-named.wandb")
    assert read_offline([log]).metrics == read_folder(tmp_path / "one").metrics
