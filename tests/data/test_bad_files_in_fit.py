"""What `fit` does with a bad file: it stops and names it, or skips the frame and counts it where the recipe says so."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lidar2d import cli
from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import load_card
from lidar2d.errors import DataError
from lidar2d.frame import Frame


def truncate(tree):
    path = tree.file("velodyne", "000002")
    path.write_bytes(path.read_bytes()[:-7])
    return path


def spoil_points(tree):
    path = tree.file("velodyne", "000002")
    scan = np.fromfile(path, dtype=np.float32)
    scan[5] = np.nan
    scan.tofile(path)
    return path


def spoil_image(tree):
    path = tree.file("image_2", "000002")
    path.write_bytes(b"not a picture")
    return path


def drop_calib_key(tree):
    path = tree.file("calib", "000002")
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("P2")))
    return path


def hide_all_points(tree):
    scan = np.fromfile(tree.file("velodyne", "000002"), dtype=np.float32).reshape(-1, 4)
    scan[:, 0] -= 200  # behind the camera
    scan.tofile(tree.file("velodyne", "000002"))
    return tree.file("image_2", "000002")


def remove_scan(tree):
    path = tree.file("velodyne", "000002")
    path.unlink()
    return path


def fit(tree, run, *words):
    return cli.main(
        [
            *("fit", "--method", "ppkt", "--data", "kitti", "--data.root", str(tree.root), "--run", str(run)),
            *("--method.points.width", "8", "--method.points.columns", "64", "--method.images.width", "16"),
            *("--method.images.weights", "null", "--data.image_size", "[32,64]", "--trainer.accelerator", "cpu"),
            *("--method.pretrain.steps", "2", "--data.batch_size", "2", "--trainer.report", "false", *words),
        ]
    )


@pytest.mark.parametrize("spoil", [truncate, spoil_points, spoil_image, drop_calib_key, hide_all_points, remove_scan])
def test_fit_stops_with_the_name_of_the_bad_file(kitti_tree, tmp_path, capsys, spoil):
    path = spoil(kitti_tree)
    assert fit(kitti_tree, tmp_path / "run") == 2
    said = capsys.readouterr().err.strip().splitlines()[-3:]
    assert any(str(path) in line and line.startswith("lidar2d: ") for line in said)
    assert not (tmp_path / "run" / "method.ckpt").exists()


def test_fit_stops_when_a_worker_meets_the_bad_file(kitti_tree, tmp_path, capsys):
    path = truncate(kitti_tree)
    assert fit(kitti_tree, tmp_path / "run", "--data.workers", "1") == 2
    assert str(path) in capsys.readouterr().err


def test_fit_skips_and_counts_where_the_recipe_says_so(kitti_tree, tmp_path, capsys):
    truncate(kitti_tree)
    assert fit(kitti_tree, tmp_path / "run", "--data.bad_files", "skip") == 0
    assert "skipped 2 frames" in capsys.readouterr().err
    assert Path(tmp_path / "run" / "method.ckpt").exists()


def test_fit_stops_when_every_frame_of_a_batch_is_bad(kitti_tree, tmp_path, capsys):
    path = truncate(kitti_tree)
    kitti_tree.file("velodyne", "000001").unlink()
    assert fit(kitti_tree, tmp_path / "run", "--data.bad_files", "skip") == 2
    assert path.parent.name in capsys.readouterr().err


def test_check_lists_every_bad_file_once(kitti_tree, capsys):
    paths = [truncate(kitti_tree), spoil_image(kitti_tree)]
    assert cli.main(["check", "--data", "kitti", "--data.root", str(kitti_tree.root)]) == 1
    said = capsys.readouterr()
    text = (said.out + said.err).replace("\n", "")
    assert all(path.name in text for path in paths)


class Careless:
    """Somebody's own reader, which lets NaN through."""

    card, tokens = load_card("kitti"), ("tidy", "careless")

    def __getitem__(self, index):
        points = torch.zeros(10, 4)
        points[:index] = torch.nan
        none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
        return Frame(points, *none, token=self.tokens[index])


def test_points_that_a_reader_should_have_left_out_are_handed_over_as_an_error():
    frames = TrainingFrames(Careless(), 0, Augment(), None, None, "skip")
    assert len(frames[[(0, 0)]]) == 1
    fault = frames[[(0, 0), (0, 1)]]
    assert isinstance(fault, DataError)
    assert str(fault).startswith("frame careless: 1 of 10 points")
