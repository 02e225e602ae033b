"""Images that are read last show what images that are read first and augmented then would show, on the same pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.augment import Augment
from lidar2d.data.batches import TrainingFrames
from lidar2d.data.card import load_card
from lidar2d.data.kitti import Kitti
from lidar2d.data.module import LidarData
from lidar2d.data.nuscenes import NuScenes
from lidar2d.data.pixels import not_read, read_pixels, window
from lidar2d.data.windows import crop, flip_image, resize
from lidar2d.errors import DataError
from lidar2d.frame import Batch, Frame, ImageFile, collate
from lidar2d.geometry import pairs

K = torch.tensor([[300.0, 0, 160], [0, 310, 120], [0, 0, 1]], dtype=torch.float64)


def unread(tmp_path: Path, ending: str = "png", width: int = 320, height: int = 240) -> Frame:
    """Return a frame of two smooth pictures on disk."""
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    files = []
    for view in range(2):
        picture = np.stack([np.sin(3 * x + view), np.cos(2 * y), np.sin(x * y)], axis=2) * 100 + 128
        Image.fromarray(picture.astype(np.uint8)).save(
            tmp_path / f"{view}.{ending}", **({"quality": 98} if ending == "jpg" else {})
        )
        files.append(ImageFile(tmp_path / f"{view}.{ending}", (height, width), K))
    points = torch.rand(4000, 4, generator=torch.Generator().manual_seed(0)) * 20 - 10
    pose = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    labels = torch.arange(height * width).view(1, height, width).expand(2, -1, -1)
    return Frame(points, not_read(files), K.expand(2, 3, 3), pose.expand(2, 4, 4), regions=labels, files=tuple(files))


STEPS = {
    "whole": lambda frame: frame,
    "resized": lambda frame: resize(frame, (60, 96)),
    "cropped": lambda frame: crop(frame, [(8, 16, 160, 240), (40, 0, 200, 320)], (64, 80)),
    "between pixels": lambda frame: crop(resize(frame, (113, 201)), [(3, 5, 80, 101), (11, 7, 90, 133)], (48, 64)),
    "mirrored": lambda frame: flip_image(resize(frame, (120, 160)), np.random.default_rng(5)),
    "mirrored, then cropped": lambda frame: crop(
        flip_image(frame, np.random.default_rng(5), 1.0), [(8, 16, 160, 240), (40, 0, 200, 320)], (64, 80)
    ),
}


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("steps", STEPS)
def test_read_last_is_read_first(tmp_path: Path, steps: str, ending: str):
    frame = unread(tmp_path, ending)
    last, first = read_pixels(STEPS[steps](frame)), STEPS[steps](read_pixels(frame))
    assert last.images.dtype == torch.float32
    assert last.images.shape == first.images.shape
    assert (last.images - first.images).abs().mean() < 1.5 / 255
    assert torch.equal(last.intrinsics, first.intrinsics)
    assert torch.equal(last.regions, first.regions)


def test_pixels_of_a_crop_are_not_blurred_by_an_earlier_size(tmp_path: Path):
    """Half of an image, shown as large as the whole was: it has detail that the whole no longer had."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    frame = unread(tmp_path)
    for file in frame.files:
        Image.fromarray(stripes).save(file.path)
    small = crop(resize(frame, (60, 80)), [(0, 0, 15, 20)] * 2, (60, 80))
    assert read_pixels(small).images.std() > 0.4
    assert crop(read_pixels(resize(frame, (60, 80))), [(0, 0, 15, 20)] * 2, (60, 80)).images.std() < 0.2


def test_labels_of_another_resolution_follow_the_windows(tmp_path: Path):
    frame = unread(tmp_path)
    assert frame.regions is not None
    coarse = replace(frame, regions=frame.regions[:, ::2, ::2].int())
    steps = STEPS["between pixels"]
    found = read_pixels(steps(coarse)).regions
    assert found is not None
    assert found.dtype == torch.int64
    fine = steps(read_pixels(frame)).regions
    rows, columns = fine // 320, fine % 320
    assert ((found // 320 - rows).abs() <= 1).all()
    assert ((found % 320 - columns).abs() <= 1).all()
    whole = read_pixels(coarse).regions
    assert whole is not None
    assert whole.shape == (2, 240, 320)


def test_what_is_no_window_is_refused():
    matrix = [[1.0, 0.1, 0], [0, 1, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="only crops, resizes and mirrors"):
        window(matrix, (10, 10))


def test_images_of_one_frame_must_have_one_size(tmp_path: Path):
    files = [ImageFile(tmp_path / f"{side}.png", (side, side), K) for side in (8, 9)]
    with pytest.raises(DataError, match=r"9\.png: is 9x9 pixels"):
        not_read(files)


RECIPE = Augment(rotate=180, flip_points="each", crop=(0.3, 1.0), crop_size=(224, 416), flip_image=0.5, photometric=0.3)


def test_only_the_cameras_of_a_batch_are_read(samples: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    source = NuScenes(load_card("nuscenes"), "mini", samples / "nuscenes")
    monkeypatch.setattr("lidar2d.data.pixels.read_bytes", lambda path: read.append(path) or path.read_bytes())
    batch = TrainingFrames(source, 0, RECIPE, None, 2, "stop")[[(0, 0)]]
    assert isinstance(batch, Batch)
    assert len(batch.images) == len(read) == 2


def test_only_named_cameras_are_read(samples: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    data = LidarData("nuscenes", str(samples / "nuscenes"), cameras=["CAM_BACK", "CAM_FRONT"])
    monkeypatch.setattr("lidar2d.data.pixels.read_bytes", lambda path: read.append(path) or path.read_bytes())
    frame, whole = data.source()[0], LidarData("nuscenes", str(samples / "nuscenes")).source()
    assert [path.parent.name for path in read] == ["CAM_BACK", "CAM_FRONT"]
    rows = [whole.card.cameras.index(name) for name in ("CAM_BACK", "CAM_FRONT")]
    assert torch.equal(frame.images, whole[0].images[rows])


@pytest.mark.parametrize("reader", [NuScenes, Kitti])
def test_real_frames_read_last_are_those_read_first(samples: Path, reader: type[NuScenes | Kitti]):
    card, folder, split = {
        NuScenes: ("nuscenes", "nuscenes", "mini"),
        Kitti: ("kitti", "kitti_object", "train"),
    }[reader]
    source = reader(load_card(card), split, samples / folder)
    plain = replace(RECIPE, photometric=0.0)
    for seed in range(3):
        last = read_pixels(plain.move(source.unread(0), np.random.default_rng(seed)))
        first = plain.move(source[0], np.random.default_rng(seed))
        assert (last.images - first.images).abs().mean() * 255 < 2
        assert torch.equal(last.intrinsics, first.intrinsics)
        found, expected = (pairs(collate([frame])) for frame in (last, first))
        assert torch.equal(found.point, expected.point)
        assert torch.equal(found.pixel, expected.pixel)


def test_the_benchmark_finds_both_ways_alike(samples: Path, tmp_path: Path):
    script = Path(__file__).parents[2] / "benchmarks" / "speed" / "data.py"
    words = [sys.executable, str(script), "--root", str(samples / "nuscenes"), "--frames", "2"]
    said = subprocess.run(
        words, env={**os.environ, "LIDAR2D_CACHE": str(tmp_path)}, capture_output=True, text=True, check=True
    ).stdout
    apart = float(said.split("images apart by ")[1].split(" ")[0])
    assert apart < 2
    assert "pairs differ by 0 at most" in said
