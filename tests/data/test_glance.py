"""The quick check: what is missing or of a wrong size is found without reading files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import KittiTree, NuScenesTree
from lidar2d import cli
from lidar2d.data.card import load_card
from lidar2d.data.glance import glance
from lidar2d.data.kitti import Kitti
from lidar2d.data.nuscenes import NuScenes


def faults(source):
    found = [(token, [(problem.path, problem.fault) for problem in each]) for token, each in glance(source)]
    assert [token for token, _ in found] == list(source.tokens)
    return [fault for _, each in found for fault in each]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("kind", "harm", "fault"),
    [
        ("LIDAR_TOP", Path.unlink, "missing"),
        ("LIDAR_TOP", cut, "truncated"),
        ("LIDAR_TOP", lambda path: path.write_bytes(b""), "empty"),
        ("CAM_BACK__", Path.unlink, "missing"),
        ("CAM_BACK__", lambda path: path.write_bytes(b"no image"), "unreadable image"),
        ("CAM_BACK__", lambda path: Image.new("RGB", (9, 8)).save(path), "is 9x8 pixels; its calibration is for 64x36"),
        ("lidarseg", cut, "rows; "),
    ],
)
def test_a_bad_file_is_found_once(nuscenes_tree: NuScenesTree, kind: str, harm: Callable[[Path], object], fault: str):
    source = NuScenes(load_card("nuscenes"), "mini", nuscenes_tree.root)
    assert faults(source) == []
    first = source.index.samples[source.rows[0]]
    path = (
        nuscenes_tree.file(kind, source.tokens[0]) if kind != "lidarseg" else source.root / source.index.lidarseg(first)
    )
    harm(path)
    ((named, told),) = faults(source)
    assert named == path
    assert fault in told


def test_labels_without_an_object_are_no_fault(kitti_tree: KittiTree):
    source = Kitti(load_card("kitti"), "train", kitti_tree.root)
    kitti_tree.file("label_2", "000001").write_text("")
    assert faults(source) == []
    kitti_tree.file("label_2", "000001").unlink()
    assert [told for _, told in faults(source)] == ["missing"]


def test_the_command_line_looks_quickly(kitti_tree: KittiTree, capsys: pytest.CaptureFixture[str]):
    words = ["check", "--data", "kitti", "--data.root", str(kitti_tree.root)]
    assert cli.main([*words, "--quick"]) == 0
    assert "every file is there" in capsys.readouterr().out
    path = kitti_tree.file("image_2", "000002")
    path.write_bytes(path.read_bytes()[:200])  # its header is whole
    assert cli.main([*words, "--quick"]) == 0
    assert cli.main([*words, "--deep"]) == 1
    path.unlink()
    capsys.readouterr()
    assert cli.main([*words, "--quick"]) == 1
    assert "000002.png: missing" in capsys.readouterr().out.replace("\n", "")
    assert cli.main([*words, "--quick", "--deep"]) == 2
    assert cli.main(["check", "--data", "synthetic", "--split", "smoke", "--quick"]) == 2
    assert "leave --quick out" in capsys.readouterr().err
