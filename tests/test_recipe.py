"""Recipes, cards and suites are found by name, and a near miss is answered with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from lidar2d import listing, recipe
from lidar2d.errors import UsageError, nearest


@pytest.fixture
def methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "collab.yaml").write_text("# Collaborative Distillation\nmethod: {class_path: a.B}\n")
    (folder / "ppkt.yaml").write_text("# PPKT\n# more\nmethod: {class_path: a.C}\n")
    monkeypatch.setattr(recipe, "folder", lambda kind: tmp_path / kind)
    return folder


def test_the_listing_of_the_folder_is_the_list_of_methods(methods: Path):
    assert recipe.names("methods") == ["collab", "ppkt"]
    (methods / "mine.yaml").write_text("method: {}\n")
    assert recipe.names("methods") == ["collab", "mine", "ppkt"]


def test_a_name_and_a_path_are_both_found(methods: Path, tmp_path: Path):
    assert recipe.find("methods", "ppkt") == methods / "ppkt.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text("method: {}\n")
    assert recipe.find("methods", str(mine)) == mine


@pytest.mark.usefixtures("methods")
def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"no method 'colab'; did you mean 'collab'\?"):
        recipe.find("methods", "colab")
    with pytest.raises(UsageError, match="known: collab, ppkt"):
        recipe.find("methods", "zzz")


@pytest.mark.usefixtures("methods")
def test_a_missing_file_is_named():
    with pytest.raises(UsageError, match=r"no file /.*/nowhere/mine\.yaml"):
        recipe.find("methods", "nowhere/mine.yaml")


@pytest.mark.parametrize(("text", "complaint"), [("a: [1\nb: 2\n", "line 2"), ("- 1\n- 2\n", "expected 'key: value'")])
def test_broken_yaml_is_refused_with_its_place(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint) as error:
        recipe.read(path)
    assert str(path) in str(error.value)


@pytest.mark.usefixtures("methods")
def test_list_shows_each_name_with_its_first_comment():
    assert listing.table("methods").splitlines() == ["collab  Collaborative Distillation", "ppkt    PPKT"]


def test_list_prefers_the_title_and_says_when_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recipe, "folder", lambda kind: tmp_path / kind)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "toy.yaml").write_text("# a comment\nname: toy\ntitle: 'A toy: small'  # short\n")
    assert listing.table("datasets") == "toy  A toy: small"
    assert listing.table("suites").startswith("no suites yet")


def test_every_shipped_file_has_a_line_to_be_listed_by():
    for kind in ("methods", "datasets"):
        for name in recipe.names(kind):
            assert len(listing.headline(recipe.folder(kind) / f"{name}.yaml")) > 5, name


def test_nearest_suggests_one_name_or_lists_them_all():
    assert nearest("nuscene", ["kitti", "nuscenes"]) == "did you mean 'nuscenes'?"
    assert nearest("qqq", ["kitti", "nuscenes"]) == "known: kitti, nuscenes"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands twice"),
        ("a: {b: 1, b: 2}", "'b' stands twice"),
        ("a: 2020-13-45", "has a value that is none"),
        ("a: " + 5000 * "9", "has a value that is none"),
        (3000 * "[", "has a value that is none|not valid YAML"),
        ("!!bool x", "has a value that is none"),
        ("!!timestamp x", "has a value that is none"),
    ],
)
def test_yaml_that_says_nothing_or_two_things_is_told(tmp_path, text, told):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        recipe.read(path)
