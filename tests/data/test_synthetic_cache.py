"""The town's cache: whole files only, safe with several processes, remade when damaged or out of date."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidar2d.data.card import load_card
from lidar2d.data.synthetic import cache as cache_module
from lidar2d.data.synthetic.cache import Cache
from lidar2d.data.synthetic.town import Town
from lidar2d.errors import DataError
from lidar2d.paths import cache_folder

SEED = 4000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a scene's file."""
    cache = Cache(tmp_path_factory.mktemp("whole"))
    cache.make(SEED)
    return cache.path(SEED).read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "flipped"])
def test_a_bad_file_is_remade(whole: bytes, tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.folder.mkdir(parents=True)
    middle = len(whole) // 2
    bad = {
        "truncated": whole[:middle],
        "empty": b"",
        "garbage": bytes(range(256)) * 100,
        "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }[damage]
    cache.path(SEED).write_bytes(bad)
    assert not cache.whole(SEED)
    with np.load(__import__("io").BytesIO(whole)) as file:
        expected = {name: file[name] for name in file.files}
    found = cache.read(SEED, tuple(expected))
    for name, values in expected.items():
        assert found[name].tobytes() == values.tobytes(), name
    assert cache.whole(SEED)
    assert cache.path(SEED).read_bytes() == whole


def test_a_scene_is_made_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.read(SEED, ("labels",))
    before = cache.path(SEED).stat().st_mtime_ns
    cache.read(SEED, ("labels", "depth"))
    assert cache.path(SEED).stat().st_mtime_ns == before
    assert [p.name for p in cache.folder.iterdir()] == ["004000.npz"]  # no temporary file is left


def test_two_processes_may_make_the_same_scene_at_once(whole: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lidar2d.data.synthetic.prepare", str(tmp_path), str(SEED)]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert Cache(tmp_path).path(SEED).read_bytes() == whole
    assert len(list(Cache(tmp_path).folder.iterdir())) == 1


def test_preparing_in_parallel_makes_what_reading_makes(whole: bytes, tmp_path: Path) -> None:
    town = Town(load_card("synthetic"), "smoke", root=tmp_path)
    town.prepare(workers=2, progress=False)
    assert len(list(town.cache.folder.glob("*.npz"))) == 6
    assert town.cache.path(SEED).read_bytes() == whole
    assert all(problems == [] for _, problems in town.check())
    town.prepare(workers=2, progress=False)  # nothing left to do

    town.cache.path(SEED + 1).write_bytes(whole[:1000])
    named = {token: problems for token, problems in town.check() if problems}
    assert list(named) == ["town-004001-day"]
    assert named["town-004001-day"][0].path == town.cache.path(SEED + 1)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    town = Town(load_card("synthetic"), "smoke", root=blocked)
    for workers in (1, 2):
        with pytest.raises(DataError, match=r"cannot keep .*file"):
            town.prepare(workers=workers, progress=False)
    with pytest.raises(DataError, match="file"):
        town[0]


def test_files_of_another_generator_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = Cache(tmp_path).path(SEED)
    monkeypatch.setattr(cache_module, "fingerprint", lambda: "0123456789ab")
    assert Cache(tmp_path).path(SEED) != now


def test_the_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIDAR2D_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LIDAR2D_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "lidar2d"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "lidar2d"


def test_scenes_that_are_not_made_are_counted_and_damaged_ones_named(whole: bytes, tmp_path: Path) -> None:
    card = replace(load_card("synthetic"), splits={"few": [SEED, SEED + 3]}, train="few", val="", probe="", test="")
    town = Town(card, "few", tmp_path)
    (problem,) = [problem for _, found in town.check() for problem in found]
    assert problem.fault == "3 of 3 scenes are not made yet; they are made when they are read"
    town.cache.folder.mkdir(parents=True)
    town.cache.path(SEED).write_bytes(whole)
    town.cache.path(SEED + 1).write_bytes(b"junk")
    faults = [problem.fault for _, found in town.check() for problem in found]
    assert faults == [
        "damaged; it is made again when it is read",
        "1 of 3 scenes are not made yet; they are made when they are read",
    ]
