"""Draws a table of corruptions as one picture: a row a corruption and sensor, clear air first, then its severities.

    python benchmarks/contact_sheet.py --out sheet.jpg [--table weather-v1] [--only fog,rain] [--cameras-only]
        [--data synthetic] [--root FOLDER] [--split smoke] [--index 0] [--camera 0] [--width 208]

LiDAR is drawn from above, 40 metres to each side, the car in the middle heading up; echoes of the weather are red. The
sheets in docs/ are of the synthetic town, 184 pixels wide (--width). Frames of most data sets may not be shown to
everybody: mind their licence.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lidar2d.data.card import Card, load_card
from lidar2d.data.source import open_source
from lidar2d.data.weather.frames import Bad, corrupt
from lidar2d.data.weather.table import Table, load_table
from lidar2d.errors import UsageError
from lidar2d.frame import Frame
from lidar2d.writing import write_atomically

PAPER, INK, NOBODY = (16, 18, 24), (232, 230, 227), (255, 70, 50)
FAR = 40.0  # metres
GAP, HEAD, SIDE = 3, 16, 108  # pixels: between pictures, above them, and beside them
Picture = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", default="weather-v1")
    parser.add_argument("--only", help="corruptions of the table, with commas between")
    parser.add_argument("--cameras-only", action="store_true", help="LiDAR is not drawn")
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--root")
    parser.add_argument("--split", default="smoke")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--camera", type=int, default=0)
    parser.add_argument("--width", type=int, default=208, help="of a picture, pixels")
    given = parser.parse_args()
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(given.out.suffix)
    if kind is None:
        parser.error(f"--out {given.out}: give a name that ends in .jpg or .png")
    card, table = load_card(given.data), load_table(given.table)
    frame = open_source(card, given.split, given.root)[given.index]
    names = given.only.split(",") if given.only else list(table.corruptions)
    rows = [
        row
        for name in names
        for row in rows_of(frame, table, name, card, given.camera, given.width, given.cameras_only)
    ]
    sheet = drawn(rows)
    write_atomically(given.out, lambda unfinished: sheet.save(unfinished, kind, quality=82, optimize=True))
    print(f"{given.out}: {sheet.width}x{sheet.height}, {given.out.stat().st_size / 1e3:.0f} kB")


def rows_of(
    frame: Frame, table: Table, name: str, card: Card, camera: int, width: int, cameras_only: bool
) -> list[tuple[str, list[Picture]]]:
    """Return the title and the pictures of each sensor that a corruption changes; none where it changes neither."""
    corruption = table.at(name, 1)
    if not corruption.reads_labels:  # then only echoes of the weather have none
        frame = replace(frame, labels=torch.zeros(len(frame.points), dtype=torch.int64))
    bads = [Bad(table, name, severity) for severity in range(1, len(table.levels(name)) + 1)]
    found = [frame, *(corrupt(frame, bad, card) for bad in bads)]
    rows = []
    if corruption.cameras and len(frame.images):
        rows.append((name, [photograph(each, camera, width) for each in found]))
    if corruption.lidar and len(frame.points) and not cameras_only:
        rows.append((f"{name}\nLiDAR", [from_above(each, width) for each in found]))
    return rows


def photograph(frame: Frame, camera: int, width: int) -> Picture:
    """Return one camera's picture (h, width, 3)."""
    pixels = (frame.images[camera] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    height = round(width * pixels.shape[0] / pixels.shape[1])
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def from_above(frame: Frame, width: int) -> Picture:
    """Return the points (width / 2, width, 3) from above, dim points in grey."""
    points = frame.points.numpy()
    height, scale = width // 2, width / (2 * FAR)
    row = np.floor(height / 2 - points[:, 0] * scale).astype(int)
    column = np.floor(width / 2 - points[:, 1] * scale).astype(int)
    seen = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    shown = np.full((height, width, 3), PAPER, np.uint8)
    bright = (70 + 185 * np.sqrt(points[:, 3:4].clip(0, 1))).astype(np.uint8).repeat(3, 1)
    if frame.labels is not None:
        bright[frame.labels.numpy() < 0] = NOBODY
    order = np.argsort(bright[:, 0][seen], kind="stable")
    shown[row[seen][order], column[seen][order]] = bright[seen][order]
    return shown


def drawn(rows: list[tuple[str, list[Picture]]]) -> Image.Image:
    """Lay the pictures out, with their titles to the left and their severities above."""
    if not rows:
        raise UsageError("nothing to draw: the corruptions change no sensor that is shown")
    columns = max(len(pictures) for _, pictures in rows)
    width = max(picture.shape[1] for _, pictures in rows for picture in pictures)
    heights = [pictures[0].shape[0] + GAP for _, pictures in rows]
    sheet = Image.new("RGB", (SIDE + columns * (width + GAP), HEAD + sum(heights)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column in range(columns):
        pen.text((SIDE + column * (width + GAP) + 2, 1), str(column) if column else "clear", INK, font)
    top = HEAD
    for (title, pictures), height in zip(rows, heights, strict=True):
        pen.multiline_text((4, top + 2), title.replace("_", " "), INK, font)
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (SIDE + column * (width + GAP), top))
        top += height
    return sheet


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        main()
    except UsageError as error:
        sys.exit(f"contact_sheet.py: {error}")
