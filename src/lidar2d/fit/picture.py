"""A picture of features: the first three principal components as red, green and blue."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor

from lidar2d.data.module import LidarData
from lidar2d.data.source import Source
from lidar2d.data.twins import scenes
from lidar2d.errors import DataError
from lidar2d.frame import Batch, Frame, collate
from lidar2d.geometry import pairs
from lidar2d.methods.base import Method


@torch.no_grad()
def draw_features(method: Method, begun: Method, data: LidarData, path: Path) -> None:
    """Draw an image, its features before training and those after, under two conditions of one scene if it has them."""
    batch = _two_conditions(data)
    views = [int(torch.nonzero(batch.view_frame == frame)[0]) for frame in range(len(batch))]
    if method.student == "images":
        rows = {"teacher": begun.images(batch.images[views]), "student": method.images(batch.images[views])}
        colours = {name: _colour(maps.float().permute(0, 2, 3, 1)) for name, maps in rows.items()}
    else:
        found = pairs(batch)
        colours = {}
        for name, points in (("untrained", begun.points), ("distilled", method.points)):
            colours[name] = _colour(points(batch).float()[None])[0]
    figure, axes = plt.subplots(3, len(views), figsize=(6.4 * len(views), 8.4), squeeze=False, layout="constrained")
    for column, view in enumerate(views):
        image = batch.images[view].permute(1, 2, 0).numpy()
        whole = (0, image.shape[1], image.shape[0], 0)  # so that pixel centres are at .5
        axes[0, column].imshow(image, extent=whole)
        axes[0, column].set_title(batch.conditions[int(batch.view_frame[view])] or batch.tokens[column])
        for row, (name, colour) in enumerate(colours.items(), start=1):
            axis = axes[row, column]
            axis.set_title(f"{name}: features")
            if method.student == "images":
                axis.imshow(colour[column], extent=whole)
            else:
                seen = found[found.view == view]
                axis.imshow(image * 0.25, extent=whole)
                axis.scatter(*seen.pixel.T.numpy(), c=colour[seen.point.numpy()], s=5.0, linewidths=0)
                axis.set(xlim=whole[:2], ylim=whole[2:])  # points must not widen what the image spans
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(path, format="png", dpi=110)
    plt.close(figure)


def _two_conditions(data: LidarData) -> Batch:
    """Return one scene in a clear and in an adverse condition; the first two frames where there are no twins."""
    source = data.source(data.test or data.split)
    wanted = [*data.card.clear, "fog", *data.card.adverse]
    for rows in scenes(source):
        twins = {source.conditions[row]: row for row in rows}
        chosen = [twins[name] for name in dict.fromkeys(wanted) if name in twins][:2]
        if len(chosen) == 2:
            return collate([source[index] for index in chosen])
    frames = list(itertools.islice(_readable(source, data.bad_files), 2))
    same_size = [frame for frame in frames if frame.images.shape == frames[0].images.shape]
    return collate(same_size)


def _readable(source: Source, bad_files: str) -> Iterator[Frame]:
    for index in range(len(source)):
        try:
            yield source[index]
        except DataError:
            if bad_files == "stop":
                raise


def _colour(rows: Tensor) -> np.ndarray:  # type: ignore[type-arg]
    """Turn features (..., C) into RGB 0..1 by their first three principal components, fitted on the first row."""
    basis = rows[0].reshape(-1, rows.shape[-1]).double()
    mean = basis.mean(0)
    _, _, directions = torch.linalg.svd(basis - mean, full_matrices=False)
    directions = directions[:3]
    # the sign of a principal direction is arbitrary: fix it, so that pictures compare between runs
    directions = directions * torch.sign(directions.sum(1, keepdim=True))
    projected = (rows.double() - mean) @ directions.T
    spread = ((basis - mean) @ directions.T).std(0) + 1e-9
    colours: np.ndarray = (0.5 + projected / (4 * spread)).clamp(0, 1).numpy()  # type: ignore[type-arg]
    return colours
