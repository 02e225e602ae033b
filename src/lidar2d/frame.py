"""The types that flow through everything: Frame (one scan and its cameras), Batch, Boxes and Pairs.

Axis, unit and pose conventions are stated at the top of :mod:`lidar2d.geometry`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.errors import DataError, UsageError

_T = TypeVar("_T")

Annotation = Literal["pixel_labels", "regions", "weak_labels"]  # what a frame may give every pixel beside its colour
_LACKING: dict[Annotation, str] = {
    "pixel_labels": "labels of pixels, as the synthetic town's have",
    "regions": "superpixels; give --data.superpixels.kind slic",
    "weak_labels": "weak labels; give --data.weak_labels or --data.label_folder",
}


def _map_tensors(record: _T, function: Callable[[Tensor], Tensor]) -> _T:
    """Apply a function to every tensor of a dataclass, also inside nested dataclasses."""
    changes: dict[str, object] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = function(value)
        elif isinstance(value, Boxes | Seen):
            changes[field.name] = _map_tensors(value, function)
    return replace(record, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class Seen:
    """How the image of a frame shows its boxes, in the pixels of its file: what KITTI's benchmark judges by."""

    labelled: Tensor  # (M, 3) height in pixels, occlusion 0..3, share that the image's border cuts off
    image_from_lidar: Tensor  # (1, 3, 4) float64 K T; of a batch (B, 3, 4)
    size: Tensor  # (1, 2) height and width of the image; of a batch (B, 2)


@dataclass(frozen=True)
class Survey:
    """A frame as nuScenes' tables have it, in their global frame: what its benchmark judges by; never augmented.

    Boxes are those of the frame, in its order: x y z, width length height in metres, and a quaternion w x y z.
    """

    boxes: NDArray[np.float64]  # (M, 10)
    velocity: NDArray[np.float64]  # (M, 2) m/s along x and y, NaN where unknown
    attributes: tuple[str, ...]  # of each box, such as "vehicle.parked"; "" where there is none
    hits: NDArray[np.int64]  # (M,) points of LiDAR and radar in each box
    racks: NDArray[np.float64]  # (R, 10) of bicycles; those within are not judged
    global_from_lidar: NDArray[np.float64]  # (4, 4)
    ego: NDArray[np.float64]  # (3,) where the car is, metres


@dataclass(frozen=True)
class Boxes:
    """Oriented 3D boxes in the LiDAR frame; the centre is the geometric centre."""

    geometry: Tensor  # (M, 7) x y z, length width height in metres, yaw in radians
    classes: Tensor  # (M,) index into the card's box classes
    velocity: Tensor | None = None  # (M, 2) m/s along x and y, NaN where unknown
    surveys: tuple[Survey, ...] = ()  # one a frame, where the data set has a global one
    hits: Tensor | None = None  # (M,) points in each, where the frame's own do not tell: in clear air
    seen: Seen | None = None  # where the labels say what an image shows of them

    def __len__(self) -> int:
        return len(self.geometry)


@dataclass(frozen=True)
class ImageFile:
    """A file that an image is read from."""

    path: Path
    size: tuple[int, int]  # height and width of the file's own pixels
    intrinsics: Tensor  # (3, 3) float64, of the file's own pixels


@dataclass(frozen=True)
class Frame:
    """One LiDAR sweep and the V cameras that saw it.

    A 2D-only data set has N = 0 and a LiDAR-only one V = 0: the same type, no special case.

    Pixels of files are read last (:func:`lidar2d.data.pixels.read_pixels`): until then ``images`` has a shape and no
    memory (PyTorch's meta device), K says what became of the pixels on the way, and labels, regions and depth may have
    another resolution.
    """

    points: Tensor  # (N, 4) float32: x y z in metres, intensity 0..1; a fifth column is seconds before the key frame
    images: Tensor  # (V, 3, H, W) float32 RGB 0..1
    intrinsics: Tensor  # (V, 3, 3) float64 pixels
    cam_from_lidar: Tensor  # (V, 4, 4) float64
    labels: Tensor | None = None  # (N,) int64 class index, -1 = ignore
    boxes: Boxes | None = None
    pixel_labels: Tensor | None = None  # (V, H, W) int64 class index, -1 = ignore
    depth: Tensor | None = None  # (V, H, W) float32 metres along the optical axis, 0 = unknown
    regions: Tensor | None = None  # (V, H, W) int64 superpixel index, -1 = none
    weak_labels: Tensor | None = None  # (V, H, W) int64 pseudo-class, -1 = none
    files: tuple[ImageFile, ...] = ()  # V of them, where images are files
    condition: str = ""  # "day", "night", "rain", ... as the card defines them
    token: str = ""  # unique in the data set; seeds every random choice about this frame


@dataclass(frozen=True)
class Batch:
    """Frames laid end to end, without padding; row indices say which frame a point or a view belongs to."""

    points: Tensor  # (ΣN, 4 or 5)
    point_frame: Tensor  # (ΣN,) int64 frame of each point, ascending
    images: Tensor  # (ΣV, 3, H, W)
    view_frame: Tensor  # (ΣV,) int64 frame of each view, ascending
    intrinsics: Tensor  # (ΣV, 3, 3)
    cam_from_lidar: Tensor  # (ΣV, 4, 4)
    seeds: Tensor  # (B,) int64: what is random about a frame in this epoch comes from its seed alone
    labels: Tensor | None = None  # (ΣN,)
    boxes: Boxes | None = None  # ΣM boxes
    box_frame: Tensor | None = None  # (ΣM,)
    pixel_labels: Tensor | None = None  # (ΣV, H, W)
    depth: Tensor | None = None  # (ΣV, H, W)
    regions: Tensor | None = None  # (ΣV, H, W)
    weak_labels: Tensor | None = None  # (ΣV, H, W)
    clear: Tensor | None = None  # (B,) bool: the card trusts the image teacher in the frame's condition
    conditions: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    skipped: int = 0  # frames left out because a file of theirs is bad

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.tokens)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        return self.images.shape[-2], self.images.shape[-1]

    def need(self, name: Annotation) -> Tensor:
        """Return what every pixel is given (ΣV, H, W).

        Raises:
            UsageError: if the frames have none.
        """
        found: Tensor | None = getattr(self, name)
        if found is None:
            raise UsageError(f"the frames have no {_LACKING[name]}")
        return found

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on another device."""
        return _map_tensors(self, lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, from which copies to a GPU overlap with work."""
        return _map_tensors(self, lambda t: t.pin_memory())


@dataclass(frozen=True)
class Pairs:
    """Which point is seen in which pixel; made by :func:`lidar2d.geometry.pairs`, last, never stored or transformed."""

    point: Tensor  # (P,) int64 row of Batch.points
    view: Tensor  # (P,) int64 row of Batch.images
    pixel: Tensor  # (P, 2) u right, v down; pixel centres at .5
    depth: Tensor  # (P,) metres along the optical axis

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, rows: Tensor) -> Pairs:
        """Return the pairs at the given rows (an index or a mask)."""
        return Pairs(self.point[rows], self.view[rows], self.pixel[rows], self.depth[rows])

    def to(self, device: torch.device | str) -> Pairs:
        """Return the pairs on another device."""
        return _map_tensors(self, lambda t: t.to(device))


def _owner(counts: Sequence[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(list(counts), dtype=torch.int64))


def _join(values: Sequence[Tensor | None]) -> Tensor | None:
    present = [v for v in values if v is not None]
    if len(present) != len(values):
        return None  # an annotation that one frame lacks is not an annotation of the batch
    return torch.cat(present)


def _join_boxes(values: Sequence[Boxes | None]) -> Boxes | None:
    boxes = [b for b in values if b is not None]
    if len(boxes) != len(values):
        return None
    surveys = tuple(survey for b in boxes for survey in b.surveys)
    return Boxes(
        torch.cat([b.geometry for b in boxes]),
        torch.cat([b.classes for b in boxes]),
        _join([b.velocity for b in boxes]),
        surveys if len(surveys) == len(boxes) else (),
        _join([b.hits for b in boxes]),
        _join_seen([b.seen for b in boxes]),
    )


def _join_seen(values: Sequence[Seen | None]) -> Seen | None:
    seen = [s for s in values if s is not None]
    if len(seen) != len(values):
        return None
    return Seen(
        torch.cat([s.labelled for s in seen]),
        torch.cat([s.image_from_lidar for s in seen]),
        torch.cat([s.size for s in seen]),
    )


def collate(frames: Sequence[Frame], seeds: Sequence[int] | None = None, clear: Collection[str] | None = None) -> Batch:
    """Lay frames end to end.

    Args:
        frames: frames whose images all have the same height and width.
        seeds: one number a frame; zeros by default.
        clear: the conditions that count as clear; None leaves it open.

    Raises:
        ValueError: if there is no frame.
        DataError: if a point has NaN or infinite values, which no network can read.
        UsageError: if the images differ in size.
    """
    if not frames:
        raise ValueError("collate needs at least one frame")
    for frame in frames:
        if not frame.points.sum(dtype=torch.float64).isfinite():
            bad = int((~frame.points.isfinite()).any(1).sum())
            raise DataError(
                f"frame {frame.token}: {bad} of {len(frame.points)} points have NaN or infinite values; "
                "its reader must leave such points out"
            )
    sizes = {tuple(f.images.shape[-2:]) for f in frames if len(f.images)}
    if len(sizes) > 1:
        raise UsageError(f"images of one batch differ in size: {sorted(sizes)}; set --data.image_size [H,W]")
    boxes = _join_boxes([f.boxes for f in frames])
    # a frame without cameras must not dictate the image size of the batch
    pictured = [f for f in frames if len(f.images)] or list(frames[:1])
    return Batch(
        points=torch.cat([f.points for f in frames]),
        point_frame=_owner([len(f.points) for f in frames]),
        # nothing is copied where a process has one frame of a batch
        images=pictured[0].images if len(pictured) == 1 else torch.cat([f.images for f in pictured]),
        view_frame=_owner([len(f.images) for f in frames]),
        intrinsics=torch.cat([f.intrinsics for f in frames]),
        cam_from_lidar=torch.cat([f.cam_from_lidar for f in frames]),
        seeds=torch.tensor(list(seeds) if seeds is not None else [0] * len(frames), dtype=torch.int64),
        labels=_join([f.labels for f in frames]),
        boxes=boxes,
        box_frame=None if boxes is None else _owner([len(f.boxes) for f in frames if f.boxes is not None]),
        pixel_labels=_join([f.pixel_labels for f in frames]),
        depth=_join([f.depth for f in frames]),
        regions=_join([f.regions for f in frames]),
        weak_labels=_join([f.weak_labels for f in frames]),
        clear=None if clear is None else torch.tensor([f.condition in clear for f in frames]),
        conditions=tuple(f.condition for f in frames),
        tokens=tuple(f.token for f in frames),
    )
