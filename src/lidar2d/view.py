"""Draws a frame: every camera with its LiDAR points and boxes, and the scene from above."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from lidar2d import geometry
from lidar2d.data.card import Card, load_card
from lidar2d.data.clouds import check_box
from lidar2d.data.source import Source, open_source
from lidar2d.data.weather.source import Weather, Weathered
from lidar2d.data.wrapped import Range, as_asked
from lidar2d.errors import UsageError, nearest, within
from lidar2d.frame import Boxes, Frame
from lidar2d.writing import write_atomically

Array = npt.NDArray[Any]

NEAR = 0.5  # metres: nothing nearer to a camera is drawn
INK, PAPER, FAINT = "#e8e6e3", "#101218", "#3a3f4b"
DEPTHS = LogNorm(3, 70, clip=True)  # metres: near points differ more than far ones
# distinguishable on photographs and on the dark ground; repeated for data sets with more classes
PALETTE = ("#ffb000", "#4cc9f0", "#f72585", "#80ed99", "#ff6b35", "#b388ff", "#ffe45e", "#00bfa6", "#ff8fab", "#a3b18a")
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
FRONT = ((0, 3), (3, 7), (7, 4), (4, 0), (0, 7), (3, 4))  # the face that looks ahead, with its diagonals


def choose(
    card_name: str,
    root: str | None = None,
    split: str | None = None,
    index: int = 0,
    condition: str | None = None,
    image_size: tuple[int, int] | None = None,
    sweeps: int = 1,
    cameras: list[str] | None = None,
    points_range: Range | None = None,
    weather: Weather | None = None,
) -> tuple[Card, Frame]:
    """Read one frame of a data set.

    Args:
        card_name: name of a data set, or path of a card.
        root: the folder that holds it.
        split: None is the card's training split.
        index: from 0, among the frames of the condition if one is given.
        condition: as the card names it.
        image_size: (height, width) to read images at; None keeps their own.
        sweeps: of the LiDAR.
        cameras: names of those to show; None shows all.
        points_range: metres: x0, y0, z0, x1, y1, z1 of the box of the points to show; None shows all.
        weather: laid over the clear frames, which come first; where it is one corruption of one severity, and no
            condition is named, its frames alone count. None shows frames as they are.

    Raises:
        UsageError: if there is no such data set, split, condition or frame.
    """
    within(8, 8192, image_size=image_size)
    card = load_card(card_name)
    split = split or card.train
    within(1, 100, sweeps=sweeps)
    check_box("points_range", points_range)
    # pictures are corrupted as the cameras took them, and resized afterwards
    opened = open_source(card, split, root, image_size if weather is None else None, sweeps)
    source: Source = as_asked(opened, cameras, points_range)
    if weather is not None:
        source = Weathered(source, weather, image_size)
        if condition is None and len(source.bads) == 2:
            condition = str(source.bads[1])
    rows = [row for row, name in enumerate(source.conditions) if condition in (None, name)]
    if not rows and condition is not None:
        raise UsageError(
            f"{card.name} {split} has no condition '{condition}'; {nearest(condition, set(source.conditions))}"
        )
    if not 0 <= index < len(rows):
        kind = f"{condition} " if condition else ""
        raise UsageError(f"--index {index}: {card.name} {split} has {len(rows)} {kind}frames, counted from 0")
    return source.card, source[rows[index]]


@dataclass(frozen=True)
class Paint:
    """The colours of a frame's points and boxes, the same in every panel."""

    points: Array | None  # (N, 4) RGBA by class; None paints by depth
    pixels: Array | None  # (V, H, W, 4) RGBA over the images, where pixels are labelled or measured and points are not
    boxes: list[str]  # of each box
    legend: dict[str, str]  # name -> colour


def view(card: Card, frame: Frame, out: Path, colour: Literal["depth", "class"] = "depth") -> None:
    """Draw a frame into an image file.

    Args:
        card: of the frame's data set; names classes and cameras.
        frame: in the LiDAR frame's axes.
        out: the file; its ending says the format.
        colour: of the points.

    Raises:
        UsageError: if the frame has no labels to colour by, or the file cannot be written.
    """
    if not out.parent.is_dir():
        raise UsageError(f"no folder {out.parent} for --out {out}")
    paint = _paint(card, frame, colour)
    rows = camera_rows(frame)
    figure = Figure(facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    kind = out.suffix.removeprefix(".")
    if kind not in canvas.get_supported_filetypes():
        raise UsageError(f"--out {out}: cannot write '{out.suffix}'; use .png")
    panels, above = _layout(figure, frame, rows, paint)
    for view_row, axes in panels.items():
        _draw_camera(axes, card, frame, view_row, paint)
    if above is not None:
        _draw_from_above(above, frame, paint, sideways=len(rows) == 1)
    _caption(figure, card, frame, paint)
    try:
        write_atomically(out, lambda unfinished: figure.savefig(unfinished, format=kind, dpi=130, facecolor=PAPER))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None


def camera_rows(frame: Frame) -> list[list[int]]:
    """Arrange views as one would see them: those that look ahead from left to right, and below them the others."""
    ahead = frame.cam_from_lidar[:, 2, :2]  # the optical axis in the LiDAR's ground plane
    yaw = torch.rad2deg(torch.atan2(ahead[:, 1], ahead[:, 0])).tolist()
    front = sorted((v for v in range(len(yaw)) if abs(yaw[v]) <= 90), key=lambda v: -yaw[v])
    back = sorted((v for v in range(len(yaw)) if abs(yaw[v]) > 90), key=lambda v: yaw[v] % 360)
    return [row for row in (front, back) if row]


def wireframe(
    box: Tensor, intrinsics: Tensor, cam_from_lidar: Tensor, edges: Sequence[tuple[int, int]] = EDGES
) -> Array:
    """Project a box's edges into one camera, cut off where they come nearer than the camera can see.

    Args:
        box: (7,) x y z l w h yaw.
        intrinsics: (3, 3).
        cam_from_lidar: (4, 4).
        edges: pairs of corners, as :func:`lidar2d.geometry.box_corners` numbers them.

    Returns:
        (E, 2, 2) pixels of both ends of the edges that are at least partly ahead.
    """
    ends = geometry.box_corners(box[None].to(cam_from_lidar.dtype))[0][torch.tensor(edges)]  # (E, 2, 3)
    _, depth = geometry.project(ends.reshape(-1, 3), intrinsics[None], cam_from_lidar[None])
    depth = depth.view(-1, 2)
    ahead = (depth > NEAR).any(1)
    ends, depth = ends[ahead], depth[ahead]
    # depth is linear along an edge: move the end that is too near to where the depth is NEAR
    for end in (0, 1):
        other = 1 - end
        share = ((NEAR - depth[:, end]) / (depth[:, other] - depth[:, end]).abs().clamp(min=1e-9)).clamp(0, 1)
        share = torch.where(depth[:, end] < NEAR, share, torch.zeros_like(share))
        ends = ends.clone()
        ends[:, end] += share[:, None] * (ends[:, other] - ends[:, end])
    pixel, _ = geometry.project(ends.reshape(-1, 3), intrinsics[None], cam_from_lidar[None])
    return np.asarray(pixel.view(-1, 2, 2))


def _paint(card: Card, frame: Frame, colour: Literal["depth", "class"]) -> Paint:
    legend: dict[str, str] = {}
    points = pixels = None
    if colour == "class":
        labels = frame.pixel_labels if frame.labels is None else frame.labels
        if labels is None:
            raise UsageError(f"{card.name} has no labels in frame {frame.token}; use --colour depth")
        known = [_rgb(card, index) for index in range(len(card.classes))]
        if frame.labels is None:
            pixels = np.asarray([to_rgba(hue, 0.6) for hue in known] + [to_rgba(FAINT, 0.0)])[labels.numpy()]
        points = np.zeros((len(frame.points), 4))
        if frame.labels is not None:
            points = np.asarray([to_rgba(hue) for hue in known] + [to_rgba(FAINT, 0.5)])[labels.numpy()]
        legend = {card.classes[i]: known[i] for i in torch.unique(labels).tolist() if i >= 0}
        if bool((labels < 0).any()):
            legend["no class"] = FAINT
    elif not len(frame.points) and frame.depth is not None:
        pixels = ScalarMappable(DEPTHS, "turbo_r").to_rgba(frame.depth.numpy().ravel(), alpha=0.7)
        pixels = np.where(frame.depth.numpy().ravel()[:, None] > 0, pixels, 0.0).reshape(*frame.depth.shape, 4)
    kinds = [] if frame.boxes is None else [int(i) for i in frame.boxes.classes.tolist()]
    hues = {kind: PALETTE[kind % len(PALETTE)] for kind in kinds}
    if points is None:
        legend = {card.box_classes[kind]: hues[kind] for kind in sorted(hues)}
    boxes = [hues[kind] if points is None else INK for kind in kinds]  # white boxes leave the colours to the classes
    return Paint(points, pixels, boxes, legend)


def _rgb(card: Card, index: int) -> str:
    if not card.colours:
        return PALETTE[index % len(PALETTE)]
    red, green, blue = card.colours[index]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _legend_columns(paint: Paint, wide: float) -> int:
    """Return how many names stand side by side in a figure of so many inches."""
    return max(1, min(len(paint.legend), 10, int(wide / (0.3 + 0.055 * max(map(len, paint.legend), default=1)))))


def _layout(figure: Figure, frame: Frame, rows: list[list[int]], paint: Paint) -> tuple[dict[int, Axes], Axes | None]:
    """Place the cameras in their rows; the view from above goes below one row, and to the right of two."""
    height, width = frame.images.shape[-2:]
    columns = max((len(row) for row in rows), default=0)
    cell = 5.3 if columns > 1 else 12.0  # inches wide
    cameras = (columns * cell, len(rows) * cell * height / max(width, 1))
    scene = (0.0, 0.0)
    if len(frame.points):
        side = max(cameras[1], 6.0)
        scene = (max(cameras[0], 10.0), max(cameras[0], 10.0) * 0.42) if len(rows) == 1 else (side, side)
    beside = len(rows) != 1
    wide = cameras[0] + scene[0] if beside else max(cameras[0], scene[0])
    tall = max(cameras[1], scene[1]) if beside else cameras[1] + scene[1]
    lines = -(-len(paint.legend) // _legend_columns(paint, wide))
    head, foot, gap = 0.45, max(0.75, 0.25 + 0.18 * lines), 0.06  # inches
    figure.set_size_inches(wide, tall + head + foot)

    def place(left: float, top: float, size: tuple[float, float]) -> Axes:
        full = tall + head + foot
        box = (left + gap / 2, full - head - top - size[1] + gap / 2, size[0] - gap, size[1] - gap)
        axes = figure.add_axes((box[0] / wide, box[1] / full, box[2] / wide, box[3] / full), facecolor=PAPER)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    panel = (cell, cell * height / max(width, 1))
    indent = (tall - cameras[1]) / 2 if beside else 0.0  # cameras stand in the middle beside a taller scene
    panels = {
        view_row: place(column * cell, indent + line * panel[1], panel)
        for line, row in enumerate(rows)
        for column, view_row in enumerate(row)
    }
    if not len(frame.points):
        return panels, None
    return panels, place(cameras[0], 0, scene) if beside else place(0, cameras[1], scene)


def _draw_camera(axes: Axes, card: Card, frame: Frame, view_row: int, paint: Paint) -> None:
    height, width = frame.images.shape[-2:]
    # pixel centres lie at .5, so the image spans 0..W and 0..H
    axes.imshow(frame.images[view_row].permute(1, 2, 0).clamp(0, 1).numpy(), extent=(0, width, height, 0))
    if paint.pixels is not None:
        axes.imshow(paint.pixels[view_row], extent=(0, width, height, 0), interpolation="nearest")
    intrinsics, pose = frame.intrinsics[view_row], frame.cam_from_lidar[view_row]
    pixel, depth = geometry.project(frame.points[:, :3], intrinsics[None], pose[None])
    (u, v), far = pixel[0].unbind(-1), depth[0]
    seen = torch.nonzero((far > NEAR) & (u >= 0) & (u < width) & (v >= 0) & (v < height))[:, 0]
    seen = seen[far[seen].argsort(descending=True)]  # near points last, on top
    metres = far[seen].numpy()
    hue = (
        {"c": metres, "cmap": "turbo_r", "norm": DEPTHS} if paint.points is None else {"c": paint.points[seen.numpy()]}
    )
    axes.scatter(u[seen], v[seen], s=np.clip(40 / np.maximum(metres, 1), 1.2, 7), linewidths=0, alpha=0.85, **hue)
    for box, shade in zip(_geometry(frame.boxes), paint.boxes, strict=True):
        for edges, weight in ((EDGES, 1.1), (FRONT, 0.5)):
            lines = wireframe(box, intrinsics, pose, edges)
            axes.add_collection(LineCollection(list(lines), colors=shade, linewidths=weight))
    axes.set(xlim=(0, width), ylim=(height, 0))
    name = card.cameras[view_row] if view_row < len(card.cameras) else f"camera {view_row}"
    label = name.removeprefix("CAM_").replace("_", " ").lower()
    axes.text(
        0.012,
        0.975,
        label,
        transform=axes.transAxes,
        color=INK,
        fontsize=9,
        va="top",
        ha="left",
        bbox={"facecolor": PAPER, "alpha": 0.6, "edgecolor": "none", "pad": 2.5},
    )


def _geometry(boxes: Boxes | None) -> Tensor:
    return torch.zeros(0, 7) if boxes is None else boxes.geometry


def _draw_from_above(axes: Axes, frame: Frame, paint: Paint, sideways: bool) -> None:
    """Draw the scene from above, x to the right or, beside two rows of cameras, x up."""

    def flat(xyz: Tensor) -> Array:
        plane = xyz[..., :2] if sideways else torch.stack([-xyz[..., 1], xyz[..., 0]], dim=-1)
        return np.asarray(plane)

    points = frame.points[:, :3]
    distance = points[:, :2].norm(dim=1)
    reach = float(distance.quantile(0.97).clamp(15, 60)) if len(distance) < 2**24 else 60.0
    spot = flat(points)
    hue = {"c": distance.numpy(), "cmap": "turbo_r", "norm": DEPTHS} if paint.points is None else {"c": paint.points}
    axes.scatter(spot[:, 0], spot[:, 1], s=0.9, linewidths=0, alpha=0.8, **hue)
    for radius in (10, 20, 40, 60):
        circle = np.linspace(0, 2 * np.pi, 181)
        axes.plot(radius * np.cos(circle), radius * np.sin(circle), color=FAINT, lw=0.6, zorder=0)
        axes.text(radius * 0.7071, radius * 0.7071, f"{radius} m", color="#8a8f9c", fontsize=7, clip_on=True, zorder=3)
    corners = geometry.box_corners(_geometry(frame.boxes))
    for box, corner, shade in zip(_geometry(frame.boxes), corners, paint.boxes, strict=True):
        outline = flat(corner[[0, 1, 2, 3, 0]])
        axes.plot(outline[:, 0], outline[:, 1], color=shade, lw=1.3)
        heading = flat(torch.stack([box[:3], corner[[0, 3]].mean(0)]))
        axes.plot(heading[:, 0], heading[:, 1], color=shade, lw=1.3)
    _draw_fields_of_view(axes, frame, flat)
    axes.plot(0, 0, marker=">" if sideways else "^", color=INK, markersize=8)
    if sideways:
        axes.set(xlim=(-0.5 * reach, 1.5 * reach), ylim=(-0.42 * reach, 0.42 * reach))
    else:
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_aspect("equal", adjustable="box")


def _draw_fields_of_view(axes: Axes, frame: Frame, flat: Callable[[Tensor], Array]) -> None:
    """Draw from each camera how far to the left and to the right it sees."""
    height, width = frame.images.shape[-2:]
    border = torch.tensor([[0.0, height / 2], [width, height / 2]], dtype=frame.intrinsics.dtype)
    for intrinsics, pose in zip(frame.intrinsics, frame.cam_from_lidar, strict=True):
        near, far = (
            flat(geometry.unproject(border, torch.full((2,), depth, dtype=border.dtype), intrinsics, pose))
            for depth in (0.5, 200.0)
        )
        lines = np.stack([near, far], axis=1)
        axes.add_collection(LineCollection(list(lines), colors=INK, linewidths=0.6, alpha=0.35), autolim=False)


def _caption(figure: Figure, card: Card, frame: Frame, paint: Paint) -> None:
    """Write above the panels what the frame is, and below them what the colours mean."""
    wide, tall = figure.get_size_inches()
    facts = [card.title, frame.token, frame.condition]
    if len(frame.points):
        facts.append(f"{len(frame.points):,} points")
    if frame.boxes is not None:
        facts.append(f"{len(frame.boxes)} box{'es' * (len(frame.boxes) != 1)}")
    title = "   ·   ".join(fact for fact in facts if fact)
    size = min(11.0, 11.0 * wide / (0.2 + 0.088 * len(title)))  # narrow pictures have small titles
    figure.text(0.1 / wide, 1 - 0.22 / tall, title, color=INK, fontsize=size, va="center", ha="left")
    if paint.points is None and (len(frame.points) or paint.pixels is not None):
        axes = figure.add_axes(((wide - 3.2) / wide, 0.42 / tall, 3.0 / wide, 0.12 / tall))
        bar = figure.colorbar(ScalarMappable(DEPTHS, "turbo_r"), cax=axes, orientation="horizontal")
        bar.set_ticks([3, 5, 10, 20, 40, 70], labels=["3", "5", "10", "20", "40", "70 m"])
        bar.ax.tick_params(colors=INK, labelsize=8, length=2)
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)
    if paint.legend:
        marks = [Line2D([], [], marker="s", ls="", color=hue, label=name) for name, hue in paint.legend.items()]
        figure.legend(
            handles=marks,
            loc="lower left",
            bbox_to_anchor=(0.05 / wide, 0.08 / tall),
            ncols=_legend_columns(paint, wide),
            frameon=False,
            labelcolor=INK,
            fontsize=8.5,
            handletextpad=0.1,
            columnspacing=1.2,
        )
