"""Superpixels of images: what SLidR and HVDistill contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.annotations import Annotator
from lidar2d.errors import within


@dataclass(frozen=True)
class Superpixels(Annotator):
    """How an image is cut into superpixels.

    Args:
        kind: ``slic`` (Achanta et al., TPAMI 2012), or ``felzenszwalb`` (Felzenszwalb and Huttenlocher, IJCV 2004).
        segments: about how many SLIC makes; 150 in SLidR's MinkUNet recipe, 30 in its VoxelNet one.
        compactness: of SLIC: how much nearness counts beside colour; 6 in SLidR.
        sigma: pixels of smoothing; 3 in SLidR. Felzenszwalb's own is 0.8.
        scale: of Felzenszwalb: larger makes larger ones.
        smallest: of Felzenszwalb: pixels.
    """

    field: ClassVar[Literal["regions", "weak_labels"]] = "regions"
    title: ClassVar[str] = "superpixels"

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

    def key(self) -> Mapping[str, object]:
        """Return the settings that this kind uses, and the library's version."""
        used = {name: value for name, value in asdict(self).items() if name in _USED[self.kind]}
        return {**used, "scikit-image": version("scikit-image")}

    def of(self, images: Tensor) -> NDArray[np.int32]:
        """Return the superpixel (V, H, W) of each pixel of images (V, 3, H, W) uint8, counted from 0 in each."""
        from skimage.segmentation import felzenszwalb, slic

        found = []
        for image in images.permute(0, 2, 3, 1).numpy():
            if self.kind == "slic":
                found.append(slic(image, self.segments, self.compactness, sigma=self.sigma, start_label=0))
            else:
                found.append(felzenszwalb(image, scale=self.scale, sigma=self.sigma, min_size=self.smallest))
        return np.asarray(found, dtype=np.int32)


_USED = {
    "slic": ("kind", "segments", "compactness", "sigma"),
    "felzenszwalb": ("kind", "scale", "sigma", "smallest"),
}
