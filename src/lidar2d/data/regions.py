"""Superpixels of images, made once and kept beside the data: what SLidR and HVDistill contrast."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.cache import cache_folder
from lidar2d.data.source import Preparable, Problem, Source
from lidar2d.errors import DataError, within
from lidar2d.frame import Frame


@dataclass(frozen=True)
class Superpixels:
    """How an image is cut into superpixels.

    Args:
        kind: ``slic`` (Achanta et al., TPAMI 2012), or ``felzenszwalb`` (Felzenszwalb and Huttenlocher, IJCV 2004).
        segments: about how many SLIC makes; 150 in SLidR's MinkUNet recipe, 30 in its VoxelNet one.
        compactness: of SLIC: how much nearness counts beside colour; 6 in SLidR.
        sigma: pixels of smoothing; 3 in SLidR. Felzenszwalb's own is 0.8.
        scale: of Felzenszwalb: larger makes larger ones.
        smallest: of Felzenszwalb: pixels.
    """

    kind: Literal["slic", "felzenszwalb"] = "slic"
    segments: int = 150
    compactness: float = 6.0
    sigma: float = 3.0
    scale: float = 100.0
    smallest: int = 50

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(2, segments=self.segments)
        within(1e-3, compactness=self.compactness, scale=self.scale)
        within(0, sigma=self.sigma)
        within(1, smallest=self.smallest)

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return the superpixel (H, W) of each pixel of an image (H, W, 3), counted from 0."""
        from skimage.segmentation import felzenszwalb, slic

        if self.kind == "slic":
            found = slic(image, self.segments, self.compactness, sigma=self.sigma, start_label=0)
        else:
            found = felzenszwalb(image, scale=self.scale, sigma=self.sigma, min_size=self.smallest)
        return np.asarray(found, dtype=np.uint16)

    def name(self) -> str:
        """Name the folder of what these settings make, with the library's version."""
        used = {key: value for key, value in asdict(self).items() if key in _USED[self.kind]}
        text = json.dumps([used, version("scikit-image")])
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_USED = {
    "slic": ("kind", "segments", "compactness", "sigma"),
    "felzenszwalb": ("kind", "scale", "sigma", "smallest"),
}


class WithSuperpixels:
    """A source whose frames have superpixels; those that are not kept yet are made when a frame is read.

    A file keeps those of a frame, and a fingerprint of the images: made anew where the images are others.

    Args:
        source: the frames.
        superpixels: how images are cut.
    """

    def __init__(self, source: Source, superpixels: Superpixels) -> None:
        self.source = source
        self.superpixels = superpixels
        self.folder = cache_folder() / "superpixels" / superpixels.name() / source.card.name
        self.card, self.tokens, self.conditions = source.card, source.tokens, source.conditions

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong, or that cannot be written.
        """
        frame = self.source[index]
        return replace(frame, regions=torch.from_numpy(self._of(frame).astype(np.int64)))

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        return self.source.check()

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the source makes, and then the superpixels that are not kept yet, several frames at once."""
        if isinstance(self.source, Preparable):
            self.source.prepare(workers, progress)
        missing = [index for index, token in enumerate(self.tokens) if not self._path(token).is_file()]
        if missing:
            _make(self, missing, workers, progress)

    def _of(self, frame: Frame) -> NDArray[np.uint16]:
        images = (frame.images * 255).round().byte()
        print_ = fingerprint(images)
        path = self._path(frame.token)
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["images"]) == print_:
                    kept: NDArray[np.uint16] = file["regions"]
                    return kept
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            pass  # missing, cut short or overwritten: it is made again
        made = [self.superpixels.of(image.permute(1, 2, 0).numpy()) for image in images]
        height, width = images.shape[-2:]
        regions = np.stack(made) if made else np.zeros((0, height, width), np.uint16)
        _write(path, {"regions": regions, "images": np.array(print_)})
        return regions

    def _path(self, token: str) -> Path:
        # tokens of some data sets are paths
        return self.folder / f"{token.replace('/', '-')}.npz"


def fingerprint(images: Tensor) -> str:
    """Return twelve letters that tell images (V, 3, H, W) from others, by their size and every sixteenth pixel."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(np.ascontiguousarray(images[..., ::4, ::4].numpy()).tobytes())
    return digest.hexdigest()[:12]


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}-", delete=False) as file:
            try:
                np.savez_compressed(file, **arrays)
                file.flush()
                os.replace(file.name, path)  # noqa: PTH105 Path.replace is the same call
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DataError(
            f"cannot keep superpixels in {path.parent}: {error.strerror}\n"
            "make room there, or set LIDAR2D_CACHE to another folder"
        ) from error


def _make(source: WithSuperpixels, missing: Sequence[int], workers: int, progress: bool) -> None:
    """Make the superpixels of many frames, with a bar that shows the rate, the time left and the size on disk."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    source[missing[0]]
    size = source._path(source.tokens[missing[0]]).stat().st_size * len(source.tokens) / 1e6
    columns = (
        TextColumn(f"superpixels, about {size:.0f} MB in {source.folder}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not progress) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("", total=len(missing), completed=1)
        for _ in pool.map(source.__getitem__, missing[1:]):
            bar.advance(task)
