"""The command line says what is wrong in one to three lines, and passes on what was asked."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import tiny_source
import yaml

from lidar2d import __version__, arguments, cli, docstrings, listing, recipe, runs, words
from lidar2d.data.module import LidarData
from lidar2d.errors import DataError, SettingError, UsageError, within

# stand-ins for networks and methods, built as the real ones are


class Encoder(ABC):
    @abstractmethod
    def forward(self) -> None: ...


class Range(Encoder):
    """A range image.

    Args:
        width: of the lines; two of
            them fit.
    """

    def __init__(
        self, width: int = 16, weights: str | None = "town", span: tuple[float, float] = (-30.0, 10.0)
    ) -> None:
        if span[0] > span[1]:
            raise SettingError("span", span, "it must be [lowest, highest]")
        self.width, self.weights, self.span = width, weights, span

    def forward(self) -> None: ...


class Voxels(Encoder):
    def __init__(self, voxel: float = 0.1) -> None:
        self.voxel = voxel

    def forward(self) -> None: ...


class Finer(Voxels):
    """The same by another name."""


@dataclass(frozen=True)
class Stage:
    steps: int = 100
    lr: float = 0.1


class Method(ABC):
    @abstractmethod
    def losses(self) -> None: ...


class Toy(Method):
    def __init__(
        self,
        points: Encoder,
        anchor: Stage = Stage(),
        mode: Literal["mse", "cosine"] = "mse",
        preserve: float = 4.0,
        tail: Stage | None = None,
    ) -> None:
        within(0, preserve=preserve)
        self.tail = tail
        self.points, self.anchor, self.mode, self.preserve = points, anchor, mode, preserve

    def losses(self) -> None: ...


class Data:
    def __init__(
        self,
        card: str = "toy",
        root: str | None = None,
        batch_size: int = 4,
        bad_files: Literal["stop", "skip"] = "stop",
    ) -> None:
        self.card, self.root, self.batch_size, self.bad_files = card, root, batch_size, bad_files


@dataclass(frozen=True)
class Options:
    devices: int = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"


def toy_recipe() -> dict[str, Any]:
    points = {"class_path": f"{__name__}.Range", "init_args": {"width": 24}}
    return {
        "method": {"class_path": f"{__name__}.Toy", "init_args": {"points": points, "anchor": {"steps": 7}}},
        "data": {"batch_size": 8},
    }


def save(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def parsed(path: Path, *flags: str) -> Any:
    parser = arguments.fit_parser(Method, Data, Options)
    return arguments.build(parser, arguments.parse(parser, ["--config", str(path), *flags]))


def refused(path: Path, *flags: str) -> str:
    with pytest.raises(UsageError) as error:
        parsed(path, *flags)
    text = str(error.value)
    assert 1 <= len(text.splitlines()) <= 3
    return text


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return save(tmp_path / "toy.yaml", toy_recipe())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder that has methods ``toy`` and ``other``, and the data set ``town``."""
    save(tmp_path / "methods/toy.yaml", toy_recipe())
    save(tmp_path / "methods/other.yaml", {"method": {"class_path": f"{__name__}.Other"}})
    save(tmp_path / "datasets/town.yaml", {"name": "town"})
    save(tmp_path / "datasets/kitti.yaml", {"name": "kitti"})
    monkeypatch.setattr(recipe, "folder", lambda kind: tmp_path / kind)
    monkeypatch.chdir(tmp_path)
    return tmp_path


HEADS = ("method", "data", "trainer", "seed", "run", "resume", "config")


# settings


def test_flags_go_over_the_recipe_and_reach_nested_constructors(toy: Path):
    made = parsed(toy, "--method.points.width", "32", "--method.anchor.lr=0.5", "--trainer.devices", "2", "--seed", "3")
    assert isinstance(made.method, Toy)
    assert made.method.points.width == 32
    assert made.method.anchor == Stage(steps=7, lr=0.5)
    assert made.data.batch_size == 8
    assert made.trainer == Options(devices=2)
    assert made.seed == 3


def test_a_flag_can_change_a_class_and_its_arguments(toy: Path):
    made = parsed(toy, "--method.points", f"{__name__}.Voxels", "--method.points.voxel", "0.2")
    assert isinstance(made.method.points, Voxels)
    assert made.method.points.voxel == 0.2


@pytest.mark.parametrize("flags", [("--method.points.weights", "null"), ("--method.points.weights=null",)])
def test_null_is_null_deep_inside_a_method(toy: Path, flags: tuple[str, ...]):
    assert parsed(toy, *flags).method.points.weights is None
    assert parsed(toy).method.points.weights == "town"
    assert parsed(toy, *flags, "--method.points.weights", "hub").method.points.weights == "hub"  # the last one counts
    assert parsed(toy, "--method.points.weights", "hub", *flags).method.points.weights is None


def test_null_is_refused_where_a_value_is_needed(toy: Path, tmp_path: Path):
    assert refused(toy, "--method.preserve", "null") == "--method.preserve: null is not one of its values"
    assert "did you mean --method.points.weights?" in refused(toy, "--method.points.weigths", "null")
    content = toy_recipe()
    content["method"]["init_args"]["preserve"] = None
    assert refused(save(tmp_path / "null.yaml", content)).endswith("method.preserve: null is not one of its values")


def test_the_resolved_recipe_gives_the_same_settings_again(toy: Path, tmp_path: Path):
    parser = arguments.fit_parser(Method, Data, Options)
    flags = ["--method.points.weights", "null", "--data.root", "x", "--method.points.span", "[1,2]"]
    first = arguments.resolved(parser, arguments.parse(parser, ["--config", str(toy), *flags]))
    again = save(tmp_path / "again.yaml", first)
    assert arguments.resolved(parser, arguments.parse(parser, ["--config", str(again)])) == first
    assert arguments.flags(first)["method.points.weights"] is None
    assert arguments.flags(first)["method.points"] == f"{__name__}.Range"
    assert "config" not in first


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        ("--method.points.widht 3", "no setting --method.points.widht; did you mean --method.points.width?"),
        ("--method.anchor.stepz=3", "no setting --method.anchor.stepz; did you mean --method.anchor.steps?"),
        ("--method.anchr.steps 3", "no setting --method.anchr.steps; did you mean --method.anchor.steps?"),
        ("--method.width 3", "no setting --method.width; did you mean --method.points.width?"),
        ("--data.bach_size 3", "no setting --data.bach_size; did you mean --data.batch_size?"),
        ("--data.batch 3", "no setting --data.batch; did you mean --data.batch_size?"),
        ("--data.zzz 3", "no setting --data.zzz; data has: bad_files, batch_size, card, root"),
        ("--method.points.width x", "--method.points.width: expected a whole number, given 'x'"),
        ("--method.anchor.steps 1.5", "--method.anchor.steps: expected a whole number, given '1.5'"),
        ("--method.points.span 3,4", "--method.points.span: expected a list such as [1,2], given '3,4'"),
        ("--trainer.devices two", "--trainer.devices: expected a whole number, given 'two'"),
        ("--data.bad_files stopp", "--data.bad_files: no 'stopp'; did you mean 'stop'? (stop, skip)"),
        ("--method.mode cosin", "--method.mode: no 'cosin'; did you mean 'cosine'? (mse, cosine)"),
        ("--method.points.weights null --method.mode cosin", "--method.mode: no 'cosin'; did you mean 'cosine'?"),
        ("--method.points Nt", "no class 'Nt'; known: MinkUNet, MinkUNet34C, RangeView"),
        ("--method.points MinkUnet34", "did you mean 'MinkUNet34C'? or one of your own, by its dotted path"),
        ("--method Nt", "--method: no class 'Nt'; give its dotted path"),
        ("--method.tail slow", "--method.tail: it is no value but a group of settings: --method.tail.NAME VALUE"),
        ("--method.tail [1]", "--method.tail: it is no value but a group of settings: --method.tail.NAME VALUE"),
        ("--method.tail slow", "; it has: lr, steps"),
        ("--method.tail.steps x", "--method.tail.steps: expected a whole number, given 'x'"),
        ("--method.tail.stepz 3", "no setting --method.tail.stepz; did you mean --method.tail.steps?"),
        ('--method.tail={"steps":"x"}', "--method.tail.steps: expected a whole number, given 'x'"),
        ('--method.tail={"stepz":3}', "no setting --method.tail.stepz; did you mean --method.tail.steps?"),
        ("--method.anchor null", "--method.anchor: it is no value but a group of settings: --method.anchor.NAME VALUE"),
        ("--method.anchor [1]", "--method.anchor: it is no value but a group of settings: --method.anchor.NAME VALUE"),
        ("--method.points nowhere.Net", "no class nowhere.Net; no such module"),
        ("--seed", "--seed needs a value"),
        ("--seed --trainer.devices 2", "--seed needs a value"),
        ("stray", "unexpected word 'stray'"),
        ("--config nowhere.yaml", "no file nowhere.yaml"),
        # the first mistake is told, wherever it stands
        ("--data.batch_size 2 --method.mode x --data.batch_size y", "--method.mode: no 'x'; known: cosine, mse"),
    ],
)
def test_a_wrong_flag_is_answered_with_what_would_do(toy: Path, flags: str, answer: str):
    assert answer in refused(toy, *flags.split())


@pytest.mark.parametrize(
    ("flag", "answer"),
    [
        ("--data.weather.corruptions=fog", "--data.weather.corruptions: expected a list such as [a,b], given 'fog'"),
        ("--data.weather.severities=3", "--data.weather.severities: expected a list such as [1,2], given '3'"),
        ("--data.weather.severities=[1.5]", "--data.weather.severities: expected a list such as [1,2], given '[1.5]'"),
        ("--data.weather.keep=maybe", "--data.weather.keep: expected true or false, given 'maybe'"),
        ("--data.weather.table=null", "--data.weather.table: expected a word, given 'null'"),
        (
            "--data.weather=weather-v1",
            "--data.weather: it is no value but a group of settings: --data.weather.NAME VALUE; "
            "it has: corruptions, keep, severities, table",
        ),
        (
            "--data.weather.corruption=[fog]",
            "no setting --data.weather.corruption; did you mean --data.weather.corruptions?",
        ),
        (
            '--data.weather={"sevs": [1]}',
            "no setting --data.weather.sevs; data.weather has: corruptions, keep, severities, table",
        ),
        ("--data.superpixels.segments=x", "--data.superpixels.segments: expected a whole number, given 'x'"),
    ],
)
def test_a_wrong_value_in_a_group_that_may_be_null_is_told_of_its_own(flag: str, answer: str):
    with pytest.raises(UsageError) as error:
        arguments.parse(arguments.eval_parser(LidarData), [flag])
    assert str(error.value) == answer


def change(path: tuple[str, ...], value: object) -> Callable[[dict[str, Any]], None]:
    def apply(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("edit", "answer"),
    [
        (change(("method", "class_path"), f"{__name__}.Toi"), "method: no class"),
        (change(("method", "class_path"), f"{__name__}.Range"), "is no Method"),
        (change(("method", "init_args", "mod"), "mse"), "no setting method.mod; did you mean method.mode?"),
        (change(("method", "init_args", "points", "init_args", "width"), "x"), "method.points.width: expected a whole"),
        (change(("method", "init_args", "anchor", "stepz"), 3), "did you mean method.anchor.steps?"),
        (change(("datta",), {"root": "x"}), "no setting datta.root; did you mean data.root?"),
        (change(("data", "batch"), 3), "no setting data.batch; did you mean data.batch_size?"),
    ],
)
def test_a_wrong_line_of_a_recipe_names_the_file(tmp_path: Path, edit: Callable[[dict[str, Any]], None], answer: str):
    content = toy_recipe()
    edit(content)
    path = save(tmp_path / "mine.yaml", content)
    text = refused(path)
    assert answer in text
    assert text.startswith(f"{path}: ")


def test_a_missing_argument_is_named(tmp_path: Path):
    content = toy_recipe()
    del content["method"]["init_args"]["points"]
    assert refused(save(tmp_path / "mine.yaml", content)).startswith("method.points has no value")


def test_what_a_constructor_refuses_reaches_the_user(toy: Path):
    assert refused(toy, "--method.preserve", "-1") == "--method.preserve is -1.0; it must be at least 0"
    assert refused(toy, "--method.points.span", "[10,-30]").startswith("--method.points.span is [10.0, -30.0]; ")


# words


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "given",
    ["--method toy --data kitti --seed 1", "--seed 1 --data=kitti --method=toy", "--data kitti --seed 1 --method toy"],
)
def test_the_order_of_words_does_not_matter(given: str):
    told = words.spell_fit(given.split(), HEADS)
    assert (told.name, told.resume, told.run) == ("toy", False, None)
    assert told.recipe.name == "toy.yaml"
    assert told.flags == ("--data.card", "kitti", "--seed", "1")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "given",
    [
        "--method.points MinkUNet34C --method.points.channels 8 --seed 1",
        "--method.points.channels 8 --seed 1 --method.points=MinkUNet34C",
        "--method.points.channels 8 --method.points lidar2d.nets.minkunet.MinkUNet34C --seed 1",
    ],
)
def test_a_network_may_be_named_shortly_and_after_its_settings(given: str):
    flags = words.spell_fit(["--method", "toy", *given.split()], HEADS).flags
    path = "lidar2d.nets.minkunet.MinkUNet34C"
    assert sorted(flags) == sorted(["--method.points", path, "--method.points.channels", "8", "--seed", "1"])
    assert flags.index("--method.points") < flags.index("--method.points.channels")


@pytest.mark.usefixtures("here")
def test_what_gives_weak_labels_may_be_named_shortly():
    flags = words.spell_fit(["--method", "toy", "--data.weak_labels", "ClusterLabels"], HEADS).flags
    assert flags == ("--data.weak_labels", "lidar2d.methods.clusters.ClusterLabels")
    assert set(listing.choices("weak_labels")) == {"ClusterLabels", "ModelLabels"}


def test_another_network_begins_at_its_own_defaults(toy: Path):
    flags = ["--method.points", f"{__name__}.Voxels", "--method.points.voxel", "0.2"]
    parser = arguments.fit_parser(Method, Data, Options)
    content = toy_recipe()
    content["method"]["init_args"]["points"]["init_args"] = {"voxel": 3.0}
    content["method"]["init_args"]["points"]["class_path"] = f"{__name__}.Finer"
    save(toy, content)
    for given, voxel in ((flags, 0.2), (flags[:2], 0.1), ([], 3.0)):
        settings = arguments.parse(parser, ["--config", str(toy), *given])
        arguments.forget_other_classes(settings, toy, given)
        assert settings.method.init_args.points.init_args.voxel == voxel


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("--method toi", "no method 'toi'; did you mean 'toy'?"),
        ("--method toy --data kiti", "no dataset 'kiti'; did you mean 'kitti'?"),
        ("--metod toy", "fit has no flag --metod; did you mean '--method'?"),
        ("--method toy --trainr.devices 2", "fit has no flag --trainr.devices; did you mean '--trainer'?"),
        ("--seed 3", "fit needs a method: --method NAME; known: other, toy"),
        ("--method", "--method needs a value"),
        ("--method toy --method other", "--method is given twice"),
        ("--resume", "--resume needs a run folder or a --method; known: other, toy"),
        ("--resume runs/x", "no run folder runs/x"),
        ("--method toy --resume", "no run of 'toy' in runs/"),
        ("--method toy --resume a --run b", "give one of them"),
    ],
)
def test_wrong_words_are_answered_with_the_nearest(given: str, answer: str):
    with pytest.raises(UsageError) as error:
        words.spell_fit(given.split(), HEADS)
    assert answer in str(error.value)


def saved_run(folder: str, card: str = "town") -> Path:
    return save(runs.RUNS / folder / "recipe.yaml", {**toy_recipe(), "data": {"card": card}}).parent


@pytest.mark.usefixtures("here")
def test_resume_alone_takes_the_newest_run_of_the_method():
    saved_run("toy-town-20260101-000000")
    newest = saved_run("toy-town-20260301-000000")
    kitti = saved_run("toy-kitti-20260201-000000", "kitti")
    saved_run("toy-more-town-20260401-000000")  # a run of another method, toy-more
    (runs.RUNS / "toy-town-20260501-000000").mkdir()  # stopped before it began
    told = words.spell_fit(["--method", "toy", "--resume"], HEADS)
    assert (told.run, told.recipe, told.resume) == (newest, newest / "recipe.yaml", True)
    assert words.spell_fit(["--method", "toy", "--resume", "--data", "kitti"], HEADS).run == kitti


@pytest.mark.usefixtures("here")
def test_a_run_is_resumed_by_its_folder_alone_and_only_as_its_own_method():
    run = saved_run("mine")
    assert words.spell_fit(["--resume", str(run)], HEADS).recipe == run / "recipe.yaml"
    assert words.spell_fit(["--method", "toy", "--resume", str(run)], HEADS).run == run
    with pytest.raises(UsageError, match="not of 'other'; leave --method out"):
        words.spell_fit(["--method", "other", "--resume", str(run)], HEADS)


@pytest.mark.usefixtures("here")
def test_the_logger_has_a_short_name():
    flags = [words.spell_fit(["--method", "toy", *given], (*HEADS, "logger")).flags for given in (
        ["--logger", "wandb"], ["--logger=wandb"], ["--trainer.logger", "wandb"]
    )]  # fmt: skip
    assert flags == [("--trainer.logger", "wandb"), ("--trainer.logger=wandb",), ("--trainer.logger", "wandb")]


@pytest.mark.usefixtures("here")
def test_a_resumed_run_keeps_what_it_computes_and_may_move():
    run = str(saved_run("mine"))
    told = words.spell_fit(["--resume", run, "--trainer.devices", "2", "--data.root=elsewhere"], HEADS)
    assert told.flags == ("--trainer.devices", "2", "--data.root=elsewhere")
    for flags in (["--method.anchor.steps", "9"], ["--seed=1"], ["--data.batch_size", "2"], ["--config", "a.yaml"]):
        with pytest.raises(UsageError, match=f"{flags[0].partition('=')[0]} would change what .* start another run"):
            words.spell_fit(["--resume", run, *flags], HEADS)
    with pytest.raises(UsageError, match="not a run on 'kitti'; leave --data out"):
        words.spell_fit(["--resume", run, "--data", "kitti"], HEADS)


@pytest.mark.usefixtures("here")
def test_runs_never_share_a_folder():
    made = {runs.make(None, "toy", "cards/town.yaml") for _ in range(3)}
    assert len(made) == 3
    assert all(path.name.startswith("toy-town-2") and path.is_dir() for path in made)
    asked = runs.make(Path("deep/er"), "toy", "town")
    runs.save_recipe(asked, toy_recipe())
    assert [path.name for path in asked.iterdir()] == ["recipe.yaml"]
    with pytest.raises(UsageError, match="--resume deep/er"):
        runs.make(asked, "toy", "town")


# the command itself


def test_help_and_version(capsys: pytest.CaptureFixture[str]):
    assert cli.main([]) == 0
    short = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == short
    assert len(short.splitlines()) < 20
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"lidar2d {__version__}\n"
    for verb in ("fit", "compare", "check", "view", "list"):
        assert cli.main([verb, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"lidar2d {verb}")


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("fti", "no command 'fti'; did you mean 'fit'?"),
        ("paint", "no command 'paint'; known: bench, check, compare, eval, fit, list, prepare, table, view, weights"),
        ("list", "list takes one word: methods, datasets, suites, protocols, corruptions, networks"),
        ("list method", "nothing called 'method' to list; did you mean 'methods'?"),
        ("check --dat kitti", "check has no flag --dat; did you mean '--data'?"),
        ("view --data kiti", "no dataset 'kiti'; did you mean 'kitti'?"),
        ("view --data kitti --index x", "--index: expected a whole number, given 'x'"),
        ("view --data kitti --colour dept", "--colour: no 'dept'; did you mean 'depth'? (depth, class)"),
    ],
)
def test_a_wrong_command_gives_one_line_and_status_2(given: str, answer: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(given.split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"lidar2d: {answer}")
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    "given",
    ["list methods", "list suites", "fti", "fit", "fit --method colab", "fit --method collab --data kiti",
     "fit --metod collab", "check --data kiti", "view --dta kitti"],
)  # fmt: skip
def test_names_are_answered_fast_and_without_torch(given: str):
    code = (
        "import sys, time; from lidar2d.cli import main; status = main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules, 'torch'; assert time.process_time() < 1; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *given.split()], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if given.startswith("list") else 2)
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_listening_is_no_error():
    command = f"{sys.executable} -u -m lidar2d.cli list methods | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def training(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Let ``fit`` take down what it is asked to do, in place of doing it."""
    assert (here / "methods").is_dir()
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("lidar2d.methods.base.Method", Method)
    monkeypatch.setattr("lidar2d.data.module.LidarData", Data)
    monkeypatch.setattr("lidar2d.fit.TrainerOptions", Options)
    monkeypatch.setattr("lidar2d.fit.fit", lambda *given: calls.append(given))
    monkeypatch.setattr("lidar2d.fit.rehearse", lambda *_: None)
    return calls


FIT = ["fit", "--method", "toy", "--data", "town"]


def test_fit_passes_on_what_was_asked_and_leaves_a_run_that_resumes(training: list[tuple[Any, ...]]):
    assert cli.main([*FIT, "--run", "mine", "--seed", "5", "--method.anchor.steps", "9", "--data.batch_size", "2"]) == 0
    method, data, trainer, seed, run = training[0]
    assert (method.anchor.steps, data.card, data.batch_size, trainer, seed) == (9, "town", 2, Options(), 5)
    assert run == Path("mine")
    saved = yaml.safe_load(Path("mine/recipe.yaml").read_text())
    assert (saved["seed"], saved["method"]["init_args"]["anchor"]["steps"]) == (5, 9)
    assert cli.main(["fit", "--resume", "mine", "--data.root", "moved"]) == 0
    assert yaml.safe_load(Path("mine/recipe.yaml").read_text())["data"]["root"] == "moved"
    method, data, _, seed, run = training[1]
    assert (method.anchor.steps, data.card, data.batch_size, seed, run) == (9, "town", 2, 5, Path("mine"))


def test_fit_prints_its_recipe_and_its_settings_without_making_a_run(
    training: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
):
    assert cli.main([*FIT, "--print_config", "--seed", "2"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert (printed["seed"], printed["method"]["init_args"]["anchor"]["steps"]) == (2, 7)
    assert cli.main([*FIT, "--help"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"--method\.points\.width +24 +of the lines; two of them fit$", told, re.MULTILINE)
    assert re.search(r"--trainer\.devices +1$", told, re.MULTILINE)
    assert re.search(r"--method\.mode +mse +\(mse, cosine\)$", told, re.MULTILINE)
    assert re.search(r"--method\.tail +null +\(has: steps, lr\)$", told, re.MULTILINE)
    assert not training
    assert not runs.RUNS.exists()


def test_what_a_setting_means_has_no_markup():
    class Documented:
        """Says it.

        Args:
            one: as in :class:`~lidar2d.nets.small.SmallConv`.
        """

    assert docstrings.arguments_of(Documented) == {"one": "as in SmallConv"}


def raising(error: BaseException) -> Callable[..., None]:
    def fit(*_: object) -> None:
        raise error

    return fit


@pytest.mark.usefixtures("training")
def test_ctrl_c_says_where_the_run_is_and_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("lidar2d.fit.fit", raising(KeyboardInterrupt()))
    assert cli.main([*FIT, "--run", "mine"]) == 130
    assert capsys.readouterr().err == "lidar2d: interrupted; the run is in mine; go on: lidar2d fit --resume mine\n"


@pytest.mark.usefixtures("training")
def test_a_mistake_found_late_has_no_traceback_but_a_bug_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("lidar2d.fit.fit", raising(UsageError("batch_size 3 is not a multiple of 2")))
    assert cli.main(FIT) == 2
    assert capsys.readouterr().err == "lidar2d: batch_size 3 is not a multiple of 2\n"
    monkeypatch.setattr("lidar2d.fit.fit", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(FIT)


def test_processes_of_one_launch_share_the_run_and_do_not_repeat_messages(
    training: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LIDAR2D_RUN", "/somewhere/runs/first")
    assert cli.main(FIT) == 0
    assert training[0][4] == Path("/somewhere/runs/first")
    assert not runs.RUNS.exists()
    monkeypatch.setattr("lidar2d.fit.fit", raising(UsageError("said by the first process")))
    assert cli.main(FIT) == 2
    assert capsys.readouterr().err == ""
    # a bad file is met by one process alone: that one must speak
    monkeypatch.setattr("lidar2d.fit.fit", raising(DataError("a.bin: truncated")))
    assert cli.main(FIT) == 2
    assert capsys.readouterr().err == "lidar2d: a.bin: truncated\n"


@pytest.mark.usefixtures("training")
def test_processes_launched_from_outside_need_a_named_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(FIT) == 2
    assert "give --run DIR" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "two")
    assert cli.main(FIT) == 2
    assert capsys.readouterr().err.startswith("lidar2d: the environment variable WORLD_SIZE is 'two'; set it to")


def test_a_full_disk_is_told_from_a_bug():
    assert cli._unwritable(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert cli._unwritable(RuntimeError("[enforce fail at inline_container.cc:671] unexpected pos 64"))
    assert not cli._unwritable(OSError(errno.EBADF, "Bad file descriptor"))
    assert not cli._unwritable(RuntimeError("shapes differ"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_told():
    command = [sys.executable, "-m", "lidar2d.cli", "list", "methods"]
    with Path("/dev/full").open("w") as full:
        refused = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "lidar2d: cannot print: No space left on device\n"


def test_a_data_set_says_how_to_get_it(capsys):
    assert cli.main(["list", "datasets", "acdc"]) == 0
    told = capsys.readouterr().out
    for part in ("ACDC", "Register at the homepage", "rgb_anon/{fog,night,rain,snow}", "train, val, test", "acdc.yaml"):
        assert part in told
    assert cli.main(["list", "datasets", "acdcc"]) == 2
    assert "did you mean 'acdc'" in capsys.readouterr().err
    assert cli.main(["list", "methods", "collab"]) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[{cardd: kitti}]", "is not understood; give a list such as '[{card: kitti, root: DIR, weight: 0.5}]'"),
        ("[nonsense]", "is not understood"),
        ("kitti", "is not understood"),
        ("[{card: kitti, root: /nowhere}]", "--data.also, kitti: no folder /nowhere; its root must name"),
        ("[{card: kitti, weight: 0}]", "weight of kitti is 0.0"),
    ],
)
def test_other_data_sets_that_are_not_understood_are_told(given, said, capsys, tmp_path):
    assert cli.main(["fit", "--method", "ppkt", "--data.also", given, "--run", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err


def test_a_check_that_nobody_reads_says_nothing_of_the_files(tmp_path, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(tiny_source.CARD)
    sources = [str(Path(tiny_source.__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sources)))
    command = [sys.executable, "-m", "lidar2d.cli", "check", "--data", str(tmp_path / "tiny.yaml")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "lidar2d: cannot print: No space left on device"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
