"""3D awareness: does a feature find the same place in another image? Frozen features and nearest neighbours alone.

After Probe3D (El Banani et al., arXiv 2404.08636), with LiDAR as the judge: a point that two cameras see, of one frame
or of neighbouring key frames, is sought in the second image by the feature that it has in the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from lidar2d.bench.protocol import ALL, Protocol, Reads, Session, Splits, Verdict, by_condition
from lidar2d.data.card import Card
from lidar2d.data.source import Moving, Source
from lidar2d.data.stream import frame_seed
from lidar2d.data.twins import scene_names
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame, Pairs, collate
from lidar2d.geometry import ZBuffer, invert_pose, pairs, points_in_boxes, transform
from lidar2d.metrics.angles import angle
from lidar2d.metrics.resampled import shares
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.tasks.kept import device_of

PIXELS = (5, 10, 20)  # of the image, at most between the place that is found and the true one
_SCORED = 10  # of them, where one number has to do
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

    def reads(self, card: Card) -> Reads:  # noqa: ARG002 as of every data set
        """Return that images are read."""
        return "images"

    @torch.no_grad()
    def judge(self, encoder: PointEncoder | ImageEncoder, splits: Splits, session: Session) -> list[Verdict]:
        """Find points again under each condition of the test frames.

        Raises:
            UsageError: if no point is seen twice.
        """
        assert isinstance(encoder, ImageEncoder)
        encoder = session.remembering(encoder.eval())
        groups = {name: rows for name, rows in by_condition(splits.test).items() if name != ALL}
        chosen = {name: _spaced(rows, self.frames) for name, rows in groups.items()}
        advance = session.progress("frames", sum(map(len, chosen.values())))
        errors = {name: list(self._errors(encoder, splits.test, rows, advance)) for name, rows in chosen.items()}
        if len(groups) > 1:
            errors[ALL] = [part for name in groups for part in errors[name]]
            chosen[ALL] = [row for name in groups for row in chosen[name]]
        found = {name: own for name, own in errors.items() if any(map(len, own))}
        if not found:
            raise UsageError(f"{splits.test.card.name}: no LiDAR point is seen by two cameras")
        scenes = scene_names(splits.test)
        return [
            Verdict(
                *(name, recall(torch.cat(own)), len(own), "none"),
                shares(
                    [scenes[row] for row in chosen[name]],
                    [float((part[:, 0] <= _SCORED).sum()) for part in own],
                    [float(len(part)) for part in own],
                ),
            )
            for name, own in found.items()
        ]

    def _errors(
        self, encoder: ImageEncoder, source: Source, rows: Sequence[int], advance: Callable[[], None]
    ) -> Iterator[Tensor]:
        """Yield how far off (P, 2) in pixels, and at which angle, the points of each frame are found.

        Points are sought in the other images of their frame, and in all of the next one, which is encoded once.
        """
        ahead: Shot | None = None
        for row in rows:
            shot = ahead if ahead is not None and ahead.row == row else self._shot(encoder, source, row)
            others = [(shot, torch.eye(4, dtype=torch.float64))]
            ahead = None
            if isinstance(source, Moving) and (after := source.following(row)) is not None:
                ahead = self._shot(encoder, source, after[0])
                others.append((ahead, after[1]))
            yield torch.cat([torch.zeros(0, 2, dtype=torch.float64), *self._seek(shot, others)])
            advance()

    def _shot(self, encoder: ImageEncoder, source: Source, row: int) -> Shot:
        frame = source[row]
        height, width = frame.images.shape[-2:]
        maps = encoder(frame.images.to(device_of(encoder))).float()
        size = (max(1, height // self.stride), max(1, width // self.stride))
        return Shot(row, frame, normalize(interpolate(maps, size, mode="bilinear", align_corners=False), dim=1))

    def _seek(self, shot: Shot, others: Sequence[tuple[Shot, Tensor]]) -> Iterator[Tensor]:
        """Seek the points of a frame in others, to whose axes motions (4, 4) lead."""
        rng = np.random.default_rng(frame_seed(0, 0, shot.frame.token))
        sought = _static(shot.frame)
        own = _views(shot, sought, torch.eye(4, dtype=torch.float64))
        for other, motion in others:
            views = own if other is shot else _views(other, sought, motion)
            for first in range(len(own.centres)):
                for second in range(len(views.centres)):
                    if views is not own or first != second:
                        yield from self._pair(own, first, views, second, rng)

    def _pair(self, here: Views, first: int, there: Views, second: int, rng: np.random.Generator) -> Iterator[Tensor]:
        """Yield the errors of points that one view sees and that are sought in another one, unless there are none."""
        start, goal = here.found[here.found.view == first], there.found[there.found.view == second]
        common, left, right = np.intersect1d(start.point.numpy(), goal.point.numpy(), return_indices=True)
        if not len(common):
            return
        drawn = rng.permutation(len(common))[: self.points]
        start, goal = start[torch.from_numpy(left[drawn])], goal[torch.from_numpy(right[drawn])]
        place = match(here.maps, start, there.maps[second], here.size)
        xyz = here.sought[start.point]
        yield torch.stack(
            [
                (place.cpu() - goal.pixel).norm(dim=1),
                angle(xyz - here.centres[first], xyz - there.centres[second]),
            ],
            1,
        )


@dataclass(frozen=True)
class Shot:
    """A frame, and what an encoder makes of its images."""

    row: int  # of the source
    frame: Frame
    maps: Tensor  # (V, C, h, w) features of unit length


@dataclass(frozen=True)
class Views:
    """The cameras of a frame, and where they see points that are sought; these may be another frame's."""

    maps: Tensor  # (V, C, h, w) features of unit length
    size: tuple[int, int]  # height and width of the images, pixels
    sought: Tensor  # (M, 3) metres, in the axes of the LiDAR that measured them
    found: Pairs  # of those points and pixels of the V images
    centres: Tensor  # (V, 3) metres: where the cameras stand in those axes


def match(maps: Tensor, at: Pairs, other: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels (P, 2) of another image whose cells' features are most like those at pixels of some images.

    Args:
        maps: (V, C, h, w) features of unit length.
        at: P pixels of those images, on any device.
        other: (C, h, w) features of unit length.
        size: (height, width) of the images, pixels.
    """
    queries = read(maps, at.to(maps.device), size)
    nearest = (queries @ other.flatten(1)).argmax(1)
    height, width = other.shape[-2:]
    row, column = nearest // width, nearest % width
    return torch.stack([(column + 0.5) * size[1] / width, (row + 0.5) * size[0] / height], 1).double()


def recall(errors: Tensor) -> dict[str, float]:
    """Return the percentage of errors (P, 2), pixels and angle, within each number of pixels: of all, and by angle.

    And how many there are.
    """
    found = {"matches": float(len(errors))}
    found |= {f"recall/{pixels}px": 100 * float((errors[:, 0] <= pixels).double().mean()) for pixels in PIXELS}
    for low, high in pairwise(ANGLES):
        inside = (errors[:, 1] >= low) & (errors[:, 1] < high)
        if inside.any():
            within_ = errors[inside, 0]
            found[f"matches/{low}-{high}deg"] = float(len(within_))
            for pixels in PIXELS:
                found[f"recall/{pixels}px/{low}-{high}deg"] = 100 * float((within_ <= pixels).double().mean())
    return found


def _spaced(rows: list[int], most: int) -> list[int]:
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]


def _static(frame: Frame) -> Tensor:
    """Return the points (M, 3) that lie in no box."""
    xyz = frame.points[:, :3].double()
    if frame.boxes is None or not len(frame.boxes):
        return xyz
    return xyz[~points_in_boxes(xyz, frame.boxes.geometry.double()).any(0)]


def _views(shot: Shot, sought: Tensor, motion: Tensor) -> Views:
    """Find points in the images of a frame.

    Args:
        shot: the frame.
        sought: (M, 3) metres, in the axes of the LiDAR that measured them.
        motion: (4, 4) from those axes to the frame's own.
    """
    centres = invert_pose(shot.frame.cam_from_lidar)[:, :3, 3]
    height, width = shot.frame.images.shape[-2:]
    found = _visible(shot.frame, transform(motion, sought))
    return Views(shot.maps, (height, width), sought, found, transform(invert_pose(motion), centres))


def _visible(frame: Frame, xyz: Tensor) -> Pairs:
    """Return the pairs of points (M, 3) that no point of the frame's scan hides from its cameras."""
    own = frame.points[:, :3].double()
    everything = torch.cat([own, xyz])
    points = torch.cat([everything, torch.zeros(len(everything), 1, dtype=torch.float64)], 1)
    batch = collate([Frame(points, frame.images, frame.intrinsics, frame.cam_from_lidar, token=frame.token)])
    found = pairs(batch, zbuffer=ZBuffer())
    found = found[found.point >= len(own)]
    return replace(found, point=found.point - len(own))
