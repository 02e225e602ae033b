"""Runs side by side, from folders as ``fit`` leaves them."""

import csv
import io
import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.stats import spearmanr

from lidar2d import cli, wandb_login
from lidar2d.compare.matters import explained, spearman
from lidar2d.compare.online import read_online
from lidar2d.compare.verb import compare_places
from lidar2d.errors import UsageError

COLLAB = "lidar2d.methods.collab.Collab"
PPKT = "lidar2d.methods.ppkt.PPKT"


def recipe_of(method=COLLAB, seed=0, data=None, trainer=None, **settings):
    return {
        "seed": seed,
        "method": {"class_path": method, "init_args": settings},
        "data": {"card": "synthetic", "root": None, "batch_size": 2, "superpixels": None, **(data or {})},
        "trainer": {"devices": 1, "precision": "32-true", "logger": "csv", **(trainer or {})},
    }


def report_of(adverse, clear=50.0):
    def judged(value):
        return {"clear_probe": {"clear": clear, "adverse": value, "miou": {"day": clear, "fog": value}}, "cosine": {}}

    return {"features": {"student": judged(adverse), "teacher": judged(20.0)}, "losses": {}}


@pytest.fixture
def make(tmp_path):
    """Write a run folder as ``fit`` leaves it."""

    def write(name, recipe, adverse=None, losses=None, finished=True):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        recipe["trainer"]["report"] = adverse is not None
        (run / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        for part, rows in (losses or {}).items():
            log = run / "logs" / part / "metrics.csv"
            log.parent.mkdir(parents=True)
            with log.open("w") as file:
                writer = csv.DictWriter(file, fieldnames=[*rows[0], "epoch", "step"])
                writer.writeheader()
                writer.writerows({**row, "epoch": 0, "step": step} for step, row in enumerate(rows))
        if adverse is not None:
            (run / "report.json").write_text(json.dumps(report_of(adverse)))
        if finished:
            (run / "losses.json").write_text("{}")
        return run

    return write


LOSSES = {
    "anchor-0": [{"loss": 2.0, "anchor": 1.5, "pairs": 9}, {"loss": 0.123456789012345, "anchor": 0.1, "pairs": 8}]
}


def table(*words):
    """The first table's rows, by run."""
    lines = compare_places(list(map(str, words))).split("\nsorted")[0].splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


def refused(*words):
    with pytest.raises(UsageError) as error:
        compare_places(list(map(str, words)))
    assert 1 <= len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.fixture
def grid(make, tmp_path):
    """Four runs; the blend matters, the rate hardly."""
    for number, (blend, rate) in enumerate(itertools.product([0.5, 0.8], [0.001, 0.003])):
        recipe = recipe_of(blend=blend, anchor={"lr": rate, "steps": 9}, distance="mse")
        make(f"run{number}", recipe, adverse=30 + 10 * blend + 100 * rate, losses=LOSSES)
    return tmp_path / "runs"


def test_the_table_has_the_settings_that_differ_and_the_best_run_first(grid):
    assert table(grid) == {
        "run": ["method.blend", "method.anchor.lr", "clear_probe/adverse", "anchor/loss"],
        "run3": ["best", "0.8", "0.003", "38.30", "0.123457"],
        "run2": ["0.8", "0.001", "38.10", "0.123457"],
        "run1": ["0.5", "0.003", "35.30", "0.123457"],
        "run0": ["0.5", "0.001", "35.10", "0.123457"],
    }


def test_where_a_run_ran_is_no_setting_of_it(make):
    one = make("one", recipe_of(blend=0.5), adverse=1.0)
    other = recipe_of(blend=0.5, data={"root": "/elsewhere", "workers": 4}, trainer={"devices": 8, "logger": "wandb"})
    two = make("two", other, adverse=2.0)
    assert table(one, two)["run"] == ["clear_probe/adverse"]
    half = make("half", recipe_of(blend=0.5, trainer={"precision": "bf16-mixed"}), adverse=2.0)
    assert table(one, half)["run"] == ["trainer.precision", "clear_probe/adverse"]


def test_what_a_method_does_not_have_is_a_dash(make):
    runs = [
        make("a", recipe_of(blend=0.5), adverse=3.0),
        make("b", recipe_of(PPKT, temperature=0.07), adverse=2.0),
        make("c", recipe_of(PPKT, temperature=0.1), adverse=1.0),
    ]
    assert table(*runs) == {
        # one run alone has a blend, and its method says so
        "run": ["method", "method.temperature", "clear_probe/adverse"],
        "a": ["best", "Collab", "–", "3.00"],
        "b": ["PPKT", "0.07", "2.00"],
        "c": ["PPKT", "0.1", "1.00"],
    }


def test_a_group_of_settings_differs_from_none(make):
    one = make("one", recipe_of(), adverse=1.0)
    two = make("two", recipe_of(data={"superpixels": {"kind": "slic", "segments": 9}}), adverse=2.0)
    found = table(one, two)
    assert found["run"] == ["data.superpixels", "clear_probe/adverse"]
    assert found["one"] == ["null", "1.00"]
    assert found["two"] == ["best", "given", "2.00"]


def test_numbers_that_are_equal_are_the_same_setting(make):
    runs = [make(f"{number}", recipe_of(preserve=value), adverse=1.0) for number, value in enumerate([1, 1.0])]
    assert table(*runs)["run"] == ["clear_probe/adverse"]


def test_unfinished_runs_are_shown_last_and_count_for_nothing(grid, make, tmp_path):
    make("cut", recipe_of(blend=0.9, anchor={"lr": 0.001, "steps": 9}, distance="mse"), adverse=99.0, finished=False)
    found = table(grid)
    assert list(found) == ["run", "run3", "run2", "run1", "run0", "cut"]
    assert found["cut"] == ["unfinished", "0.9", "0.001", "99.00", "–"]
    said = compare_places([str(grid), "--out", str(tmp_path / "out")])
    assert "1 of 5 runs left out: unfinished, or without a finite number for it" in said
    assert yaml.safe_load((tmp_path / "out/best.yaml").read_text())["method"]["init_args"]["blend"] == 0.8
    only = compare_places([str(grid / "cut"), "--out", str(tmp_path / "none")])
    assert "no run has finished" in only
    assert not (tmp_path / "none/best.yaml").exists()


def test_a_run_that_was_killed_in_its_report_has_not_finished(make):
    run = make("one", recipe_of(), adverse=1.0, losses=LOSSES)
    (run / "report.json").unlink()
    assert table(run, "--metric", "anchor/loss")["one"] == ["unfinished", "0.123457"]


def test_runs_are_sorted_by_the_metric_that_is_named_and_towards_its_goal(grid):
    assert list(table(grid, "--metric", "clear_probe/miou/fog,gain/clear_probe/adverse"))[1] == "run3"
    assert list(table(grid, "--metric", "clear_probe/miou/fog", "--goal", "minimize"))[1] == "run0"
    assert table(grid, "--metric", "anchor/anchor")["run"][-1] == "anchor/anchor"


def test_losses_go_down(make):
    runs = [make(f"r{v}", recipe_of(), losses={"tune-0": [{"mse": v}]}) for v in (0.3, 0.2, 0.4)]
    assert list(table(*runs, "--metric", "tune/mse")) == ["run", "r0.2", "r0.3", "r0.4"]


def test_a_resumed_stage_ends_with_its_last_part_and_half_a_line_is_nothing(make):
    parts = {f"anchor-{part}": [{"loss": float(part)}] for part in (0, 1, 2, 10)}
    run = make("one", recipe_of(), losses=parts)
    with (run / "logs/anchor-10/metrics.csv").open("a") as file:
        file.write("7.")
    assert table(run, "--metric", "anchor/loss")["one"] == ["best", "10"]


def test_csv_has_every_metric_and_every_digit(grid, tmp_path):
    compare_places([str(grid), "--out", str(tmp_path)])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "compare.csv").read_text())))
    assert [row["run"] for row in rows] == ["run3", "run2", "run1", "run0"]
    assert rows[0]["anchor/loss"] == "0.123456789012345"
    assert {"anchor/anchor", "anchor/pairs", "clear_probe/clear", "gain/clear_probe/miou/fog"} <= set(rows[0])
    assert float(rows[0]["gain/clear_probe/adverse"]) == pytest.approx(18.3)


def test_the_page_holds_both_tables_and_the_picture_has_a_panel_for_each_setting(grid, tmp_path, make):
    compare_places([str(grid), "--out", str(tmp_path)])
    page = (tmp_path / "compare.md").read_text()
    assert "| **run3** | **best** | **0.8** | **0.003** | **38.30** | **0.123457** |" in page
    assert "| method.blend | 2 | 4 | 99% | +0.89 |" in page
    assert "| method.anchor.lr | 2 | 4 | 0% | +0.45 |" in page
    assert "4 runs are few" in page
    assert "(settings.png)" in page
    with Image.open(tmp_path / "settings.png") as two:
        width = two.width
    make("run4", recipe_of(blend=0.5, anchor={"lr": 0.001, "steps": 9}, distance="cosine"), adverse=1.0)
    compare_places([str(grid), "--out", str(tmp_path)])
    with Image.open(tmp_path / "settings.png") as three:
        assert three.width > width


def test_the_best_recipe_is_one_that_fit_takes(capsys, tmp_path, make):
    assert cli.main(["fit", "--method", "ppkt", "--method.temperature", "0.1", "--print_config"]) == 0
    recipe = yaml.safe_load(capsys.readouterr().out)
    compare_places([str(make("one", recipe, adverse=1.0)), "--out", str(tmp_path / "out")])
    assert cli.main(["fit", "--method", str(tmp_path / "out/best.yaml"), "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == recipe
    assert (tmp_path / "out/best.yaml").read_text().startswith("# Best of 1 runs by clear_probe/adverse, 1.00: one\n")


def test_a_run_that_is_named_twice_is_one(grid):
    assert len(table(grid, grid / "run0", grid / "../runs/run1")) == 5


def test_runs_of_one_name_are_told_apart_by_their_places(make):
    one, two = (make(name, recipe_of(), adverse=1.0) for name in ("a/same", "b/same"))
    assert {str(one), str(two)} <= set(table(one, two))


@pytest.mark.usefixtures("grid")
def test_bad_places_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'runs/run0'?" in refused("runs/rn0")
    assert "is a file" in refused("runs/run0/recipe.yaml")
    (tmp_path / "empty").mkdir()
    assert "empty holds no run" in refused("empty")
    assert "compare needs runs" in refused("--out", "x")
    assert "no flag --metrics; did you mean '--metric'?" in refused("runs", "--metrics", "a")
    assert "--goal up" in refused("runs", "--goal", "up")
    assert "did you mean 'clear_probe/adverse'?" in refused("runs", "--metric", "clear_prob/adverse")
    assert "give wandb:ENTITY/PROJECT" in refused("wandb:nobody")
    (tmp_path / "full").write_text("")
    assert "full" in refused("runs", "--out", "full")
    (tmp_path / "runs/run0/logs/anchor-0/metrics.csv").write_text("loss,step\nx,0\n")
    assert "metrics.csv: not a readable log" in refused("runs/run0")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_not_finite_is_shown_and_never_best(make, tmp_path, value, recwarn):
    runs = [
        make(f"{number}", recipe_of(blend=blend), losses={"tune-0": [{"mse": loss}]})
        for number, (blend, loss) in enumerate([(0.5, 2.0), (0.6, 1.0), (0.9, value)])
    ]
    words = [*map(str, runs), "--metric", "tune/mse"]
    assert table(*words)["1"] == ["best", "0.6", "1"]
    assert table(*words)["2"] == ["0.9", value]
    assert "1 of 3 runs left out" in compare_places([*words, "--goal", "maximize", "--out", str(tmp_path / "out")])
    assert "# Best of 2 runs by tune/mse, 2: 0" in (tmp_path / "out/best.yaml").read_text()
    alone = compare_places([str(runs[2]), "--metric", "tune/mse"])
    assert "no run has finished with a finite number for tune/mse" in alone
    assert not recwarn.list


ODD = {
    "features: text": ("report.json", '{"features": "student"}'),
    "features: list": ("report.json", '{"features": {"student": [1]}}'),
    "score: text": ("report.json", '{"features": {"student": {"clear_probe": {"clear": "high"}}}}'),
    "score: mapping": ("report.json", '{"features": {"student": {"clear_probe": {"clear": {}}}}}'),
    "report: list": ("report.json", "[1]"),
    "date": ("recipe.yaml", "seed: 2020-01-01"),
    "itself": ("recipe.yaml", "seed: &a [*a]"),
    "arguments: list": ("recipe.yaml", "method: {class_path: a.B, init_args: [1]}"),
    "no recipe": ("recipe.yaml", "- 1"),
    "column": ("logs/anchor-0/metrics.csv", "loss,step\nx,0\n"),
}


@pytest.mark.parametrize(("file", "content"), ODD.values(), ids=ODD)
def test_a_run_that_cannot_be_read_is_told_and_the_others_are_compared(grid, file, content):
    (grid / "run3" / file).write_text(content)
    assert list(table(grid)) == ["run", "run2", "run1", "run0"]
    assert f"\nleft out: {grid / 'run3' / file}: " in compare_places([str(grid)])
    assert str(grid / "run3" / file) in refused(grid / "run3")


def test_runs_that_were_not_judged_are_told_what_else_there_is(make):
    run = make("one", recipe_of(), losses={"tune-0": [{"mse": 0.3, "pairs": 4}]})
    assert "--metric tune/mse" in refused(run)
    bare = make("two", recipe_of())
    assert "they logged none" in refused(bare, "--metric", "tune/mse")


# how much a setting explains


def explained_twin(values, scores):
    """Kelley's formula in loops."""
    n, groups = len(scores), sorted(set(values))
    total = sum((score - sum(scores) / n) ** 2 for score in scores)
    within = 0.0
    for group in groups:
        own = [score for value, score in zip(values, scores, strict=True) if value == group]
        within += sum((score - sum(own) / len(own)) ** 2 for score in own)
    return max(0.0, 1 - (within / (n - len(groups))) / (total / (n - 1)))


def test_the_share_is_kelleys_and_the_rank_spearmans():
    rng = np.random.default_rng(0)
    for _ in range(50):
        numbers = rng.integers(0, 4, 12).astype(float)
        scores = (numbers * rng.normal() + rng.normal(size=12)).round(1)
        values = list(map(str, numbers))
        assert explained(values, list(scores)) == pytest.approx(explained_twin(values, list(scores)))
        assert spearman(list(numbers), list(scores)) == pytest.approx(spearmanr(numbers, scores).statistic)


def test_shares_worked_by_hand():
    assert explained(["a", "a", "b", "b"], [1, 1, 2, 2]) == 1
    assert explained(["a", "b", "a", "b"], [1, 1, 2, 2]) == 0  # less than chance would
    # within 2 * 0.5 of 2 degrees, total 17 of 3
    assert explained(["a", "a", "b", "b"], [1, 2, 5, 6]) == pytest.approx(1 - 0.5 / (17 / 3))


def test_what_cannot_be_told_is_not():
    assert explained(["a", "b", "c"], [1, 2, 3]) is None  # every run its own value
    assert explained(["a", "a"], [1, 2]) is None
    assert explained(["a", "a", "b"], [1, 1, 1]) is None
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([1, 2, 3], [5, 5, 5]) is None


# from wandb's server


class Api:
    """What lidar2d asks of wandb.Api."""

    def __init__(self, runs):
        self.all = runs

    def runs(self, path):
        assert path == "me/lidar2d"
        return self.all

    def sweep(self, path):
        if path != "me/lidar2d/s1":
            raise ValueError("Could not find sweep")
        return SimpleNamespace(runs=self.all[:1])

    def run(self, path):
        if path != "me/lidar2d/r2":
            raise ValueError(f"Could not find run {path}")
        return self.all[1]


def online(name, recipe, state="finished", **summary):
    own = {"_step": 7, "_runtime": 1.5, "anchor/step": 9, "picture": {"_type": "image-file"}, **summary}
    config = {"environment": {"version": "0.1.0"}, **({"recipe": recipe} if recipe else {})}
    return SimpleNamespace(id=name, name=name, config=config, summary=own, state=state)


def test_runs_of_a_project_a_sweep_or_one_come_from_wandb():
    api = Api([
        online("r1", recipe_of(blend=0.5), **{"anchor/loss": 0.25, "clear_probe/adverse": 30.5}),
        online("r2", recipe_of(blend=0.8), state="running", **{"anchor/loss": "NaN", "note": "fine"}),
        online("other", None),
    ])  # fmt: skip
    first, second, third = read_online("wandb:me/lidar2d", api)
    assert first.metrics == {"anchor/loss": 0.25, "clear_probe/adverse": 30.5}
    assert first.recipe["method"]["init_args"]["blend"] == 0.5
    assert (first.finished, second.finished) == (True, False)
    assert list(map(str, second.metrics.items())) == ["('anchor/loss', nan)"]
    assert third is None
    assert [run.name for run in read_online("wandb:me/lidar2d/s1", api)] == ["r1"]
    assert [run.name for run in read_online("wandb:me/lidar2d/r2", api)] == ["r2"]
    with pytest.raises(UsageError, match=r"wandb:me/lidar2d/r9: Could not find run"):
        read_online("wandb:me/lidar2d/r9", api)


def test_the_server_is_not_asked_without_a_login(monkeypatch, tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "wandb has no login" in refused("wandb:me/lidar2d")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine example.org login me password x\n")
    assert not wandb_login.has_login()
    netrc.write_text("machine api.wandb.ai login user password x\n")
    assert wandb_login.has_login()
