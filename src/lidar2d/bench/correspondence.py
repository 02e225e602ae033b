"""3D awareness: does a feature find the same place in another image? Frozen features and nearest neighbours alone.

After Probe3D (El Banani et al., arXiv 2404.08636), with LiDAR as the judge: a point that two cameras see, of one frame
or of neighbouring key frames, is sought in the second image by the feature that it has in the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from lidar2d.bench.protocol import ALL, Protocol, Session, Splits, Verdict, by_condition
from lidar2d.data.card import Card
from lidar2d.data.source import Moving, Source
from lidar2d.data.stream import frame_seed
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame, Pairs, collate
from lidar2d.geometry import ZBuffer, invert_pose, pairs, points_in_boxes, transform
from lidar2d.metrics.angles import angle
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.tasks.kept import device_of

PIXELS = (5, 10, 20)  # of the image, at most between the place that is found and the true one
ANGLES = (0, 5, 15, 45, 180)  # degrees at the point between the rays to the two cameras


class Correspondence(Protocol):
    """Recall of the same LiDAR point across overlapping cameras and, where poses are known, neighbouring key frames.

    Points within boxes may move, and are left out; so are those that something nearer hides.

    Args:
        stride: pixels between the places of the second image that are compared.
        points: of each pair of images, drawn at random; all where there are fewer.
        frames: of each condition, evenly spaced; all where there are fewer.
    """

    def __init__(self, stride: int = 4, points: int = 500, frames: int = 200) -> None:
        within(1, 64, stride=stride)
        within(1, points=points, frames=frames)
        self.stride, self.points, self.frames = stride, points, frames

    def reads(self, card: Card) -> Literal["points", "images"]:  # noqa: ARG002 as of every data set
        """Return that images are read."""
        return "images"

    @torch.no_grad()
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Find points again under each condition of the test frames.

        Raises:
            UsageError: if no point is seen twice.
        """
        assert isinstance(encoder, ImageEncoder)
        encoder.eval()
        groups = {name: rows for name, rows in by_condition(splits.test).items() if name != ALL}
        chosen = {name: _spaced(rows, self.frames) for name, rows in groups.items()}
        advance = session.progress("frames", sum(map(len, chosen.values())))
        errors: dict[str, list[Tensor]] = {name: [] for name in groups}  # rows of pixels apart, angle
        for name, rows in chosen.items():
            for row in rows:
                errors[name] += self._frame(encoder, splits.test, row)
                advance()
        counts = {name: len(rows) for name, rows in chosen.items()}
        if len(groups) > 1:
            errors[ALL] = [part for name in groups for part in errors[name]]
            counts[ALL] = sum(counts.values())
        if not any(errors.values()):
            raise UsageError(f"{splits.test.card.name}: no LiDAR point is seen by two cameras")
        return [Verdict(name, recall(torch.cat(errors[name])), counts[name], "none") for name in errors if errors[name]]

    def _frame(self, encoder: ImageEncoder, source: Source, row: int) -> Iterator[Tensor]:
        """Yield how far off (P, 2) in pixels, and at which angle, each pair of views finds its points."""
        frame = source[row]
        rng = np.random.default_rng(frame_seed(0, 0, frame.token))
        maps = self._maps(encoder, frame)
        found = _visible(frame, _static(frame))
        for first in range(len(frame.images)):
            for second in range(len(frame.images)):
                if first != second:
                    yield from self._pair(frame, maps, found, frame, maps, found, first, second, rng)
        if not isinstance(source, Moving) or (after := source.following(row)) is None:
            return
        # the same points, where the next frame's LiDAR would have them; what hides them is its own scan
        other = source[after[0]]
        others = self._maps(encoder, other)
        moved = transform(after[1], frame.points[:, :3].double())
        beyond = _visible(other, torch.ones(len(other.points), dtype=torch.bool), moved[_static(frame)], _static(frame))
        for first in range(len(frame.images)):
            for second in range(len(other.images)):
                yield from self._pair(frame, maps, found, other, others, beyond, first, second, rng, after[1])

    def _maps(self, encoder: ImageEncoder, frame: Frame) -> Tensor:
        """Return features (V, C, h, w) of unit length, a cell every ``stride`` pixels."""
        height, width = frame.images.shape[-2:]
        maps = encoder(frame.images.to(device_of(encoder))).float()
        size = (max(1, height // self.stride), max(1, width // self.stride))
        return normalize(interpolate(maps, size, mode="bilinear", align_corners=False), dim=1)

    def _pair(
        self,
        frame: Frame,
        maps: Tensor,
        found: Pairs,
        other: Frame,
        others: Tensor,
        beyond: Pairs,
        first: int,
        second: int,
        rng: np.random.Generator,
        motion: Tensor | None = None,
    ) -> Iterator[Tensor]:
        here, there = found[found.view == first], beyond[beyond.view == second]
        common, left, right = np.intersect1d(here.point.numpy(), there.point.numpy(), return_indices=True)
        if not len(common):
            return
        drawn = rng.permutation(len(common))[: self.points]
        here, there = here[torch.from_numpy(left[drawn])], there[torch.from_numpy(right[drawn])]
        place = match(maps, here, others[second], collate([frame]).image_size)
        apart = (place.cpu() - there.pixel).norm(dim=1)
        xyz = frame.points[here.point, :3].double()
        rays = [xyz - invert_pose(frame.cam_from_lidar[first])[:3, 3]]
        behind = invert_pose(other.cam_from_lidar[second])[:3, 3]
        rays.append(xyz - (behind if motion is None else transform(invert_pose(motion), behind[None])[0]))
        yield torch.stack([apart, angle(rays[0], rays[1])], 1)


def match(maps: Tensor, at: Pairs, other: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels (P, 2) of another image whose cells' features are most like those at pixels of some images.

    Args:
        maps: (V, C, h, w) features of unit length.
        at: P pixels of those images.
        other: (C, h, w) features of unit length.
        size: (height, width) of the images, pixels.
    """
    queries = read(maps, Pairs(at.point, at.view, at.pixel.float(), at.depth), size)
    nearest = (queries @ other.flatten(1)).argmax(1)
    height, width = other.shape[-2:]
    row, column = nearest // width, nearest % width
    return torch.stack([(column + 0.5) * size[1] / width, (row + 0.5) * size[0] / height], 1).double()


def recall(errors: Tensor) -> dict[str, float]:
    """Return the percentage of errors (P, 2), pixels and angle, within each number of pixels: of all, and by angle."""
    found = {f"recall/{pixels}px": 100 * float((errors[:, 0] <= pixels).double().mean()) for pixels in PIXELS}
    for low, high in pairwise(ANGLES):
        inside = (errors[:, 1] >= low) & (errors[:, 1] < high)
        if inside.any():
            within_ = errors[inside, 0]
            for pixels in PIXELS:
                found[f"recall/{pixels}px/{low}-{high}deg"] = 100 * float((within_ <= pixels).double().mean())
    return found


def _spaced(rows: list[int], most: int) -> list[int]:
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]


def _static(frame: Frame) -> Tensor:
    """Return which points (N,) lie in no box."""
    if frame.boxes is None or not len(frame.boxes):
        return torch.ones(len(frame.points), dtype=torch.bool)
    return ~points_in_boxes(frame.points[:, :3].double(), frame.boxes.geometry.double()).any(0)


def _visible(frame: Frame, kept: Tensor, more: Tensor | None = None, rows: Tensor | None = None) -> Pairs:
    """Return the pairs of a frame's points that are kept and that nothing hides.

    Args:
        frame: of the cameras, whose own points hide others.
        kept: which of its own points (N,) are meant.
        more: other points (M, 3) in its LiDAR's axes, that are meant instead.
        rows: which rows of another frame's points those are, as a mask; pairs name them so.
    """
    own = frame.points[:, :3].double()
    xyz = own if more is None else torch.cat([own, more])
    batch = collate([_with_points(frame, xyz)])
    found = pairs(batch, zbuffer=ZBuffer())
    if more is None:
        return found[kept[found.point]]
    assert rows is not None
    found = found[found.point >= len(own)]
    return Pairs(torch.nonzero(rows)[:, 0][found.point - len(own)], found.view, found.pixel, found.depth)


def _with_points(frame: Frame, xyz: Tensor) -> Frame:
    points = torch.cat([xyz, torch.zeros(len(xyz), 1, dtype=xyz.dtype)], 1)
    return Frame(points, frame.images, frame.intrinsics, frame.cam_from_lidar, token=frame.token)
