"""Random harm to real files: each reading gives an error that names the file, or values that could be a sensor's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from harm import hurt

from lidar2d.data.card import Card, load_card
from lidar2d.data.files import read_binary, read_points
from lidar2d.data.kitti import SemanticKitti
from lidar2d.data.kitti.calibration import calibration
from lidar2d.data.kitti.object import read_boxes
from lidar2d.data.label_maps import LabelMap
from lidar2d.data.nuscenes.records import TABLES, records
from lidar2d.data.nuscenes.tables import build
from lidar2d.data.pixels import image_size, read_window

KITTI, NUSCENES, SEMANTIC = load_card("kitti"), load_card("nuscenes"), load_card("semantickitti")
Read = Callable[[Path], None]


def points(columns: int, scale: float) -> Read:
    def read(path: Path) -> None:
        found = read_points(path, columns, scale)
        assert found.ndim == 2
        assert np.isfinite(found).all()
        assert np.abs(found[:, :3]).max() <= 1e4
        assert 0 <= found[:, 3].min() <= found[:, 3].max() <= 1

    return read


def picture(path: Path) -> None:
    height, width = image_size(path)
    if height * width < 1 << 24:  # a header may promise any size; a frame's must be its calibration's
        pixels = read_window(path, (112, 208), (0, 0, width, height), (height, width))
        assert pixels.shape == (3, 112, 208)
        assert pixels.dtype == torch.uint8


def object_calibration(path: Path) -> None:
    matrices = calibration(path)
    assert all(np.isfinite(matrix).all() for matrix in matrices)
    assert matrices[0][0, 0] > 0


def object_boxes(path: Path) -> None:
    found, seen = read_boxes(path, KITTI.box_classes, np.eye(4))
    assert seen.isfinite().all()
    assert found.geometry.isfinite().all()
    assert (found.classes < len(KITTI.box_classes)).all()


def labels(card: Card, dtype: type[np.unsignedinteger], mask: int) -> Read:
    def read(path: Path) -> None:
        found = LabelMap(card, mask + 1).classes(read_binary(path, dtype) & mask, path)
        assert -1 <= found.min() <= found.max() < len(card.classes)

    return read


def sequence(path: Path) -> None:
    """Read a whole sequence beside the harmed file."""
    folder = path.parent
    card = replace(SEMANTIC, splits={"train": {"sequences": folder.name, "labels": "labels"}}, val="")
    source = SemanticKitti(card, "train", folder.parents[1])
    known = source._calibration("00/000002")
    motion, seconds = known.motion(0, 2)
    assert np.isfinite(motion).all()
    assert np.isfinite(known.cam_from_lidar).all()
    assert np.isfinite(seconds)


def table(path: Path) -> None:
    for _ in records(path.parent, path.stem):
        pass
    found = build(path.parent, NUSCENES.cameras)
    assert np.isfinite(found.sweeps["global_from_lidar"]).all()
    assert np.isfinite(found.boxes["geometry"]).all()


FILES: dict[str, tuple[str, Read]] = {
    "nuscenes sweep": ("nuscenes/samples/LIDAR_TOP/*.bin", points(5, 255.0)),
    "nuscenes image": ("nuscenes/samples/CAM_BACK/*.jpg", picture),
    "nuscenes labels": ("nuscenes/lidarseg/*/*.bin", labels(NUSCENES, np.uint8, 0xFF)),
    **{f"nuscenes {name}": (f"nuscenes/v1.0-mini/{name}.json", table) for name in TABLES},
    "kitti scan": ("kitti_object/training/velodyne/*.bin", points(4, 1.0)),
    "kitti image": ("kitti_object/training/image_2/*.png", picture),
    "kitti calibration": ("kitti_object/training/calib/*.txt", object_calibration),
    "kitti boxes": ("kitti_object/training/label_2/*.txt", object_boxes),
    "semantickitti labels": ("semantickitti/sequences/08/labels/*.label", labels(SEMANTIC, np.uint32, 0xFFFF)),
    "semantickitti calibration": ("semantickitti/sequences/00/calib.txt", sequence),
    "semantickitti poses": ("semantickitti/sequences/00/poses.txt", sequence),
}
SEVERAL = ("nuscenes/v1.0-mini", "semantickitti/sequences/00")  # folders whose files are read together


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_harm_is_named_or_harmless(samples: Path, tmp_path: Path, kind: str, count: int):
    pattern, read = FILES[kind]
    path = min(samples.glob(pattern))
    folder = next((samples / name for name in SEVERAL if (samples / name) in path.parents), None)
    target = tmp_path / path.name
    if folder is not None:
        place = tmp_path / "sequences" / "00" if "sequences" in folder.parts else tmp_path / folder.name
        place.mkdir(parents=True)
        for other in folder.iterdir():
            (place / other.name).symlink_to(other)
        target = place / path.name
        target.unlink()
    target.write_bytes(path.read_bytes())
    hurt(target, read, count)
