"""Take the picture of the leaderboard that the docs show.

    python benchmarks/screenshot.py docs/leaderboard.png [--results results] [--view '#task=Depth'] [--made-up]

--made-up takes records that nobody measured in place of those in results/, and the picture says so.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import browser
import made_up
from PIL import Image

from lidar2d.leaderboard.board import Table, tables
from lidar2d.leaderboard.files import read
from lidar2d.leaderboard.page import write_page
from lidar2d.results.store import Store

VIEW = "#suite=weather&task=2D segmentation"
SAID = "document.getElementById('tally').textContent += ' · made-up numbers, for the picture alone'"


def measured(results: Path) -> list[Table]:
    """Return the tables of a folder of records."""
    return [table for suite in read(Store(results)) for table in suite.tables]


def smaller(png: bytes) -> bytes:
    """Return a picture in the 256 colours that it has most of: what is left of it is the edges of letters."""
    whole = Image.open(io.BytesIO(png)).convert("RGB")
    most = sorted(whole.getcolors(whole.width * whole.height), reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in most for part in colour])
    small = io.BytesIO()
    whole.quantize(palette=palette, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--view", default=VIEW)
    parser.add_argument("--made-up", action="store_true")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 1640))
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    given = parser.parse_args()
    program = browser.installed()
    if program is None:
        raise SystemExit("there is no Chromium on this machine; install one, or name it in LIDAR2D_BROWSER")
    shown = tables(made_up.everything(), against=made_up.AGAINST) if given.made_up else measured(given.results)
    with tempfile.TemporaryDirectory() as folder, browser.opened(program) as chromium:
        path = write_page(shown, Path(folder))
        size = {"width": given.size[0], "height": given.size[1]}
        page = chromium.new_page(viewport=size, color_scheme=given.scheme)
        page.goto(path.as_uri() + given.view)
        if given.made_up:
            page.evaluate(SAID)
        page.wait_for_timeout(500)  # plots are drawn when they come into sight
        given.picture.write_bytes(smaller(page.screenshot()))
    print(f"{given.picture}: {given.picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
