"""Poses, projection, pairs and depth maps: the only place with axis conventions.

* LiDAR frame: x forward, y left, z up, metres. Camera frame: x right, y down, z forward, metres.
* Pixels: u right, v down; **pixel centres at .5**, so pixel (row 0, column 0) covers [0, 1) x [0, 1) and an image is
  W wide, from u = 0 to u = W. Calibrations that put pixel centres at whole numbers (OpenCV, KITTI, nuScenes) gain
  half a pixel in their principal point when they are read.
* Poses are named by the product and read right to left: ``x_cam = cam_from_lidar @ x_lidar``.
* Yaw about z, counter-clockwise, radians. A box's centre is its geometric centre; at yaw 0 length lies along x.
* Crop, resize and flip of an image is a 3x3 matrix A: ``K <- A K``. Rotation, flip, scale and shift of the points is a
  4x4 matrix G: ``T <- T G^-1``. Projecting afterwards gives the pixels that carrying the pairs through every
  transform would have given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lidar2d.errors import within
from lidar2d.frame import Batch, Boxes, Pairs

# of a box, by its corners: those of the bottom, of the top, and the upright ones
_EDGES = ([0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3], [1, 2, 3, 0, 5, 6, 7, 4, 4, 5, 6, 7])
_NEAREST = 0.1  # metres before the camera, from which on boxes are seen
_MARGIN = 1e-3  # metres around boxes, for rounding


@dataclass(frozen=True)
class ZBuffer:
    """When is a point hidden behind another one: nearer depth in its cell, by more than the margin.

    The published code of this family has no such test and pairs hidden points with foreground pixels
    (1 to 5 % of the pairs), so recipes of published methods leave it off.
    """

    cell: float = 4.0  # pixels: side of the square cells in which depths compete
    margin: float = 0.05  # a point is hidden if depth > (1 + margin) * nearest depth + 0.5 m

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(1e-3, cell=self.cell)
        within(0, margin=self.margin)


def transform(matrix: Tensor, xyz: Tensor) -> Tensor:
    """Apply 4x4 matrices to points: (..., 4, 4) and (..., N, 3) give (..., N, 3)."""
    if matrix.ndim == 2 and xyz.ndim == 2:  # one pass instead of two
        return torch.addmm(matrix[:3, 3], xyz, matrix[:3, :3].T)
    return xyz @ matrix[..., :3, :3].mT + matrix[..., None, :3, 3]


def invert_pose(pose: Tensor) -> Tensor:
    """Invert a rigid motion (..., 4, 4) without a linear solve."""
    rotation = pose[..., :3, :3].mT
    inverse = torch.zeros_like(pose)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ pose[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1
    return inverse


def project(xyz: Tensor, intrinsics: Tensor, cam_from_lidar: Tensor) -> tuple[Tensor, Tensor]:
    """Project points (N, 3) in the LiDAR frame into V cameras.

    Returns:
        pixels (V, N, 2), which mean nothing at depth <= 0 and may be infinite there, and depths (V, N) in metres along
        the optical axis.
    """
    rows = (intrinsics @ cam_from_lidar[:, :3]).flatten(0, 1)  # one product for all cameras
    homogeneous = torch.addmm(rows[:, 3:], rows[:, :3], xyz.to(rows.dtype).T).view(len(intrinsics), 3, len(xyz))
    depth = homogeneous[:, 2]  # the last row of K is 0 0 1
    return (homogeneous[:, :2] / homogeneous[:, 2:]).mT, depth


def in_view(pixels: Tensor, depth: Tensor, height: int, width: int, min_depth: float = 1.0) -> Tensor:
    """Return a mask (...) of the pixels (..., 2) that lie on the image, at depths (...) beyond ``min_depth``."""
    u, v = pixels.unbind(-1)
    return (depth > min_depth) & (u >= 0) & (u < width) & (v >= 0) & (v < height)


def unproject(pixels: Tensor, depth: Tensor, intrinsics: Tensor, cam_from_lidar: Tensor) -> Tensor:
    """Lift pixels (..., N, 2) at depths (..., N) back to LiDAR coordinates (..., N, 3)."""
    rays = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1) @ torch.linalg.inv(intrinsics).mT
    return transform(torch.linalg.inv(cam_from_lidar), rays * depth[..., None])


def pairs(batch: Batch, min_depth: float = 1.0, zbuffer: ZBuffer | None = None) -> Pairs:
    """Find every point that is seen in a pixel, sorted by view and then by point.

    Args:
        batch: frames with points and cameras.
        min_depth: metres; nearer points are not paired (the published recipes use 1 m).
        zbuffer: leave out points that are hidden behind nearer ones; None keeps them, as the published code does.
    """
    height, width = batch.image_size
    points, views, pixels, depths = [], [], [], []
    point_starts = torch.searchsorted(batch.point_frame, torch.arange(len(batch) + 1, device=batch.points.device))
    view_starts = torch.searchsorted(batch.view_frame, torch.arange(len(batch) + 1, device=batch.points.device))
    for frame in range(len(batch)):
        p0, p1 = int(point_starts[frame]), int(point_starts[frame + 1])
        v0, v1 = int(view_starts[frame]), int(view_starts[frame + 1])
        pixel, depth = project(batch.points[p0:p1, :3], batch.intrinsics[v0:v1], batch.cam_from_lidar[v0:v1])
        view, point = torch.nonzero(in_view(pixel, depth, height, width, min_depth), as_tuple=True)
        points.append(point + p0)
        views.append(view + v0)
        pixels.append(pixel[view, point])
        depths.append(depth[view, point])
    found = Pairs(torch.cat(points), torch.cat(views), torch.cat(pixels), torch.cat(depths))
    return found if zbuffer is None else found[visible(found, zbuffer, height, width)]


def visible(found: Pairs, zbuffer: ZBuffer, height: int, width: int) -> Tensor:
    """Return a mask (P,) of the pairs whose point is not behind a nearer one in its cell of the image."""
    rows, columns = int(height // zbuffer.cell) + 1, int(width // zbuffer.cell) + 1
    cell = (found.pixel / zbuffer.cell).floor().long()
    index = (found.view * rows + cell[:, 1]) * columns + cell[:, 0]
    size = int(index.max()) + 1 if len(index) else 0
    nearest = found.depth.new_full((size,), torch.inf).scatter_reduce(0, index, found.depth, "amin")
    return found.depth <= nearest[index] * (1 + zbuffer.margin) + 0.5


def depth_map(found: Pairs, views: int, height: int, width: int) -> Tensor:
    """Paint pairs into depth maps (V, H, W): the nearest point wins, 0 where there is none."""
    index = _pixel_index(found, height, width)
    painted = found.depth.new_full((views * height * width,), torch.inf).scatter_reduce(0, index, found.depth, "amin")
    return torch.where(painted.isinf(), 0.0, painted).view(views, height, width)


def label_map(found: Pairs, labels: Tensor, views: int, height: int, width: int) -> Tensor:
    """Paint the labels (N,) of paired points into maps (V, H, W): the nearest point wins, -1 where there is none."""
    index = _pixel_index(found, height, width)
    won = found.depth == depth_map(found, views, height, width).flatten()[index]
    painted = labels.new_full((views * height * width,), -1)
    # of points at the same depth the largest label, so that their order says nothing
    painted = painted.scatter_reduce(0, index[won], labels[found.point[won]], "amax")
    return painted.view(views, height, width)


def measured_depth(batch: Batch) -> Tensor:
    """Return the depth (V, H, W) that LiDAR measures, metres along the optical axis, 0 where it measures none."""
    found = pairs(batch, min_depth=0.1, zbuffer=ZBuffer())
    return depth_map(found, len(batch.images), *batch.image_size).to(batch.images.dtype)


def labels_seen(batch: Batch, labels: Tensor) -> Tensor:
    """Return the labels (N,) of the points that each pixel sees (V, H, W), -1 where it sees none."""
    return label_map(pairs(batch, zbuffer=ZBuffer()), labels, len(batch.images), *batch.image_size)


def _pixel_index(found: Pairs, height: int, width: int) -> Tensor:
    column, row = found.pixel.floor().long().unbind(-1)
    return (found.view * height + row) * width + column


def box_corners(geometry: Tensor) -> Tensor:
    """Return the corners (M, 8, 3) of boxes (M, 7); the first four are the bottom, counter-clockwise from above."""
    signs = geometry.new_tensor(
        [[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [1, -1, -1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]]
    )
    return geometry[:, None, :3] + _rotate_xy(signs * geometry[:, None, 3:6] / 2, geometry[:, 6, None])


def points_in_boxes(xyz: Tensor, geometry: Tensor) -> Tensor:
    """Return a mask (M, N): which point lies inside, or on the surface of, which box."""
    xyz = xyz.to(geometry.dtype)
    # most points are near no box, and are not turned into its axes
    reach = geometry[:, 3:5].norm(dim=1) / 2 + _MARGIN
    low, high = ((geometry[:, :2] + side * reach[:, None]).unsqueeze(-1) for side in (-1, 1))
    x, y = xyz[:, 0], xyz[:, 1]
    inside: Tensor = (x >= low[:, 0]) & (x <= high[:, 0]) & (y >= low[:, 1]) & (y <= high[:, 1])
    box, point = inside.nonzero(as_tuple=True)
    local = _rotate_xy(xyz[point] - geometry[box, :3], -geometry[box, 6])
    inside[box, point] = (local.abs() <= geometry[box, 3:6] / 2).all(-1)
    return inside


def image_rectangles(geometry: Tensor, image_from_lidar: Tensor, size: tuple[float, float]) -> Tensor:
    """Return the rectangles (M, 4) that boxes (M, 7) fill in an image: left, top, right, bottom in pixels.

    They end at the centres of the outermost pixels; boxes behind the camera and beside the image fill none, which is
    said by right <= left or bottom <= top.

    Args:
        geometry: of the boxes.
        image_from_lidar: (3, 4) K T.
        size: height and width of the image.
    """
    places = transform(image_from_lidar, box_corners(geometry).to(image_from_lidar.dtype))
    start, end = places[:, _EDGES[0]], places[:, _EDGES[1]]
    near, far = start[..., 2], end[..., 2]
    cut = (near < _NEAREST) != (far < _NEAREST)
    along = (_NEAREST - near) / torch.where(cut, far - near, 1.0)
    # what is seen of a box is spanned by its corners before the camera, and by its edges where they come before it
    places = torch.cat([places, torch.lerp(start, end, along[..., None])], 1)
    seen = torch.cat([places[:, :8, 2] >= _NEAREST, cut], 1)[..., None]
    pixels = places[..., :2] / places[..., 2:]
    low, high = pixels.new_tensor([0.5, 0.5]), pixels.new_tensor([size[1] - 0.5, size[0] - 0.5])
    first = torch.where(seen, pixels, torch.inf).amin(1).clamp(low, high)
    last = torch.where(seen, pixels, -torch.inf).amax(1).clamp(low, high)
    return torch.cat([first, last], 1)


def _rotate_xy(xyz: Tensor, yaw: Tensor) -> Tensor:
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = xyz.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=-1)


def transform_boxes(matrix: Tensor, boxes: Boxes) -> Boxes:
    """Carry boxes through a 4x4 matrix made of rotations about z, flips, one scale and a shift."""
    geometry = boxes.geometry.to(matrix.dtype)
    scale = matrix[:3, :3].det().abs() ** (1 / 3)
    heading = torch.stack([geometry[:, 6].cos(), geometry[:, 6].sin()], dim=-1) @ matrix[:2, :2].T
    moved = torch.cat(
        [
            transform(matrix, geometry[:, :3]),
            geometry[:, 3:6] * scale,
            torch.atan2(heading[:, 1], heading[:, 0])[:, None],
        ],
        dim=-1,
    )
    velocity = None if boxes.velocity is None else boxes.velocity.to(matrix.dtype) @ matrix[:2, :2].T
    kind = boxes.geometry.dtype
    seen = boxes.seen
    if seen is not None:
        back = torch.linalg.inv(matrix).to(seen.image_from_lidar.dtype)
        seen = replace(seen, image_from_lidar=seen.image_from_lidar @ back)
    velocity = None if velocity is None else velocity.to(kind)
    return replace(boxes, geometry=moved.to(kind), velocity=velocity, seen=seen)
