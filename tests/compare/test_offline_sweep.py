"""A sweep of four runs, offline: what is compared is the same, whether CSV files or wandb kept it."""

import csv
import json
import re
import shutil
import subprocess
import sys

import pytest
import sweep_words
import yaml
from command_line import SMALL, CommandLine

from lidar2d.compare.folder import read_folder
from lidar2d.compare.offline import messages, read_offline
from lidar2d.compare.places import find
from lidar2d.compare.verb import compare_places
from lidar2d.results.numbers import numbers

pytest.importorskip("wandb", reason="wandb is not installed; pip install 'lidar2d[wandb]'")

SWEEP = """\
program: lidar2d
command: ["${program}", fit, --method, collab, --data, ./tiny.yaml, --logger, wandb, "${args}"]
method: grid
metric: {name: clear_probe/adverse, goal: maximize}
parameters:
  method.blend: {values: [0.3, 1.0]}
  method.anchor.lr: {values: [0.003, 0.03]}
"""
QUICK = ["--method.align.steps", "2", "--method.anchor.steps", "3", "--data.batch_size", "4"]
STEADY = ["--method.align.warmup", "0", "--method.anchor.warmup", "0", "--trainer.progress", "false"]
RUNS = [f"run-{number}" for number in range(4)]
# one process for all of them: most of the time of so short a run is torch's start
AGENT = """\
import json, sys
from lidar2d.cli import main
for words in json.load(sys.stdin):
    assert main(words) == 0
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The four runs in ``runs/``; in ``wandb/`` only what wandb kept of them; and what was said."""
    line = CommandLine(tmp_path_factory.mktemp("sweep")).logged_out()
    found = yaml.safe_load(SWEEP)
    commands = [
        [*sweep_words.words(found, values)[1:], "--run", f"runs/{run}", *SMALL, *QUICK, *STEADY]
        for run, values in zip(RUNS, sweep_words.combinations(found), strict=True)
    ]
    (line.folder / "runs").mkdir()
    told = subprocess.run(
        [sys.executable, "-c", AGENT],
        input=json.dumps(commands),
        cwd=line.folder,
        env=line.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    (line.folder / "wandb").mkdir()
    for log in line.folder.glob("runs/*/wandb/offline-run-*"):
        shutil.copytree(log, line.folder / "wandb" / log.name)
    return line.folder, told.stdout


def test_the_table_is_the_same_from_csv_files_and_from_wandb(sweep, tmp_path):
    folder, _ = sweep
    for place in ("runs", "wandb"):
        said = compare_places([str(folder / place), "--out", str(tmp_path / place)])
        (tmp_path / f"{place}.txt").write_text(said.partition("\nwritten")[0])
    names = ["compare.md", "compare.csv", "best.yaml", "settings.png"]
    for one in [f"{{}}/{name}" for name in names] + ["{}.txt"]:
        runs, wandb = ((tmp_path / one.format(place)).read_bytes() for place in ("runs", "wandb"))
        assert runs == wandb, one
    rows = list(csv.DictReader((tmp_path / "wandb/compare.csv").read_text().splitlines()))
    assert sorted(row["run"] for row in rows) == RUNS
    for row in rows:
        index = int(row["run"][-1])
        assert (row["method.blend"], row["method.anchor.lr"]) == (
            ["0.3", "0.3", "1", "1"][index],
            ["0.003", "0.03", "0.003", "0.03"][index],
        )


def test_the_table_has_the_values_of_the_csv_loggers(sweep, tmp_path):
    folder, _ = sweep
    compare_places([str(folder / "wandb"), "--out", str(tmp_path)])
    for row in csv.DictReader((tmp_path / "compare.csv").read_text().splitlines()):
        run = folder / "runs" / row["run"]
        told = numbers(json.loads((run / "report.json").read_text()))
        assert told["clear_probe/adverse"] > 0
        assert {name: float(row[name]) for name in told} == told
        for stage, losses in {"align": ["align"], "anchor": ["loss", "anchor", "preserve"]}.items():
            last = list(csv.DictReader((run / "logs" / f"{stage}-0/metrics.csv").read_text().splitlines()))[-1]
            for loss in [*losses, "pairs"]:
                assert row[f"{stage}/{loss}"] == last[loss]  # digit by digit


def test_wandb_has_every_step_that_the_csv_files_have(sweep):
    from wandb.proto.wandb_internal_pb2 import Record

    folder, _ = sweep
    run = folder / "runs" / RUNS[0]
    (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
    history = []
    for message in messages(log):
        record = Record.FromString(message)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            history.append({"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
    assert [row["_step"] for row in history] == [0, 1, 2, 3, 4, 5]  # two stages, then the report
    for stage, own in {"align": history[:2], "anchor": history[2:5]}.items():
        kept = list(csv.DictReader((run / "logs" / f"{stage}-0/metrics.csv").read_text().splitlines()))
        assert len(kept) == len(own)
        for row, logged in zip(kept, own, strict=True):
            assert {name: float(value) for name, value in row.items()} == {
                name: logged[f"{stage}/{name}"] for name in row
            }
    assert history[5]["picture/_type"] == "image-file"


def test_one_wandb_run_holds_recipe_environment_and_picture(sweep):
    folder, _ = sweep
    for name in RUNS:
        run = folder / "runs" / name
        (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
        found = read_offline([log])
        assert found.name == name
        assert found.finished
        assert found.recipe == yaml.safe_load((run / "recipe.yaml").read_text())
        assert found.metrics == read_folder(run).metrics
        assert json.loads((run / "wandb.json").read_text())["id"] == log.stem.removeprefix("run-")
        (picture,) = log.parent.glob("files/media/images/picture*.png")
        assert picture.read_bytes() == (run / "features.png").read_bytes()
        text = log.read_bytes().decode(errors="replace")
        for fact in ("commit", "torch", "python", "devices"):
            assert re.search(rf'"{fact}": ?"', text), fact


def test_wandb_says_nothing_and_each_run_says_what_sends_it(sweep):
    folder, said = sweep
    told = [line for line in said.splitlines() if "wandb" in line.lower()]
    assert [line.split()[:3] for line in told] == [["wandb", "wandb", "sync"]] * len(RUNS)
    for run, line in zip(RUNS, told, strict=True):
        (part,) = (folder / "runs" / run / "wandb").glob("offline-run-*")
        assert (folder / line.split()[3]).resolve() == part.resolve()


def test_a_run_folder_is_enough_without_its_csv_files(sweep, tmp_path):
    folder, _ = sweep
    shutil.copytree(folder / "runs" / RUNS[0] / "wandb", tmp_path / "some/wandb", symlinks=True)
    found = find([str(tmp_path / "some")])
    assert [run.metrics for run in found.runs] == [read_folder(folder / "runs" / RUNS[0]).metrics]
    assert found.others == 0


def test_runs_of_other_programs_are_left_out(sweep, tmp_path):
    folder, _ = sweep
    code = """\
import sys, wandb
run = wandb.init(dir=sys.argv[1], mode="offline", config={"lr": 1}, settings=wandb.Settings(silent=True, console="off"))
run.log({"loss": 1.0})
run.finish()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    found = find([str(tmp_path), str(folder / "wandb")])
    assert (len(found.runs), found.others) == (4, 1)
    assert "left out: 1 run of other programs" in compare_places([str(tmp_path), str(folder / "wandb")])
