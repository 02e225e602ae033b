"""From voxels to dense maps."""

from __future__ import annotations

import torch
from torch import Tensor

from lidar2d.nets.sparse.tensor import SparseTensor


def to_bev(x: SparseTensor, frames: int) -> Tensor:
    """Return the map seen from above, (frames, C * D, H, W): cells along y and x, heights folded into channels.

    Channel ``c * D + z`` is channel c at height z; cells without a voxel are zero.

    Raises:
        ValueError: if the voxels have no border.
    """
    if x.grid.shape is None:
        raise ValueError("a dense map needs voxels with a border: give their grid a shape")
    width, height, depth = x.grid.shape
    frame, column, row, level = x.grid.coordinates.unbind(1)
    column, row, level = (place // step for place, step in zip((column, row, level), x.grid.stride, strict=True))
    channels = x.features.shape[1]
    cells = x.features.new_zeros(frames * height * width * depth, channels)
    place = ((frame * height + row) * width + column) * depth + level
    cells = cells.index_copy(0, place, x.features)
    found = cells.view(frames, height, width, depth, channels).permute(0, 4, 3, 1, 2)
    return found.reshape(frames, channels * depth, height, width)


def read_bev(bev: Tensor, frame: Tensor, places: Tensor) -> Tensor:
    """Read maps (B, C, H, W) at places (P, 2), bilinearly, as the published code of this family does.

    Places are x and y in cells; a cell's value is taken to sit at its lower corner, not at its centre. Beyond the last
    cell its value is kept.

    Returns:
        (P, C) features.
    """
    height, width = bev.shape[-2:]
    column = places[:, 0].clamp(0, width - 1)
    row = places[:, 1].clamp(0, height - 1)
    left, top = column.floor().long(), row.floor().long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    across, down = column - left, row - top
    first = frame * height
    corners = [(first + y) * width + x for y in (top, bottom) for x in (left, right)]
    weights = [b * a for b in (1 - down, down) for a in (1 - across, across)]
    cells = bev.permute(0, 2, 3, 1).reshape(-1, bev.shape[1])
    rows, shares = torch.stack(corners, 1), torch.stack(weights, 1).to(bev.dtype)
    return torch.nn.functional.embedding_bag(rows, cells, mode="sum", per_sample_weights=shares)
