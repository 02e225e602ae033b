"""What a run was worth, as a table, as facts and as a picture."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from lidar2d.data.module import LidarData
from lidar2d.fit.folder import RunFolder
from lidar2d.fit.picture import draw_features
from lidar2d.methods.base import Method
from lidar2d.nets.weights import fill, read_weights
from lidar2d.progress import bars as opened
from lidar2d.results.measures import written
from lidar2d.tasks.probing import Reader, image_reader, judge, point_reader, summarise
from lidar2d.writing import write_atomically


def report(
    method: Method,
    data: LidarData,
    folder: RunFolder,
    losses: dict[str, Any],
    console: Console,
    half: bool,
    bars: bool,
) -> dict[str, Any]:
    """Judge the student against where it started; print a table and keep it, the facts and a picture.

    Args:
        method: after its last stage.
        data: its card names the splits that are judged.
        folder: where the results go, and where the weights before the first step lie.
        losses: how they fell, by stage.
        console: where the table is shown.
        half: networks compute in bfloat16, as they were trained; probes never do.
        bars: show how far it is.
    """
    recipe = yaml.safe_load(folder.recipe.read_text(encoding="utf-8"))
    begun = copy.deepcopy(method)
    fill(begun, read_weights(folder.start), str(folder.start))
    method.eval(), begun.eval()
    facts: dict[str, Any] = {
        "losses": losses,
        "data": data.card.name,
        "trained_on": data.trained_on(),
        "student": method.student,
        "networks": {name: recipe["method"]["init_args"][name] for name in ("points", "images")},
    }
    tables = [_loss_table(losses)]
    if data.probe and data.test:
        facts["features"] = _judge(method, begun, data, console, half, bars)
        tables.append(_feature_table(facts["features"], data, method.student, facts["networks"]["images"]))
    else:
        why = f"{data.card.name} names no labelled splits for it (--data.probe and --data.test)"
        console.print(f"not judged: {why}", soft_wrap=True)
    path = folder.save_json(folder.report.name, facts)
    write_atomically(folder.picture, lambda unfinished: draw_features(method, begun, data, unfinished))
    shown = Console(record=True, width=110)
    for table in tables:
        shown.print(table)
    text = shown.export_text()
    folder.save_text("report.txt", text)
    console.print(f"report      {path}\npicture     {folder.picture}", highlight=False, soft_wrap=True)
    return facts


def _judge(method: Method, begun: Method, data: LidarData, console: Console, half: bool, bars: bool) -> dict[str, Any]:
    card = data.card
    rows: dict[str, Reader]
    if method.student == "images":
        rows = {"teacher": image_reader(begun.images, half), "student": image_reader(method.images, half)}
        channels = {"teacher": begun.images.channels, "student": method.images.channels}
    else:
        rows = {"untrained": point_reader(begun.points, half), "distilled": point_reader(method.points, half)}
        channels = {"untrained": begun.points.channels, "distilled": method.points.channels}
    with opened(console, bars) as progress:
        judged = judge(
            rows, channels, data.source(data.probe), data.source(data.test), progress, method.student == "images"
        )
    return {name: summarise(result, card) for name, result in judged.items()}


def _loss_table(losses: dict[str, Any]) -> Table:
    table = Table(title="Losses (mean of the first and of the last tenth of the steps)", title_justify="left")
    for name in ("stage", "steps", "loss", "first", "last"):
        table.add_column(name, justify="left" if name in ("stage", "loss") else "right")
    for stage, fell in losses.items():
        for loss, (first, last) in fell["losses"].items():
            table.add_row(stage, str(fell["steps"]), loss, f"{first:.3f}", f"{last:.3f}")
    return table


def _feature_table(features: dict[str, Any], data: LidarData, student: str, images: dict[str, Any]) -> Table:
    card = data.card
    first, second = features
    what = "pixel" if student == "images" else "point"
    where = "the probe's own scenes" if data.probe == data.test else "held-out scenes"
    origin = (images.get("init_args") or {}).get("weights") or "random"
    table = Table(
        title=f"Frozen {what} features on {where} of {card.title}: mIoU in percent of a ridge probe\n"
        f"image weights at the start: {origin}",
        title_justify="left",
    )
    conditions = list(features[first]["clear_probe"]["miou"])
    for name in ("probe fitted on", "features", *conditions, "adverse"):
        table.add_column(name, justify="right" if name in (*conditions, "adverse") else "left")
    for probe, title in (("clear_probe", "clear scenes"), ("mixed_probe", "all conditions")):
        for name in features:
            values = features[name][probe]
            table.add_row(title, name, *(_number(v) for v in (*values["miou"].values(), values["adverse"])))
        before, after = (features[name][probe] for name in (first, second))
        gains = [after["miou"][c] - before["miou"][c] for c in conditions]
        gains.append(None if before["adverse"] is None else after["adverse"] - before["adverse"])
        table.add_row(title, "gain", *(_number(gain, "+") for gain in gains), end_section=True, style="bold")
    twins = any(features[name]["cosine"] for name in features)
    if twins and features[first]["clear_probe"]["clear"] is not None:
        clear = features[first]["clear_probe"]["clear"]
        table.add_row(
            "clear scenes", "ceiling: teacher on the clear twin", *(f"{clear:.1f}" for _ in conditions), f"{clear:.1f}"
        )
    if twins:
        for name in features:
            cosine = features[name]["cosine"]
            shown = (f"{cosine[c]:.2f}" if c in cosine else "" for c in conditions)
            mean = sum(cosine.values()) / len(cosine)
            table.add_row("cosine to clear twin", name, *shown, f"{mean:.2f}")
    return table


def _number(value: float | None, sign: str = "") -> str:
    """Show a figure, or that there is none: a split may lack clear or adverse frames."""
    return "–" if value is None else written(value, 1, sign)
