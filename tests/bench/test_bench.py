"""bench and eval through the command line, on the tiny data set: what is missing, what fails, what a kill leaves."""

import json
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from command_line import SMALL, CommandLine

from lidar2d.results.record import parse

SETTINGS = dict(zip([word.removeprefix("--") for word in SMALL[::2]], map(yaml.safe_load, SMALL[1::2]), strict=True))
PROBE = """\
class_path: lidar2d.bench.probe.Probe
init_args:
  task: {class_path: lidar2d.tasks.segmentation.PointSegmentation}
  training: {epochs: 2, rates: [0.01], batch_size: 2}
"""
BOXES = (
    "segmentation.PointSegmentation}",
    "detection.Detection, init_args: {overlap: {car: 0.5}}}",
)


@pytest.fixture
def line(tmp_path):
    line = CommandLine(tmp_path)
    line.environment["LIDAR2D_CACHE"] = str(tmp_path / "cache")
    (tmp_path / "probe.yaml").write_text(PROBE)
    (tmp_path / "boxes.yaml").write_text(PROBE.replace(*BOXES))
    settings = {**SETTINGS, "method.pretrain.steps": 2, "data.card": "./tiny.yaml", "trainer.report": False}
    suite = {
        "pretrain": {**settings, "trainer.progress": False, "method.pretrain.warmup": 0},
        "methods": {"ppkt": None, "broken": {"recipe": "ppkt", "method.dim": 1}},
        "judge": [{"data": "./tiny.yaml", "protocols": ["./probe.yaml", "./boxes.yaml", "glance3d/lidar2d@1"]}],
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(suite))
    return line


def records(folder):
    found = {path.name: path.read_text().splitlines() for path in sorted((folder / "results" / "own").glob("*.jsonl"))}
    assert all(parse(line) for lines in found.values() for line in lines)
    return {
        name: [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "peak_gib")} for line in lines]
        for name, lines in found.items()
    }


def test_a_suite_fails_cell_by_cell_is_killed_goes_on_and_is_done_once(line, tmp_path):
    told = line.run("bench", "--suite", "./own.yaml", status=1)
    assert "6 cells, 6 missing" in told
    assert "4 failed; --retry tries them again" in told
    found = records(tmp_path)
    by_protocol = {record["protocol"] for record in found["ppkt.jsonl"] if "error" in record}
    assert by_protocol == {"own/boxes@0"}
    assert {"day", "fog", "night", "all"} == {record["condition"] for record in found["ppkt.jsonl"]}
    assert all("dim is 1; it must be at least 2" in record["error"] for record in found["broken.jsonl"])
    assert not list((tmp_path / "cache").glob("features/*"))

    assert "there is no folder" in line.run("bench", "--suite", "./own.yaml", "--root", "kitti=nowhere", status=2)
    assert "shard 9/9 has no run" in line.run("bench", "--suite", "./own.yaml", "--shard", "9/9")

    began = time.monotonic()
    assert "6 cells, all done; 4 of them failed" in line.run("bench", "--suite", "./own.yaml", status=1)
    assert time.monotonic() - began < 5
    assert "1 cells done, 4 failed" not in line.run("bench", "--suite", "./own.yaml", "--retry", status=1)
    assert records(tmp_path) == found

    (tmp_path / "results").rename(tmp_path / "before")
    (tmp_path / "runs").rename(tmp_path / "runs-before")
    process = line.start("bench", "--suite", "./own.yaml")
    while not (tmp_path / "results" / "own" / "ppkt.jsonl").is_file():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert records(tmp_path) != found
    line.run("bench", "--suite", "./own.yaml", status=1)
    assert records(tmp_path) == found


def test_eval_judges_what_was_never_taught_and_says_what_is_wrong(line, tmp_path):
    words = ("eval", "--method", "scalr", "--data", "./tiny.yaml")
    told = line.run(*words, "--protocol", "./probe.yaml", "--results", "found", "--save-images", "pictures")
    assert re.search(r"^miou +\d", told, re.MULTILINE)
    assert (tmp_path / "pictures" / "index.html").read_text().count("<figure>") == 6
    assert len((tmp_path / "found" / "eval" / "scalr-untrained.jsonl").read_text().splitlines()) == 4
    assert "chosen on" not in told  # one rate leaves nothing to choose
    assert "LEARNT FROM JUDGED FRAMES" in line.run(*words, "--protocol", "./probe.yaml", "--data.test", "probe")
    narrow = ("--method.points.width", "8", "--protocol", "./probe.yaml", "--save-images", "pictures")
    assert "pictures: it has pictures of another evaluation" in line.run(*words, *narrow, "--name", "b", status=2)
    assert "overlap is car; boxes of tiny are of no class" in line.run(*words, "--protocol", "./boxes.yaml", status=2)
    assert "did you mean 'glance3d/lidar2d@1'?" in line.run(*words, "--protocol", "glance3d/lidar2d@2", status=2)


def test_features_of_an_interrupted_eval_are_not_taken_for_those_of_other_frames(line, tmp_path):
    words = ("eval", "--method", "scalr", "--data", "./tiny.yaml", "--protocol", "./probe.yaml")
    (tmp_path / "probe.yaml").write_text(PROBE.replace("epochs: 2", "epochs: 500"))
    process = line.start(*words)
    while not list((tmp_path / "cache").glob("features/*/00000[0-9].pt")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = (tmp_path / "cache" / "features").iterdir()
    (tmp_path / "probe.yaml").write_text(PROBE)
    other = line.run(*words, "--data.probe", "train")
    assert left.is_dir()
    assert other == line.run(*words, "--data.probe", "train")


def trainings(run):
    """Return the processes that train in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            found += [path.parent.name] if {b"fit", str(run).encode()} <= set(words) else []
    return found


def test_a_bench_that_is_told_to_stop_stops_its_training(line, tmp_path):
    content = yaml.safe_load((tmp_path / "own.yaml").read_text())
    content["pretrain"]["method.pretrain.steps"] = 100_000
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    run = Path("runs/bench/own/ppkt-0")
    process = line.start("bench", "--suite", "./own.yaml", "--method", "ppkt")
    while not list((tmp_path / run).glob("logs/*/metrics.csv")):
        assert process.poll() is None
        time.sleep(0.05)
    assert trainings(run)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not trainings(run)
    assert not list((tmp_path / "results").rglob("*.jsonl"))


def test_networks_that_are_not_taught_are_judged_in_bad_weather_and_come_to_a_table(line, tmp_path):
    given = yaml.safe_load((tmp_path / "own.yaml").read_text())
    rows = {"random": {"recipe": "ppkt", "taught": False}, "other": {"recipe": "scalr", "taught": False}}
    weather = {"corruptions": ["fog", "beam_loss"], "severities": [2, 4], "keep": True}
    judged = {"data": "./tiny.yaml", "protocols": ["./probe.yaml"], "settings": {"weather": weather}}
    of_images = {**judged, "methods": ["random"], "protocols": ["aware-match/lidar2d@1"]}
    suite = {**given, "pretrain": {}, "methods": rows, "judge": [judged, of_images], "seeds": [0, 1]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(suite))
    assert "6 cells done" in line.run("bench", "--suite", "./own.yaml")
    assert not list((tmp_path / "runs").rglob("recipe.yaml"))  # nothing was trained
    found = [parse(text) for name in rows for text in (tmp_path / f"results/own/{name}.jsonl").read_text().splitlines()]
    assert {each.judged_in for each in found} == {"clear", "fog-2", "fog-4", "beam_loss-2", "beam_loss-4", "all"}
    matches = {each.judged_in: each for each in found if each.protocol.startswith("aware") and each.condition != "all"}
    assert len({each.metrics["matches"] for each in matches.values()}) == 1  # sought by the points of clear air
    assert "corruption leaves images as they are" in matches["beam_loss-2"].shown
    assert "corruption" not in matches["fog-2"].shown
    found = [each for each in found if not each.protocol.startswith("aware")]
    assert all(len(each.draws) == (0 if each.condition == "all" else 100) for each in found)
    assert len({(each.seed, each.weights) for each in found}) == len({each.weights for each in found}) == 2
    assert "6 cells, all done" in line.run("bench", "--suite", "./own.yaml")
    line.run("table")
    told = (tmp_path / "results" / "own.md").read_text()
    assert "## own/probe@0 on tiny, weather-v1@1" in told
    assert re.search(r"\| random \| [\d.]+ \[[\d.]+, [\d.]+\] \|", told)
    assert "as the records say" in line.run("table", "--check")
