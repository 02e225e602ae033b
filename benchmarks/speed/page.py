"""Time the leaderboard's page in headless Chromium, from navigation until 10,000 records are on the screen.

    python benchmarks/speed/page.py [--records 10000] [--times 5] [--out FILE]

The records are made up, of two shapes: four protocols of 71 conditions each, as a suite in bad weather has them, and
one table of as many methods as there are records. Milliseconds are medians, until the browser has drawn a frame.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import browser
import made_up

from lidar2d.leaderboard.board import tables
from lidar2d.leaderboard.page import write_page
from lidar2d.results.record import Record
from lidar2d.writing import write_atomically

DRAWN = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"


def written(records: list[Record], folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write the page of some records, and say how long that takes and how large it is."""
    start = time.perf_counter()
    laid_out = tables(records)
    middle = time.perf_counter()
    path = write_page(laid_out, folder)
    end = time.perf_counter()
    said = {"records": len(records), "tables": len(laid_out), "megabytes": path.stat().st_size / 1e6}
    return path, {**said, "lay out, s": middle - start, "write, s": end - middle}


def after(page: Any, press: Callable[[Any], None]) -> float:
    """Return the milliseconds from before a press until what it changed is drawn."""
    start: float = page.evaluate("performance.now()")
    press(page)
    return float(page.evaluate(DRAWN)) - start


def loaded(chromium: Any, path: Path, times: int) -> dict[str, Any]:
    """Load a page some times, each in a window of its own, and use it."""
    found: dict[str, list[float]] = {}
    cells = 0
    for _ in range(times):
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_selector("tbody td")
        found.setdefault("drawn, ms", []).append(float(page.evaluate(DRAWN)))
        rendered = "performance.getEntriesByName('rendered')[0].startTime"
        found.setdefault("tables in the document, ms", []).append(float(page.evaluate(rendered)))
        cells = page.locator("tbody td").count()
        found.setdefault("sort, ms", []).append(after(page, lambda each: each.locator("thead button").nth(1).click()))
        found.setdefault("filter, ms", []).append(
            after(page, lambda each: each.get_by_label("Method contains").fill("co"))
        )
        page.get_by_label("Method contains").fill("")
        if page.locator(".all").count():
            more = after(page, lambda each: each.locator(".all").first.click())
            found.setdefault("a thousand rows more, ms", []).append(more)
        else:
            more = after(page, lambda each: each.get_by_label("Each severity").check())
            found.setdefault("each severity, ms", []).append(more)
        page.close()
    return {"cells at first": cells, **{name: round(statistics.median(each), 1) for name, each in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    program = browser.installed()
    if program is None:
        raise SystemExit("there is no Chromium on this machine; install one, or name it in LIDAR2D_BROWSER")
    shapes = {"weather": made_up.many(given.records), "one table": made_up.long(given.records)}
    found: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count(), "load before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder, browser.opened(program) as chromium:
        found["browser"] = f"Chromium {chromium.version}"
        for name, records in shapes.items():
            path, said = written(records, Path(folder) / name.replace(" ", "-"))
            found[name] = {**said, **loaded(chromium, path, given.times)}
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if given.out:
        write_atomically(given.out, lambda unfinished: unfinished.write_text(text))


if __name__ == "__main__":
    main()
