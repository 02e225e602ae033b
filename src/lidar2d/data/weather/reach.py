"""How far away every pixel of a camera is: true depth where the frame has it, else what LiDAR says, made dense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.data.weather.light import enlarged
from lidar2d.errors import DataError
from lidar2d.frame import Frame, collate
from lidar2d.geometry import depth_map, pairs

SKY = 2000.0  # metres: farther than any weather lets one see
_DENSE = 0.5  # share of the pixels whose depth is known, from which on depth is called dense
_FINE = 225  # rows of cells, where an image has as many
_CELL = 8  # pixels: side of the cells that LiDAR is made dense in
_FAR = 120.0  # metres that LiDAR does not reach
_BRIGHT, _LEAST, _COOL = 0.65, 0.3, 0.95  # of the sky: share of its brightest, least brightness, and blue over red
_SMOOTH = 0.05  # standard deviation of green in a cell of the sky, at most
_NEAR = 5  # cells of a row: columns miss each other's beams
_GAP = 2.0  # times the angle between two beams: without a return within, nothing is there


def reaches(frame: Frame) -> Tensor:
    """Return metres along the ray (V, h, w) to what each cell of the images sees, SKY where that is nothing.

    A cell is as many pixels wide as leave 225 rows of them.

    Depth that the frame has for most pixels is taken as it is; unknown is the sky above the horizon. Elsewhere the
    frame's points are seen in cells of 8 pixels, and surfaces between them are flat. What LiDAR has looked at in vain
    is farther than it reaches; above its highest beam what stands below goes on. Sky is what has no returns and looks
    like it.

    Raises:
        DataError: if there are neither points nor depth.
    """
    height, width = frame.images.shape[-2:]
    coarse = max(1, height // _FINE)
    cells = -(-height // coarse), -(-width // coarse)
    if frame.depth is not None and float((frame.depth > 0).float().mean()) >= _DENSE:
        depth = F.interpolate(frame.depth[:, None], cells, mode="nearest")[:, 0]
        seen = _scaled(frame, cells)
        rays, known = _rays(seen), depth > 0
        logs = _filled(torch.where(known, depth.clamp_min(1e-3), 1.0).log(), known)
        sky = ~known & (_up(seen, rays) > 0)
        return torch.where(sky, SKY, logs.exp() * _stretch(rays)).float()
    if not len(frame.points):
        raise DataError(
            f"nothing tells how far frame {frame.token} sees: it has no LiDAR points, and no depth for most pixels\n"
            "bad weather needs either; corruptions of imagenet-c-compat do not: --data.weather.table imagenet-c-compat"
        )
    rows, columns = -(-height // _CELL), -(-width // _CELL)
    small = _scaled(frame, (rows, columns))
    depth = depth_map(pairs(collate([small])), len(frame.images), rows, columns).float()
    rays = _rays(small)
    known = depth > 0
    dense = _flat_between(depth)
    logs = _filled(torch.where(dense > 0, dense.clamp_min(1e-3), 1.0).log(), dense > 0) + _stretch(rays).log()
    logs = torch.where(known.flatten(1).any(1)[:, None, None], logs, np.log(_FAR))  # no return in the whole picture
    colours = F.interpolate(frame.images, (rows, columns), mode="area")
    green = frame.images[:, 1:2]
    rough = F.interpolate(green.square(), (rows, columns), mode="area")[:, 0] - colours[:, 1].square()
    logs = torch.where(_unseen(small, known, rays), logs.clamp_min(np.log(_FAR)), logs)
    logs = torch.where(_like_sky(colours, rough, known, _up(small, rays) > 0), np.log(SKY), logs)
    return enlarged(logs.float(), cells).exp()


def _scaled(frame: Frame, cells: tuple[int, int]) -> Frame:
    """Return a frame whose images have no colour, in cells (h, w) in place of pixels."""
    height, width = frame.images.shape[-2:]
    matrix = torch.diag(torch.tensor([cells[1] / width, cells[0] / height, 1.0], dtype=frame.intrinsics.dtype))
    images = frame.images.new_zeros(1).expand(len(frame.images), 3, *cells)
    nothing = {"labels": None, "boxes": None, "pixel_labels": None, "depth": None, "regions": None, "weak_labels": None}
    return replace(frame, images=images, intrinsics=matrix @ frame.intrinsics, **nothing)  # type: ignore[arg-type]


def _stretch(rays: Tensor) -> Tensor:
    """Return how much longer (V, H, W) rays are than their way along the optical axis."""
    length: Tensor = rays.square().sum(1).sqrt()
    return length


def _rays(frame: Frame) -> Tensor:
    """Return directions (V, 3, H, W) in the camera's axes, 1 along the optical axis."""
    height, width = frame.images.shape[-2:]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)]).flatten(1).to(frame.intrinsics.dtype)
    rays: Tensor = (torch.linalg.inv(frame.intrinsics) @ pixels).unflatten(2, (height, width))
    return rays


def _up(frame: Frame, rays: Tensor) -> Tensor:
    """Return the sine of the elevation (V, H, W) of rays."""
    up = frame.cam_from_lidar[:, :3, 2]  # the LiDAR's z in the camera's axes
    return torch.einsum("vchw,vc->vhw", rays, up) / _stretch(rays)


def _unseen(frame: Frame, known: Tensor, rays: Tensor) -> Tensor:
    """Return which cells (V, H, W) LiDAR has looked at in vain: above the returns of their columns, below its top."""
    if not len(frame.points):
        return torch.zeros_like(known)
    xyz = frame.points[:, :3].double()
    elevation = torch.asin((xyz[:, 2] / xyz.norm(dim=1).clamp_min(1e-3)).clamp(-1, 1))
    highest = float(torch.quantile(elevation[:: max(1, len(elevation) // 100_000)], 0.999))
    between = float(elevation.max() - elevation.min()) / 32
    near = F.max_pool2d(known[:, None].float(), (1, _NEAR), 1, (0, _NEAR // 2))[:, 0] > 0
    rows = known.shape[1]
    numbers = torch.arange(rows).view(1, -1, 1)
    top = torch.where(near, numbers, rows).amin(1, keepdim=True)  # of the returns in each column
    angle = torch.asin(_up(frame, rays).clamp(-1, 1))
    reached = torch.gather(angle, 1, top.clamp_max(rows - 1)) > highest - _GAP * between  # by what stands there
    return (numbers < top) & (angle > 0) & ~reached.expand_as(angle)


def _like_sky(colours: Tensor, rough: Tensor, known: Tensor, above: Tensor) -> Tensor:
    """Return which cells (V, H, W) look like the sky: no returns above the horizon, bright, smooth, blue or grey.

    How bright a sky is, the brightest such cells of the image say. What most cells around are not is none.

    Args:
        colours: (V, 3, H, W) means of cells.
        rough: (V, H, W) their variance.
        known: (V, H, W) with returns.
        above: (V, H, W) the horizon.
    """
    red, _, blue = colours.unbind(1)
    light = colours.mean(1)
    open_ = above & (F.max_pool2d(known[:, None].float(), 3, 1, 1)[:, 0] == 0)
    found = torch.zeros_like(known)
    for view in range(len(colours)):
        candidates = light[view][open_[view]]
        if len(candidates):
            bright = max(_BRIGHT * float(candidates.quantile(0.95)), _LEAST)
            found[view] = open_[view] & (light[view] > bright) & (blue[view] > _COOL * red[view])
    found &= rough < _SMOOTH**2
    return found & (F.avg_pool2d(found[:, None].float(), 3, 1, 1, count_include_pad=False)[:, 0] > 0.5)


def _flat_between(depth: Tensor) -> Tensor:
    """Fill depth (V, H, W), 0 where it is not known: between two near places of a row, then two of a column, by planes.

    Of a plane the inverse of depth is linear in the image. What lies above or below all of a column goes on there.
    """
    inverse = torch.where(depth > 0, 1 / depth.clamp_min(1e-3), 0.0)
    before, after, share, gap = _neighbours(inverse.mT)
    near = (before > 0) & (after > 0) & (gap <= _NEAR)
    inverse = torch.where(near, torch.lerp(before, after, share), inverse.mT).mT
    above, below, share, _ = _neighbours(inverse)
    found = torch.where(above == 0, below, torch.where(below == 0, above, torch.lerp(above, below, share)))
    return torch.where(found > 0, 1 / found, 0.0)


def _neighbours(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of each place in the columns of maps (V, H, W) what is known before and after it, 0 where nothing is.

    A known place is its own neighbour. Then how far it is from one to the other, as a share, and their distance.
    """
    rows = values.shape[1]
    numbers, known = torch.arange(rows).view(1, -1, 1), values > 0
    before = torch.where(known, numbers, -1).cummax(1).values
    after = torch.where(known, numbers, rows).flip(1).cummin(1).values.flip(1)
    first, last = (values.gather(1, each.clamp(0, rows - 1)) for each in (before, after))
    gap = after - before
    found = torch.where(before < 0, 0.0, first), torch.where(after == rows, 0.0, last)
    return *found, (numbers - before) / gap.clamp_min(1), gap


def _filled(values: Tensor, known: Tensor) -> Tensor:
    """Fill maps (V, H, W) where they are not known: means of ever larger squares around, as small as will do."""
    weight = known.to(values.dtype)
    levels = [((values * weight)[:, None], weight[:, None])]
    while max(levels[-1][0].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(part, 2, ceil_mode=True) for part in levels[-1]))  # type: ignore[arg-type]
    total, count = levels[-1]
    found = torch.where(count > 0, total / count.clamp_min(1e-12), 0.0)
    for total, count in reversed(levels[:-1]):
        coarse = F.interpolate(found, total.shape[-2:], mode="bilinear", align_corners=False)
        found = torch.where(count > 0, total / count.clamp_min(1e-12), coarse)
    return found[:, 0]
