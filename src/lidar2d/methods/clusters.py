"""Weak labels that nobody names: clusters of an image network's features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.annotations import WeakLabels, keep
from lidar2d.data.source import Source
from lidar2d.errors import within
from lidar2d.losses.codes import KEPT, Codes
from lidar2d.nets.encoder import ImageEncoder


class ClusterLabels(WeakLabels):
    """K-means over the cells of an image network's maps; a pixel's label is the cluster of its enlarged feature.

    Args:
        images: the network; frozen.
        classes: number of clusters.
        survey: frames, spread over the data set, that clusters are sought in.
        seed: of the draws.
    """

    def __init__(self, images: ImageEncoder, classes: int = 17, survey: int = 64, seed: int = 0) -> None:
        within(2, classes=classes)
        within(1, survey=survey)
        within(0, seed=seed)
        self.images = images.requires_grad_(False).eval()
        self.classes, self.survey, self.seed = classes, survey, seed
        self.codes = Codes(images.channels, classes)
        self.seen = ""  # which data set the clusters were sought in

    def key(self) -> Mapping[str, object]:
        """Return the network, as fingerprints of its layers and weights, and the settings."""
        own = {"classes": self.classes, "survey": self.survey, "seed": self.seed, "sought in": self.seen}
        # strides and the like leave weights as they are
        layers = hashlib.sha256(repr(self.images).encode()).hexdigest()
        return {**own, "network": type(self.images).__name__, "layers": layers, "weights": self._weights}

    @cached_property
    def _weights(self) -> str:
        """The fingerprint of the network's weights, which never change."""
        digest = hashlib.sha256()
        for name, value in sorted(self.images.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def begin(self, source: Source) -> None:
        """Seek the clusters in some frames of a source, or read those that were found there before."""
        tokens = hashlib.sha256("\n".join(source.tokens).encode()).hexdigest()[:12]
        height, width = source[0].images.shape[-2:]
        seen = f"{source.card.name} {tokens} {height}x{width}"
        if seen == self.seen:
            return
        self.seen = seen
        kept = self.folder() / "clusters.pt"
        if kept.is_file():
            self.codes.load_state_dict(torch.load(kept, weights_only=True))
            return
        self._seek(source)
        keep(kept, partial(torch.save, self.codes.state_dict()), self.title)

    @torch.inference_mode()
    def of(self, images: Tensor) -> NDArray[np.int32]:
        """Return the cluster (V, H, W) of each pixel of images (V, 3, H, W) uint8."""
        found = []
        for image in images:
            maps = self.images(image[None].float() / 255).float()
            size = (image.shape[-2], image.shape[-1])
            large = F.interpolate(maps, size, mode="bilinear", align_corners=False)
            found.append(self.codes.sort(large[0].flatten(1).T).view(size))
        return torch.stack(found).to(torch.int32).numpy()

    @torch.no_grad()
    def _seek(self, source: Source) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        rows = []
        for index in np.unique(np.linspace(0, len(source) - 1, self.survey).round().astype(int)).tolist():
            cells = self.images(source[index].images).float().permute(0, 2, 3, 1).flatten(0, 2)
            rows.append(cells[torch.randperm(len(cells), generator=generator)[:KEPT]])
        self.codes.seek(torch.cat(rows), generator)
