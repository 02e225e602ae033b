"""The nuScenes tables as memory-mapped arrays: made once, read by every process without a copy.

The official JSON tables hold every camera image and every ego pose of 12 Hz sensors; training needs the key frames, and
the LiDAR's sweeps between them. They are streamed record by record into arrays under the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.cache import cache_folder
from lidar2d.data.nuscenes.names import Names
from lidar2d.data.nuscenes.poses import OURS_FROM_NUSCENES, inverses, matrices
from lidar2d.data.nuscenes.records import TABLES
from lidar2d.data.nuscenes.tables import Tables, build
from lidar2d.errors import DataError

_FORMAT = 2  # goes up when the arrays change their meaning
_ARRAYS = ("samples", "sweeps", "cameras", "boxes")


@dataclass(frozen=True)
class Index:
    """The key frames of one version of nuScenes, in the order of the sample table."""

    folder: Path  # holds the arrays; pickling carries its name alone
    samples: NDArray[np.void]  # see tables.sample_dtype
    sweeps: NDArray[np.void]  # see tables.SWEEP_DTYPE
    cameras: NDArray[np.void]  # see tables.CAMERA_DTYPE
    boxes: NDArray[np.void]  # see boxes.BOX_DTYPE
    scenes: list[dict[str, str]]  # name and description, by samples["scene"]
    categories: list[str]  # by boxes["category"]
    names: Names

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a loader's worker as a folder name, so that pages are shared and not copied."""
        return _load, (self.folder,)

    def images(self, sample: np.void) -> list[str]:
        """Return the file of each camera's image, below the data set's folder."""
        return [self.names.read(kept) for kept in sample["files"]]

    def lidar(self, sweep: int) -> str:
        """Return the file of a sweep, below the data set's folder."""
        return self.names.read(self.sweeps[sweep]["file"])

    def earlier(self, sample: np.void, most: int) -> Iterator[tuple[int, NDArray[np.float64], float]]:
        """Yield sweeps of the scene before the key frame's, the latest first.

        Yields:
            The row; the motion (4, 4) from its LiDAR to the key frame's, in our axes; how many seconds it is older.
        """
        own = int(sample["sweep"])
        to_key = inverses(_global_from_ours(self.sweeps[own]))
        for row in range(own - 1, max(-1, own - 1 - most), -1):
            if self.sweeps[row]["scene"] != sample["scene"]:
                return
            age = int(self.sweeps[own]["timestamp"]) - int(self.sweeps[row]["timestamp"])
            yield row, to_key @ _global_from_ours(self.sweeps[row]), age * 1e-6

    def lidarseg(self, sample: np.void) -> str | None:
        """Return the file of the points' labels, below the data set's folder; None where there is none."""
        if sample["lidarseg"] < 0:
            return None
        return self.names.fill(sample["lidarseg"], sample["lidar"].decode())

    def cam_from_lidar(self, sample: np.void) -> NDArray[np.float64]:
        """Return each camera's pose (V, 4, 4) at its own time, seen from the LiDAR at its own, in our axes."""
        found: NDArray[np.float64] = inverses(matrices(sample["global_from_cam"])) @ _global_from_ours(
            self.sweeps[sample["sweep"]]
        )
        return found


def _global_from_ours(sweep: np.void) -> NDArray[np.float64]:
    """Return the pose (4, 4) of the LiDAR, in our axes, at its time stamp."""
    pose: NDArray[np.float64] = matrices(sweep["global_from_lidar"]) @ OURS_FROM_NUSCENES.T
    return pose


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
    samples, sweeps, cameras, boxes = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    return Index(folder, samples, sweeps, cameras, boxes, meta["scenes"], meta["categories"], Names(meta["words"]))


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
        meta = {"crc": crc, "scenes": tables.scenes, "categories": tables.categories, "words": tables.words}
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
