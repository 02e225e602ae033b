"""What was judged, as pictures on one HTML page: truth, answer and error over images and from above, or features."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from lidar2d.bench.protocol import ALL, Look
from lidar2d.bench.scatter import Pixels, scatter
from lidar2d.data.card import Card
from lidar2d.errors import UsageError
from lidar2d.frame import Frame, collate
from lidar2d.geometry import box_corners, pairs
from lidar2d.tasks.centres import Centres
from lidar2d.tasks.depth import Depth
from lidar2d.tasks.segmentation import PointSegmentation
from lidar2d.tasks.task import Task
from lidar2d.writing import write_atomically

_REACH, _SIDE = 40.0, 480  # of the view from above: metres to either side, pixels
_RIGHT, _WRONG, _NONE = (40, 160, 80), (220, 40, 40), (60, 60, 60)
_SURE = 0.3  # score, 0..1, of the boxes that are drawn
_GAP = 4  # pixels between the pictures of a row
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 120rem; padding: 0 1rem; }}
figure {{ margin: 0 0 2rem; }} img {{ max-width: 100%; image-rendering: auto; }}
figcaption {{ margin-bottom: .4rem; font-weight: 600; }}
.key span {{ display: inline-block; margin-right: 1em; }} .key i {{ display: inline-block; width: 1em; height: 1em;
vertical-align: -.15em; margin-right: .3em; border: 1px solid #8888; }}
</style></head><body>
<h1>{title}</h1>
{about}
{key}
{figures}
</body></html>
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    file: str  # its name, beside the page
    condition: str  # of its frames
    caption: str
    about: str  # what all of its kind show
    keyed: bool  # classes have the colours of the page's key


@dataclass
class Gallery(Look):
    """Draws some of the judged frames, the same number under each condition, and writes a page of them.

    Args:
        folder: of the pictures and of index.html.
        card: of the data set, whose colours classes have.
        title: of the page.
        each: frames of every condition.
    """

    folder: Path
    card: Card
    title: str
    each: int = 3
    drawn: list[Picture] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a folder that holds the pictures of something else.

        Raises:
            UsageError: naming it.
        """
        page = self.folder / "index.html"
        if page.is_file() and f"<title>{html.escape(self.title)}</title>" not in page.read_text("utf-8", "replace"):
            raise UsageError(f"--save-images {self.folder}: it has pictures of another evaluation; name another folder")

    def __call__(self, task: Task, frame: Frame, answer: Tensor, truth: Tensor) -> None:
        """Draw a frame, unless there are enough of its condition."""
        own = sum(picture.condition == frame.condition for picture in self.drawn)
        if own == self.each:
            return
        name = frame.condition or "frame"
        pixels = self._picture(task, frame, answer, truth)
        keyed = not isinstance(task, Centres | Depth)
        self._keep(pixels, Picture(f"{name}-{own}.png", frame.condition, f"{name}: {frame.token}", _about(task), keyed))

    def features(self, places: Tensor, labels: Tensor, conditions: Sequence[str], about: str) -> None:
        """Draw a map of features: places (P, 2), their classes (P,) and their conditions."""
        drawn = scatter(places.numpy(), labels.numpy(), conditions, self.card.classes, self._colours(), self.title)
        self._keep(drawn, Picture("features.png", ALL, "Features", about, False))

    def write(self) -> Path:
        """Write the page and return its path."""
        figures = [
            f"<figure><figcaption>{html.escape(picture.caption)}</figcaption>"
            f'<img src="{quote(picture.file)}" alt="{html.escape(picture.caption)}" loading="lazy"></figure>'
            for picture in self.drawn
        ]
        text = _PAGE.format(
            title=html.escape(self.title),
            about="\n".join(f"<p>{html.escape(each)}</p>" for each in dict.fromkeys(p.about for p in self.drawn)),
            key=f'<p class="key">{self._key()}</p>' if any(picture.keyed for picture in self.drawn) else "",
            figures="\n".join(figures),
        )
        path = self.folder / "index.html"
        write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
        return path

    def _keep(self, pixels: Pixels, picture: Picture) -> None:
        path = self.folder / picture.file
        write_atomically(path, lambda unfinished: Image.fromarray(pixels).save(unfinished, format="PNG"))
        self.drawn.append(picture)

    def _key(self) -> str:
        colours = self._colours()
        return " ".join(
            f'<span><i style="background:rgb{tuple(int(part) for part in colours[row])}"></i>{html.escape(name)}</span>'
            for row, name in enumerate(self.card.classes)
        )

    def _colours(self) -> Pixels:
        """Return the colour of each class and, last, of none."""
        count = len(self.card.classes)
        own = self.card.colours or [
            tuple(int(255 * part) for part in matplotlib.colormaps["tab20"](row % 20)[:3]) for row in range(count)
        ]
        return np.array([*own, _NONE], dtype=np.uint8)

    def _picture(self, task: Task, frame: Frame, answer: Tensor, truth: Tensor) -> Pixels:
        if isinstance(task, PointSegmentation):
            return self._points(frame, answer, truth)
        if isinstance(task, Centres):
            return self._boxes(frame, answer[0], truth[0])
        return (self._depth if isinstance(task, Depth) else self._pixels)(frame, answer, truth)

    def _pixels(self, frame: Frame, answer: Tensor, truth: Tensor) -> Pixels:
        colours, known = self._colours(), (truth >= 0).numpy()
        painted = [colours[labels.numpy()] for labels in (truth, answer)]
        error = _verdict((answer == truth).numpy(), known)
        return _rows(_images(frame), painted[0], painted[1], error)

    def _depth(self, frame: Frame, answer: Tensor, truth: Tensor) -> Pixels:
        known = (truth > 0).numpy()
        ratio = torch.maximum(answer / truth.clamp_min(1e-3), truth / answer.clamp_min(1e-3))
        wrong = ((ratio - 1) / 0.5).clamp(0, 1).numpy()[..., None]
        error = (np.array(_RIGHT) * (1 - wrong) + np.array(_WRONG) * wrong).astype(np.uint8)
        error[~known] = _NONE
        shown = _far(truth)
        shown[~known] = _NONE
        return _rows(_images(frame), shown, _far(answer), error)

    def _points(self, frame: Frame, answer: Tensor, truth: Tensor) -> Pixels:
        """Draw points over the cameras and from above."""
        colours = self._colours()
        error = _verdict((answer == truth).numpy(), (truth >= 0).numpy())
        painted = [colours[truth.numpy()], colours[answer.numpy()], error]
        above = [_above(frame.points, colour) for colour in painted]
        top = np.stack([_scan(frame), *above])
        if not len(frame.images):
            return _row(list(top))
        found = pairs(collate([frame]))
        overlays = []
        for colour in painted:
            images = _images(frame)
            column, row = (found.pixel[:, k].long().numpy() for k in (0, 1))
            images[found.view.numpy(), row, column] = colour[found.point.numpy()]
            overlays.append(_wide(images))
        cameras = _rows(_wide(_images(frame)), *overlays)
        return _stack([_row(list(top)), cameras])

    def _boxes(self, frame: Frame, answer: Tensor, truth: Tensor) -> Pixels:
        """Draw boxes from above: those of the truth in green, those that are named with some confidence in red."""
        plain = _scan(frame)
        boxes = truth[truth[:, 7] >= 0]
        named = answer[(answer[:, 7] >= 0) & (answer[:, 8] > _SURE)]
        drawn = [_outlined(plain, [(boxes, _RIGHT)]), _outlined(plain, [(named, _WRONG)])]
        return _row([plain, *drawn, _outlined(plain, [(boxes, _RIGHT), (named, _WRONG)])])


def _images(frame: Frame) -> Pixels:
    return (255 * frame.images.clamp(0, 1)).round().byte().permute(0, 2, 3, 1).numpy().copy()


def _far(depth: Tensor) -> Pixels:
    """Colour depth (V, H, W) by its logarithm, 1 to 80 metres."""
    share = (depth.clamp(1, 80).log() / np.log(80)).numpy()
    found: Pixels = (255 * matplotlib.colormaps["turbo_r"](share)[..., :3]).astype(np.uint8)
    return found


def _verdict(right: NDArray[np.bool_], known: NDArray[np.bool_]) -> Pixels:
    found = np.where(right[..., None], _RIGHT, _WRONG).astype(np.uint8)
    found[~known] = _NONE
    return found


def _about(task: Task) -> str:
    """Say what the pictures of a task show."""
    if isinstance(task, Centres):
        return (
            f"Columns: the scan from above, {_REACH:.0f} metres to every side, forward is up; the boxes of the truth "
            f"of every class (green); those that are named with a score above {_SURE} (red), if any; and both."
        )
    if isinstance(task, Depth):
        return (
            "Columns: the image; the true depth, from red near by over green to blue at 80 metres; the answer; and its "
            "error: green where none, red from a half on. Grey is unknown."
        )
    return (
        f"Columns: the image, or the scan from above, {_REACH:.0f} metres to every side, forward is up; the truth; the "
        "answer; and whether the answer is right (green) or wrong (red). Grey has no truth."
    )


def _scan(frame: Frame) -> Pixels:
    """Draw a frame's points from above, the brighter the more they reflect."""
    return _above(frame.points, np.repeat((255 * frame.points[:, 3:4].clamp(0, 1).sqrt()).byte().numpy(), 3, 1))


def _above(points: Tensor, colour: Pixels) -> Pixels:
    """Draw points (N, 3 or more) from above: forward is up, left is left; each has a colour (N, 3)."""
    picture = np.full((_SIDE, _SIDE, 3), 16, np.uint8)
    row, column = (((_REACH - points[:, k].numpy()) * _SIDE / (2 * _REACH)).astype(int) for k in (0, 1))
    inside = (row >= 0) & (row < _SIDE) & (column >= 0) & (column < _SIDE)
    order = np.argsort(points[inside, 2].numpy(), kind="stable")  # the highest is seen
    row, column, colour = row[inside][order], column[inside][order], colour[inside][order]
    for down, right in ((0, 1), (1, 0), (1, 1), (0, 0)):  # a single pixel is hard to see
        picture[np.minimum(row + down, _SIDE - 1), np.minimum(column + right, _SIDE - 1)] = colour
    return picture


def _wide(images: Pixels) -> Pixels:
    """Return images (V, H, W, 3) as wide as the view from above."""
    size = (_SIDE, round(images.shape[1] * _SIDE / images.shape[2]))
    return np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in images])


def _outlined(picture: Pixels, groups: Sequence[tuple[Tensor, tuple[int, int, int]]]) -> Pixels:
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for boxes, colour in groups:
        for corners in box_corners(boxes[:, :7])[:, :4, :2]:
            place = (_REACH - corners) * _SIDE / (2 * _REACH)
            outline = [(float(column), float(row)) for row, column in place.tolist()]
            pen.line([*outline, outline[0]], fill=colour, width=2)
    return np.asarray(image)


def _rows(*columns: Pixels) -> Pixels:
    """Lay views (V, H, W, 3) out, a row a view."""
    return _stack([_row([column[view] for column in columns]) for view in range(len(columns[0]))])


def _row(pictures: Sequence[Pixels]) -> Pixels:
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], 1)


def _stack(rows: Sequence[Pixels]) -> Pixels:
    width = max(row.shape[1] for row in rows)
    parts = []
    for row in rows:
        filled = np.full((row.shape[0] + _GAP, width, 3), 255, np.uint8)
        filled[: row.shape[0], : row.shape[1]] = row
        parts.append(filled)
    return np.concatenate(parts)[:-_GAP]
