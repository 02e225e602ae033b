"""The nuScenes tables as memory-mapped arrays: made once, read by every process without a copy.

The official JSON tables hold every camera image and every ego pose of 12 Hz sensors; training needs the key frames, and
the LiDAR's sweeps between them. They are streamed record by record into arrays under the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.arrays import Made, keep, load
from lidar2d.data.nuscenes.names import Names
from lidar2d.data.nuscenes.poses import OURS_FROM_NUSCENES, inverses, matrices
from lidar2d.data.nuscenes.records import TABLES
from lidar2d.data.nuscenes.tables import build
from lidar2d.paths import cache_folder

_LAYOUT = 4  # goes up when the arrays change their meaning
_ARRAYS = ("samples", "sweeps", "cameras", "boxes")
_FACTS = ("scenes", "categories", "attributes", "words")


@dataclass(frozen=True)
class Index:
    """The key frames of one version of nuScenes, in the order of the sample table."""

    folder: Path  # holds the arrays; pickling carries its name alone
    samples: NDArray[np.void]  # see tables.sample_dtype
    sweeps: NDArray[np.void]  # see tables.SWEEP_DTYPE
    cameras: NDArray[np.void]  # see cameras.CAMERA_DTYPE
    boxes: NDArray[np.void]  # see boxes.BOX_DTYPE
    scenes: list[dict[str, str]]  # name and description, by samples["scene"]
    categories: list[str]  # by boxes["category"]
    attributes: list[str]  # by boxes["attribute"]
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
        to_key = inverses(self.global_from_lidar(sample))
        for row in range(own - 1, max(-1, own - 1 - most), -1):
            if self.sweeps[row]["scene"] != sample["scene"]:
                return
            age = int(self.sweeps[own]["timestamp"]) - int(self.sweeps[row]["timestamp"])
            yield row, to_key @ _global_from_ours(self.sweeps[row]), age * 1e-6

    def motion(self, here: np.void, there: np.void) -> NDArray[np.float64]:
        """Return the motion (4, 4) from one key frame's LiDAR to another's, in our axes."""
        ours = [self.global_from_lidar(sample) for sample in (here, there)]
        found: NDArray[np.float64] = inverses(ours[1]) @ ours[0]
        return found

    def lidarseg(self, sample: np.void) -> str | None:
        """Return the file of the points' labels, below the data set's folder; None where there is none."""
        if sample["lidarseg"] < 0:
            return None
        return self.names.fill(sample["lidarseg"], sample["lidar"].decode())

    def cam_from_lidar(self, sample: np.void) -> NDArray[np.float64]:
        """Return each camera's pose (V, 4, 4) at its own time, seen from the LiDAR at its own, in our axes."""
        found: NDArray[np.float64] = inverses(matrices(sample["global_from_cam"])) @ self.global_from_lidar(sample)
        return found

    def global_from_lidar(self, sample: np.void) -> NDArray[np.float64]:
        """Return the pose (4, 4) of a key frame's LiDAR, in our axes."""
        return _global_from_ours(self.sweeps[sample["sweep"]])


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

    def make() -> Made:
        tables = build(root / version, cameras)
        facts = {name: getattr(tables, name) for name in _FACTS}
        return Made({name: getattr(tables, name) for name in _ARRAYS}, facts)

    files = [root / version / f"{name}.json" for name in TABLES]
    place = (version, str(root.resolve()), *cameras)
    return _load(keep(cache or cache_folder() / "nuscenes", place, files, _LAYOUT, make))


def _load(folder: Path) -> Index:
    made = load(folder)
    samples, sweeps, cameras, boxes = (made.arrays[name] for name in _ARRAYS)
    scenes, categories, attributes, words = (made.facts[name] for name in _FACTS)
    return Index(folder, samples, sweeps, cameras, boxes, scenes, categories, attributes, Names(words))
