"""Reading images: what is seen stays where the matrix says, also when a JPEG is decoded at a reduced scale."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lidar2d.data.files import BadFileError
from lidar2d.data.pixels import image_size, read_whole, read_window
from lidar2d.frame import ImageFile

WAVES = 12  # along the picture


def waves(path: Path, width: int, height: int, axis: int) -> None:
    """Save a picture of sine waves along an axis."""
    length = (height, width)[axis]
    values = 127.5 + 100 * np.sin(2 * np.pi * WAVES * (np.arange(length) + 0.5) / length)
    picture = np.broadcast_to(values[:, None] if axis == 0 else values[None, :], (height, width))
    Image.fromarray(np.repeat(picture[:, :, None], 3, axis=2).round().astype(np.uint8)).save(path, quality=95)


def whole(path: Path) -> torch.Tensor:
    return read_whole(ImageFile(path, image_size(path), torch.eye(3)))


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize(("width", "height"), [(1600, 900), (1601, 899), (1603, 907), (640, 480), (300, 150)])
@pytest.mark.parametrize("size", [(112, 208), (224, 416), (113, 199)])
@pytest.mark.parametrize("axis", [0, 1])
def test_resized_image_shows_what_was_where_the_matrix_says(
    tmp_path: Path, ending: str, width: int, height: int, size: tuple[int, int], axis: int
):
    path = tmp_path / f"waves.{ending}"
    waves(path, width, height, axis)
    image = read_window(path, size, (0, 0, width, height), (height, width)) / 255
    assert image.shape == (3, *size)
    seen = image.mean(0).mean(1 - axis).double().numpy()
    phase = 2 * np.pi * WAVES * (np.arange(size[axis]) + 0.5) / size[axis]  # of what the matrix says is there
    for part in np.array_split(np.arange(2, size[axis] - 2), 3):  # a wrong shift or scale shows at one end at least
        basis = np.stack([np.sin(phase[part]), np.cos(phase[part]), np.ones(len(part))], axis=1)
        (sine, cosine, _), *_ = np.linalg.lstsq(basis, seen[part], rcond=None)
        off = (
            np.arctan2(cosine, sine) / (2 * np.pi * WAVES) * size[axis]
        )  # new pixels; half a pixel is a wrong convention
        assert abs(off) < 0.03


def test_image_keeps_its_own_size_unless_asked(tmp_path: Path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (7, 11)
    np.testing.assert_array_equal(whole(tmp_path / "a.png").permute(1, 2, 0), picture)


def test_grey_image_becomes_three_channels(tmp_path: Path):
    Image.new("L", (9, 5), 51).save(tmp_path / "a.png")
    assert torch.equal(whole(tmp_path / "a.png"), torch.full((3, 5, 9), 51, dtype=torch.uint8))


def test_error_travels_from_a_worker(tmp_path: Path):
    error = BadFileError(tmp_path / "a.bin", "empty")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.fault, str(copy)) == (error.path, error.fault, str(error))


@pytest.mark.parametrize("keep", [0, 1, 20, 300, 0.5, 0.95])
@pytest.mark.parametrize("size", [None, (8, 8)])
def test_truncated_jpeg_is_an_error_at_every_scale(tmp_path: Path, keep: float, size: tuple[int, int] | None):
    path = tmp_path / "a.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if keep < 1 else int(keep)])
    with pytest.raises(BadFileError, match=r"a\.jpg: unreadable image"):
        read_window(path, size or (200, 300), (0, 0, 300, 200), (200, 300))
