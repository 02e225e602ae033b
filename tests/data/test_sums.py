"""Checksums as the GNU tools list them."""

import subprocess
from pathlib import Path

import pytest

from lidar2d.check import check
from lidar2d.cli import main
from lidar2d.errors import UsageError


@pytest.mark.parametrize("tool", ["md5sum", "sha1sum", "sha256sum", "sha512sum"])
@pytest.mark.parametrize("flag", ["--text", "--binary"])
def test_lists_of_the_gnu_tools_are_held(kitti_tree, tmp_path, capsys, tool, flag):
    root = kitti_tree.root
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.*") if path.is_file())
    listed = subprocess.run([tool, flag, *names], cwd=root, capture_output=True, text=True, check=True).stdout
    sums = tmp_path / "sums.txt"
    sums.write_text(listed)
    assert check("kitti", str(root), "train", sums=str(sums)) == 0
    path = kitti_tree.file("velodyne", "000001")
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1  # the value stays one that a scan may hold
    path.write_bytes(raw)
    for quick in (True, False):
        capsys.readouterr()
        assert check("kitti", str(root), "train", quick=quick, sums=str(sums)) == 1
        told = capsys.readouterr().out
        assert f"{path}: its {tool[:-3]} is " in told
        assert "sums.txt has" in told


def test_a_file_that_is_bad_already_is_named_once(kitti_tree, tmp_path, capsys):
    path = kitti_tree.file("velodyne", "000001")
    path.unlink()
    sums = tmp_path / "sums.txt"
    other = kitti_tree.file("velodyne", "000002")
    rows = [f"{'0' * 64}  {each.relative_to(kitti_tree.root)}" for each in (path, other)]
    sums.write_text("\n".join(rows))
    assert check("kitti", str(kitti_tree.root), "train", sums=str(sums)) == 2
    assert capsys.readouterr().out.count(path.name) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "cannot read the checksums"),
        (b"\xff\xfe", "cannot read the checksums"),
        (b"no checksum\n", "line 1 is no checksum and path"),
        (b"abc  velodyne\n", "line 1 is no checksum and path"),
        (b"", "has no file of this split"),
        (b"%s  elsewhere/a.bin" % (b"0" * 32), "has no file of this split; its paths must begin below"),
    ],
)
def test_lists_that_say_nothing_are_told(kitti_tree, tmp_path, written, said):
    sums = tmp_path / "sums.txt"
    if written is not None:
        sums.write_bytes(written)
    with pytest.raises(UsageError, match=said):
        check("kitti", str(kitti_tree.root), "train", sums=str(sums))


def test_the_town_has_no_files_to_hold(tmp_path, capsys):
    sums = tmp_path / "sums.txt"
    sums.write_text(f"{'0' * 64}  a\n")
    assert main(["check", "--split", "smoke", "--data.root", str(tmp_path), "--sums", str(sums)]) == 2
    assert "names no files; leave --sums out" in capsys.readouterr().err


def test_the_command_takes_a_list(kitti_tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = kitti_tree.file("velodyne", "000001")
    Path("sums").write_text(f"{'0' * 64}  {path.relative_to(kitti_tree.root)}\n")
    words = ["check", "--data", "kitti", "--data.root", str(kitti_tree.root), "--split", "train"]
    assert main(words) == 0
    assert main([*words, "--sums", "sums"]) == 1
