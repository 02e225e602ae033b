"""What an unlabelled LiDAR sweep tells about its own points: ground, solids that stand on it, and their shape.

Everything is measured in the LiDAR frame, z up, metres; nothing here has seen a label or an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 80.0  # metres: points beyond fall into the outermost cells
LOW = 0.3  # metres above the ground: lower points do not found a solid
HIGH = 2.5  # metres above the ground: higher points do not join solids, as canopies and bridges would
SOLID_CELL = 0.4  # metres: gaps of up to one empty cell are not bridged, touching cells are
VOXELS = (0.8, 2.4)  # metres: the two scales at which a point's surroundings are measured
_BANDS = (0.5, 1.0, 1.5, 2.0, 3.0)  # metres above the ground: the profile of a solid
_SHADES = (0.1, 0.25, 0.45, 0.7)  # reflectance: the palette of a solid
_STEEPEST = 0.1  # cosine to which incidence is corrected; grazing returns would blow up

SOLID_CHANNELS, GROUND_CHANNELS, LOOSE_CHANNELS = 28, 6, 9


@dataclass(frozen=True)
class Described:
    """One sweep's points in three kinds, each with descriptors of its own.

    A point is part of a solid (``solid_of`` >= 0), or of the ground, or loose: a facade or canopy above all solids.
    """

    solid_of: Tensor  # (N,) int64 row of ``solids``; -1 = none
    sizes: Tensor  # (S,) int64 points of each solid
    solids: Tensor  # (S, SOLID_CHANNELS) extents, profile, reflectance and roughness of each solid
    ground: Tensor  # (N,) bool
    surroundings: Tensor  # (N, GROUND_CHANNELS) height above, and brightness of, a point's surroundings
    texture: Tensor  # (N, LOOSE_CHANNELS) shape and brightness of a point's surroundings


@torch.no_grad()
def describe(points: Tensor) -> Described:
    """Describe the points of one sweep.

    Args:
        points: (N, 4 or more) x, y, z in metres in the LiDAR frame, intensity 0..1.
    """
    points = points.float()
    xyz, intensity = points[:, :3], points[:, 3]
    height = xyz[:, 2] - lowest_around(xyz, 9)
    wide_height = xyz[:, 2] - lowest_around(xyz, 31)
    fine, _ = voxel_shape(xyz, VOXELS[0])
    coarse, normal = voxel_shape(xyz, VOXELS[1])
    normal = torch.where((height < LOW)[:, None], xyz.new_tensor([0.0, 0.0, 1.0]), normal)
    cosine = (normal * xyz).sum(1).abs() / xyz.norm(dim=1).clamp_min(0.1)
    reflectance = (intensity / (_STEEPEST + (1 - _STEEPEST) * cosine)).clamp_max(1.5)
    shade = torch.cat([_mean_and_spread(_voxel(xyz, size), reflectance) for size in VOXELS], dim=1)
    solid_of = find_solids(xyz, height)
    surface = torch.cat([fine[:, :4], coarse[:, 2:5:2]], dim=1)
    solids, sizes = solid_shape(xyz, height, reflectance, surface, solid_of)
    heights = torch.stack([height.clamp(0, 2), wide_height.clamp(0, 3)], dim=1)
    tallness = (height + 0.1).clamp_min(0.02).log()[:, None]
    return Described(
        solid_of=solid_of,
        sizes=sizes,
        solids=solids,
        ground=(solid_of < 0) & (height < LOW),
        surroundings=torch.cat([heights, shade], dim=1),
        texture=torch.cat([tallness, fine[:, 1:4], coarse[:, 1:4], shade[:, 2:]], dim=1),
    )


def lowest_around(xyz: Tensor, window: int, size: float = 1.0) -> Tensor:
    """Return the lowest z (N,) in the square of ``window`` x ``window`` cells of ``size`` metres round each point."""
    cell, side = _cell(xyz, size)
    lowest = xyz.new_full((side * side,), torch.inf).scatter_reduce(0, cell, xyz[:, 2], "amin")
    around: Tensor = -_highest_around(-lowest.view(1, 1, side, side), window).flatten()[cell]
    return around


def voxel_shape(xyz: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Return the shape (N, 5) of the points in each point's voxel, and the normal (N, 3) of the plane through them.

    The shape is: linearity, planarity, scatter (of the deviations along the three principal axes), how much the plane
    lies flat (0..1), and the logarithm of the vertical deviation.
    """
    voxel = _voxel(xyz, size)
    count = int(voxel.max()) + 1 if len(voxel) else 0
    centre = _mean(voxel, count, xyz)
    offset = xyz - centre[voxel]
    products = (offset[:, :, None] * offset[:, None, :]).flatten(1)
    covariance = _mean(voxel, count, products).view(-1, 3, 3)
    values, vectors = torch.linalg.eigh(covariance + 1e-6 * torch.eye(3).to(xyz))
    thin, middle, long = values.clamp_min(1e-8).sqrt().unbind(-1)  # metres, ascending
    # two points span no plane: such a voxel is taken to face the sensor
    few = torch.bincount(voxel, minlength=count)[:, None] < 3
    normal = torch.where(few, F.normalize(centre, dim=1), vectors[:, :, 0])
    vertical = (covariance[:, 2, 2].clamp_min(0).sqrt() + 0.02).log()
    shape = torch.stack(
        [(long - middle) / long, (middle - thin) / long, thin / long, normal[:, 2].abs(), vertical], dim=1
    )
    return shape[voxel], normal[voxel]


def find_solids(xyz: Tensor, height: Tensor) -> Tensor:
    """Return the number (N,) of the solid that each point is part of; -1 = none.

    A solid is a group of touching cells (8 neighbours) of the ground plane that hold points between ``LOW`` and
    ``HIGH`` above the ground; every point above such cells belongs to it, unless it lies on the ground.
    """
    cell, side = _cell(xyz, SOLID_CELL)
    taken = torch.unique(cell[(height > LOW) & (height < HIGH)])
    row = xyz.new_full((side * side,), -1, dtype=torch.int64)
    row[taken] = torch.arange(len(taken), device=xyz.device)
    # each pair of touching cells once: the cells right, below left, below and below right
    across, down = taken % side, taken // side
    edges = []
    for right, below in ((1, 0), (-1, 1), (0, 1), (1, 1)):
        inside = (across + right >= 0) & (across + right < side) & (down + below < side)
        other = row[(taken + below * side + right)[inside]]
        edges.append(torch.stack([torch.nonzero(inside)[:, 0], other])[:, other >= 0])
    group = _connected(len(taken), torch.cat(edges, dim=1))
    mine = torch.full_like(cell, -1)
    part = (height > LOW / 2) & (row[cell] >= 0)
    mine[part] = torch.unique(group[row[cell[part]]], return_inverse=True)[1]
    return mine


def _connected(count: int, edges: Tensor) -> Tensor:
    """Label (count,) nodes by the largest node that edges (2, E) connect them to."""
    label = torch.arange(count, device=edges.device)
    while True:
        larger = label[edges].amax(0)
        # an edge lifts its ends and what they are labelled with, so that whole groups move at once
        lifted = label.scatter_reduce(0, torch.cat([*edges, *label[edges]]), larger.repeat(4), "amax")
        lifted = lifted[lifted]
        if torch.equal(lifted, label):
            return label
        label = lifted


def solid_shape(
    xyz: Tensor, height: Tensor, reflectance: Tensor, surface: Tensor, solid_of: Tensor
) -> tuple[Tensor, Tensor]:
    """Return descriptors (S, SOLID_CHANNELS) of the solids and how many points (S,) each has.

    They are: logarithms of length, width, top, bottom (metres), of the points per area seen and of the area seen
    (both freed of range); mean, deviation and maximum of reflectance; mean and deviation of height; the shares of
    points by height and by reflectance; the mean surface (P, 6) of its points.
    """
    part = solid_of >= 0
    of, xyz, height, reflectance = solid_of[part], xyz[part], height[part], reflectance[part]
    count = int(of.max()) + 1 if len(of) else 0
    sizes = torch.bincount(of, minlength=count)
    centre = _mean(of, count, xyz)
    along, across = _principal(of, count, (xyz - centre[of])[:, :2]).unbind(-1)
    length, width = _span(of, count, along), _span(of, count, across)
    top, bottom = _highest(of, count, height), -_highest(of, count, -height)
    seen = sizes * centre.square().sum(1)  # points thin out with the square of the range
    area = length.clamp_min(0.2) * (top - bottom).clamp_min(0.2)
    metres = torch.stack([length, width, top, bottom.clamp_min(0)], dim=1)
    profile = _shares(torch.bucketize(height, height.new_tensor(_BANDS)), len(_BANDS) + 1)
    palette = _shares(torch.bucketize(reflectance, height.new_tensor(_SHADES)), len(_SHADES) + 1)
    parts = [
        (metres + 0.1).log(),
        torch.stack([seen / area, seen], dim=1).clamp_min(1).log(),
        _moments(of, count, reflectance),
        _highest(of, count, reflectance)[:, None],
        _moments(of, count, height),
        _mean(of, count, torch.cat([profile, palette, surface[part]], dim=1)),
    ]
    return torch.cat(parts, dim=1), sizes


def _cell(xyz: Tensor, size: float) -> tuple[Tensor, int]:
    """Return the cell (N,) of the ground plane that each point stands on, and how many cells a side has."""
    side = math.ceil(2 * REACH / size)
    place = ((xyz[:, :2] + REACH) / size).floor().long().clamp(0, side - 1)
    return place[:, 0] * side + place[:, 1], side


def _voxel(xyz: Tensor, size: float) -> Tensor:
    """Return the number (N,) of the voxel that each point lies in; only voxels with points are numbered."""
    place = (xyz / size).floor().long().clamp(-(2**19), 2**19 - 1) + 2**19
    key = (place[:, 0] << 40) | (place[:, 1] << 20) | place[:, 2]
    number: Tensor = torch.unique(key, return_inverse=True)[1]
    return number


def _highest_around(grid: Tensor, window: int) -> Tensor:
    # a square's maximum is the maximum of its rows' maxima: two thin windows cost far less than a square one
    rows = F.max_pool2d(grid, (1, window), stride=1, padding=(0, window // 2))
    return F.max_pool2d(rows, (window, 1), stride=1, padding=(window // 2, 0))


def _mean(group: Tensor, count: int, rows: Tensor) -> Tensor:
    total = rows.new_zeros(count, rows.shape[1]).index_add_(0, group, rows)
    mean: Tensor = total / torch.bincount(group, minlength=count).clamp_min(1)[:, None]
    return mean


def _moments(group: Tensor, count: int, values: Tensor) -> Tensor:
    mean = _mean(group, count, values[:, None])
    variance = _mean(group, count, (values[:, None] - mean[group]).square())
    return torch.cat([mean, variance.sqrt()], dim=1)


def _mean_and_spread(group: Tensor, values: Tensor) -> Tensor:
    return _moments(group, int(group.max()) + 1 if len(group) else 0, values)[group]


def _highest(group: Tensor, count: int, values: Tensor) -> Tensor:
    return values.new_full((count,), -torch.inf).scatter_reduce(0, group, values, "amax")


def _span(group: Tensor, count: int, values: Tensor) -> Tensor:
    return _highest(group, count, values) + _highest(group, count, -values)


def _principal(group: Tensor, count: int, offset: Tensor) -> Tensor:
    """Turn offsets (P, 2) from their group's centre so that the group's longer axis comes first."""
    x, y = offset.unbind(-1)
    xx, yy, xy = _mean(group, count, torch.stack([x * x, y * y, x * y], dim=1)).unbind(-1)
    yaw = (0.5 * torch.atan2(2 * xy, xx - yy))[group]
    return torch.stack([yaw.cos() * x + yaw.sin() * y, yaw.cos() * y - yaw.sin() * x], dim=1)


def _shares(index: Tensor, count: int) -> Tensor:
    return F.one_hot(index, count).float()
