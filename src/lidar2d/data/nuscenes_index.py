"""The nuScenes tables as two memory-mapped arrays: made once, read by every process without a copy.

The official JSON tables hold every camera image and every ego pose of 12 Hz sensors; training needs the key frames.
They are streamed record by record into ``samples.npy`` and ``boxes.npy`` under the user's cache folder.
Numbers are float64, in lidar2d's conventions (:mod:`lidar2d.geometry`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.cache import cache_folder
from lidar2d.data.nuscenes_tables import TABLES, Tables, build
from lidar2d.errors import DataError

_FORMAT = 1  # goes up when the arrays change their meaning
_ARRAYS = ("samples", "boxes")


@dataclass(frozen=True)
class Index:
    """The key frames of one version of nuScenes, in the order of the sample table."""

    folder: Path  # holds the arrays; pickling carries its name alone
    samples: NDArray[np.void]  # see nuscenes_tables.sample_dtype
    boxes: NDArray[np.void]  # see nuscenes_tables.BOX_DTYPE
    scenes: list[dict[str, str]]  # name and description, by samples["scene"]
    categories: list[str]  # by boxes["category"]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a loader's worker as a folder name, so that pages are shared and not copied."""
        return _load, (self.folder,)


def open_index(root: Path, version: str, cameras: Sequence[str], cache: Path | None = None) -> Index:
    """Open the index of the tables in ``root/version``; make it if there is none, or it is bad, or the tables changed.

    Args:
        root: the folder of the data set.
        version: folder of the tables, such as v1.0-trainval.
        cameras: channels, in the order of the arrays' camera axis.
        cache: folder of all indices; None is the user's cache folder.

    Raises:
        DataError: if a table is missing or wrong, or the index cannot be written.
    """
    home = cache or cache_folder() / "nuscenes"
    place = f"{version}-{_digest([str(root.resolve()), version, *cameras])}"
    folder = home / f"{place}-{_fingerprint(root / version)}"
    if not _is_sound(folder):
        _replace(folder, root, version, cameras)
        for stale in home.glob(f"{place}-*"):
            if stale != folder:
                shutil.rmtree(stale, ignore_errors=True)
    return _load(folder)


def _fingerprint(tables: Path) -> str:
    parts = [str(_FORMAT)]
    for name in TABLES:
        path = tables / f"{name}.json"
        if path.is_file():
            parts.append(f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}")
    return _digest(parts)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_sound(folder: Path) -> bool:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return all(zlib.crc32((folder / f"{name}.npy").read_bytes()) == meta["crc"][name] for name in _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _load(folder: Path) -> Index:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    samples, boxes = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    return Index(folder, samples, boxes, meta["scenes"], meta["categories"])


def _replace(folder: Path, root: Path, version: str, cameras: Sequence[str]) -> None:
    """Make the index anew."""
    tables = build(root / version, cameras)
    try:
        _write(folder, tables)
    except OSError as error:
        raise DataError(
            f"cannot keep the index of {root / version} in {folder.parent}: {error.strerror}\n"
            "make room there, or set LIDAR2D_CACHE to another folder"
        ) from None


def _write(folder: Path, tables: Tables) -> None:
    """Write the index into a folder beside its place, then move it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        crc = {}
        for name in _ARRAYS:
            np.save(fresh / f"{name}.npy", getattr(tables, name))
            crc[name] = zlib.crc32((fresh / f"{name}.npy").read_bytes())
        meta = {"crc": crc, "scenes": tables.scenes, "categories": tables.categories}
        (fresh / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        _move(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _move(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        if _is_sound(folder):
            return  # another process was faster, and made the same
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
