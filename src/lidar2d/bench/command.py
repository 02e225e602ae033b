"""What ``lidar2d eval`` does once its words are right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from lidar2d import recipe
from lidar2d.arguments import build, eval_parser, parse
from lidar2d.bench.evaluate import Place, evaluate
from lidar2d.bench.gallery import Gallery
from lidar2d.bench.protocol import Session
from lidar2d.bench.suite import RESERVED, Cell
from lidar2d.data.module import LidarData
from lidar2d.errors import DataError, UsageError, within
from lidar2d.fit.saved import Saved
from lidar2d.progress import bars
from lidar2d.results.record import Record
from lidar2d.results.store import Store


def judge_one(
    saved: Saved,
    name: str,
    protocol: str,
    card: str | None,
    flags: Sequence[str],
    results: Path | None,
    images: Path | None,
) -> str:
    """Judge a method under one protocol; return a table, and where records were written.

    Raises:
        UsageError: for what the user can mend.
    """
    given = saved.content["data"]
    root = [] if card is not None or given.get("root") is None else ["--data.root", str(given["root"])]
    parser = eval_parser(LidarData)
    own = [] if card is not None else ["--data.card", str(given["card"])]
    settings = parse(parser, [*own, *root, *flags])
    within(0, recipe.LARGEST_SEED, seed=settings.seed)
    data: LidarData = build(parser, settings).data
    cell = Cell(name, settings.seed, data.card.name, recipe.called("protocols", protocol), settings.labels)
    device = device_named(settings.device)
    console = Console(stderr=True)
    with bars(console) as progress:
        gallery = None if images is None else Gallery(images, data.card, str(cell))
        session = Session(settings.seed, progress, workers=data.workers, look=gallery)
        records = evaluate(saved, cell, protocol, data, session, Place(RESERVED), device)
    text = table(records)
    if gallery is not None:
        text += f"\npictures  {gallery.write()}" if gallery.drawn else "\nthis protocol has nothing to draw"
    if results is None:
        return text
    store = Store(results)
    try:
        lost = replaced(store.of(RESERVED, name), records)
        written = store.add(records)
    except DataError as error:
        print(text)  # the numbers are not lost with the file
        raise UsageError(str(error)) from None
    if lost:
        text += f"\nreplaced  row {name} held records of other weights ({', '.join(lost)}); "
        text += "to keep both, judge one of them again with --name ROW"
    return f"{text}\nrecords  {', '.join(map(str, written))}"


def replaced(before: Sequence[Record], records: Sequence[Record]) -> list[str]:
    """Return the digests of other weights whose records of the same evaluation new ones take the place of."""
    fresh = next((record for record in records if not record.error), None)
    if fresh is None:  # what fails leaves numbers as they are
        return []
    return sorted({each.weights for each in before if each.evaluation == fresh.evaluation} - {fresh.weights, ""})


def device_named(name: str) -> torch.device:
    """Return the device that computes.

    Raises:
        UsageError: if there is no such one.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # a device without memory fails here
    except Exception:  # each kind of device fails in its own way
        raise UsageError(f"--device {name}: there is none here; give cpu, cuda, cuda:1, ... or auto") from None
    return device


def table(records: Sequence[Record]) -> str:
    """Lay out the numbers, a line each, a column a condition."""
    conditions = [record.judged_in for record in records]
    names = list(dict.fromkeys(name for record in records for name in record.metrics))
    first = records[0]
    rows = [["", *conditions], ["frames", *(str(record.frames) for record in records)]]
    rows += [
        [name, *(f"{record.metrics[name]:.2f}" if name in record.metrics else "–" for record in records)]
        for name in names
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(conditions) + 1)]
    lines = [
        "  ".join(text.rjust(width) if column else text.ljust(width) for column, (text, width) in enumerate(row))
        for row in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    title = f"{first.method}: {first.protocol} on {first.data}, {first.backbone}, head: {first.selection_rule}"
    return "\n".join([title, *([first.shown] if first.shown else []), *lines])
