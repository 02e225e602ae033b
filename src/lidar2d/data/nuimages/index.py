"""The nuImages tables as memory-mapped arrays: its masks alone have a gigabyte, which no worker should hold."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.arrays import Made, keep, load
from lidar2d.data.files import BadFileError
from lidar2d.data.nuscenes.cameras import CAMERA_DTYPE, camera_row
from lidar2d.data.nuscenes.names import NAME_DTYPE, Names
from lidar2d.data.nuscenes.records import TOKEN, Record, by_token, text, whole
from lidar2d.paths import cache_folder

_LAYOUT = 1  # goes up when the arrays change their meaning
_ARRAYS = ("images", "cameras", "masks", "letters")
_TABLES = ("sample", "sample_data", "calibrated_sensor", "category", "surface_ann", "object_ann")
_ANNOTATIONS = ("surface_ann", "object_ann")  # in the order that they are drawn in

IMAGE_DTYPE = np.dtype(
    [
        ("token", TOKEN),  # of the sample
        ("file", NAME_DTYPE),
        ("camera", np.int32),  # row of the cameras array
        ("first_mask", np.int32),
        ("end_mask", np.int32),
    ]
)
MASK_DTYPE = np.dtype(
    [
        ("category", np.int16),
        ("start", np.int64),  # of its letters
        ("length", np.int32),
    ]
)


@dataclass(frozen=True)
class Index:
    """The annotated images of one version of nuImages, in the order of the sample table."""

    folder: Path  # holds the arrays; pickling carries its name alone
    images: NDArray[np.void]  # see IMAGE_DTYPE
    cameras: NDArray[np.void]  # see cameras.CAMERA_DTYPE
    masks: NDArray[np.void]  # see MASK_DTYPE; by image, in the order that they are drawn in
    letters: NDArray[np.uint8]  # of all masks' run-length codes
    categories: list[str]  # by masks["category"]
    names: Names

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a loader's worker as a folder name, so that pages are shared and not copied."""
        return _load, (self.folder,)

    def masks_of(self, image: np.void) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the category and the run-length code of each mask of an image, in the order to draw them in."""
        for mask in self.masks[image["first_mask"] : image["end_mask"]]:
            start = int(mask["start"])
            yield int(mask["category"]), np.asarray(self.letters[start : start + int(mask["length"])])


def open_index(root: Path, version: str, cache: Path | None = None) -> Index:
    """Open the index of the tables in ``root/version``; make it if there is none, or it is bad, or the tables changed.

    Args:
        root: the folder of the data set.
        version: folder of the tables, such as v1.0-val.
        cache: folder of all indices; None is the user's cache folder.

    Raises:
        DataError: if a table is missing or wrong, or the index cannot be written.
    """
    files = [root / version / f"{name}.json" for name in _TABLES]
    place = (version, str(root.resolve()))
    return _load(keep(cache or cache_folder() / "nuimages", place, files, _LAYOUT, lambda: _build(root / version)))


def _load(folder: Path) -> Index:
    made = load(folder)
    images, cameras, masks, letters = (made.arrays[name] for name in _ARRAYS)
    return Index(folder, images, cameras, masks, letters, made.facts["categories"], Names(made.facts["words"]))


def _build(folder: Path) -> Made:
    """Read the tables of one version.

    Raises:
        BadFileError: naming the table that is missing, malformed, or points at a record that is not there.
    """
    samples = by_token(folder, "sample", lambda r: text(r["key_camera_token"]))
    key = {camera: row for row, camera in enumerate(samples.values())}
    names, images = Names(), np.zeros(len(samples), IMAGE_DTYPE)
    images["token"] = list(samples)
    mounts = by_token(folder, "calibrated_sensor", lambda r: r.get("camera_intrinsic"))
    cameras: dict[bytes, int] = {}
    found: set[int] = set()

    def image(r: Record) -> None:
        size = whole(r["height"]), whole(r["width"])
        camera = camera_row(mounts[r["calibrated_sensor_token"]], size)
        row = key[r["token"]]
        images["file"][row] = names.keep(text(r["filename"]))
        images["camera"][row] = cameras.setdefault(camera.tobytes(), len(cameras))
        found.add(row)

    by_token(folder, "sample_data", image, keep=lambda r: r["token"] in key)
    if missing := set(range(len(samples))) - found:
        raise BadFileError(folder / "sample_data.json", f"sample {list(samples)[min(missing)]} has no key image")
    categories = by_token(folder, "category", lambda r: text(r["name"]))
    masks, letters = _masks(folder, key, {token: row for row, token in enumerate(categories)})
    owners = [mask.image for mask in masks]
    images["first_mask"] = np.searchsorted(owners, np.arange(len(images)), "left")
    images["end_mask"] = np.searchsorted(owners, np.arange(len(images)), "right")
    arrays = {
        "images": images,
        "cameras": np.frombuffer(b"".join(cameras), CAMERA_DTYPE),
        "masks": np.array([(mask.category, mask.start, mask.length) for mask in masks], MASK_DTYPE),
        "letters": np.frombuffer(letters, np.uint8),
    }
    return Made(arrays, {"categories": list(categories.values()), "words": names.words})


class _Mask(NamedTuple):
    """One annotation; they sort in the order that they are drawn in: surfaces as listed, then objects by token."""

    image: int
    table: int
    place: int | str
    category: int
    start: int
    length: int


def _masks(folder: Path, images: dict[str, int], categories: dict[str, int]) -> tuple[list[_Mask], bytearray]:
    """Return all masks, sorted, and the letters of their codes."""
    found: list[_Mask] = []
    letters = bytearray()

    def read(r: Record, table: int) -> None:
        image, category = images[r["sample_data_token"]], categories[r["category_token"]]
        if r["mask"] is None:
            return
        code = base64.b64decode(r["mask"]["counts"], validate=True)
        found.append(_Mask(image, table, r["token"] if table else len(found), category, len(letters), len(code)))
        letters.extend(code)

    for number, table in enumerate(_ANNOTATIONS):
        by_token(folder, table, partial(read, table=number), keep=lambda r: r["sample_data_token"] in images)
    return sorted(found), letters
