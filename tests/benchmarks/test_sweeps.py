"""The sweeps that are shipped: plain wandb, and every command they come to is one that ``fit`` takes."""

from pathlib import Path

import pytest
import sweep_words

from lidar2d import arguments, recipe, words
from lidar2d.data.module import LidarData
from lidar2d.fit import TrainerOptions
from lidar2d.fit.wandb_run import PROJECT
from lidar2d.methods.base import Method
from lidar2d.results.numbers import HEADLINES

SWEEPS = sorted((Path(__file__).parents[2] / "benchmarks/sweeps").glob("*.yaml"))
# what wandb reads of a sweep's file: docs.wandb.ai, "sweep configuration options"
KEYS = {"name", "project", "program", "command", "method", "metric", "parameters", "run_cap"}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_fit_takes_every_command_of_a_sweep(path):
    sweep = sweep_words.load(path)
    assert set(sweep) <= KEYS
    assert sweep["program"] == "lidar2d"
    assert sweep["project"] == PROJECT
    parser = arguments.fit_parser(Method, LidarData, TrainerOptions)
    for values in sweep_words.combinations(sweep):
        program, verb, *flags = sweep_words.words(sweep, values)
        assert [program, verb] == ["lidar2d", "fit"]
        told = words.spell_fit(flags, ("method", "data", "trainer", "seed", "logger"))
        settings = arguments.parse(parser, ["--config", str(told.recipe), *told.flags])
        content = arguments.resolved(parser, settings)
        flat = arguments.flags(content)
        assert {name: flat[name] for name in values} == values
        assert content["trainer"]["logger"] == "wandb"
    arguments.build(parser, settings)  # values that have no meaning are refused here


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_chooses_by_a_number_of_the_report_and_not_on_test_scenes(path):
    sweep = sweep_words.load(path)
    assert sweep["method"] in ("grid", "bayes", "random")
    assert sweep["metric"]["name"] in HEADLINES
    assert sweep["metric"]["goal"] == "maximize"
    card = recipe.read(recipe.find("datasets", "synthetic"))
    judged = dict(zip(sweep["command"], sweep["command"][1:], strict=False))
    assert judged["--data.test"] != card["test"]
    assert judged["--data.probe"] != card["probe"]
    assert {judged["--data.test"], judged["--data.probe"]} <= set(card["splits"])


def test_there_are_sweeps_of_both_kinds():
    assert {sweep_words.load(path)["method"] for path in SWEEPS} >= {"grid", "bayes"}
