"""A picture of the settings: a small panel for each, the metric against its values."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from lidar2d.compare.matters import Matter
from lidar2d.compare.table import Comparison, shown

_MOST = 12  # panels
_COLUMNS = 4
_WIDE, _TALL = 2.9, 2.6  # inches of a panel
_DPI = 110
_SPREAD = 10  # ratio of the largest to the smallest value from which an axis is logarithmic
_LONG = 14  # characters of a value on an axis
_ROOM = 30  # characters that stand beside each other below a panel
_DOT, _BEST, _MEAN = "#4477aa", "#cc3311", "#bbbbbb"


def plot(comparison: Comparison, weighed: Sequence[Matter]) -> bytes:
    """Draw the weightiest settings as a PNG file; the best run is red, and a line joins the values' means.

    Args:
        comparison: at least one of its runs counts.
        weighed: the settings, the weightiest first; at least one.
    """
    metric = comparison.metrics[0]
    best = comparison.runs[0].metrics[metric]
    drawn = weighed[:_MOST]
    columns = min(_COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    size = (max(columns * _WIDE, 5.0), lines * _TALL + 0.4)  # titles need five inches
    figure = Figure(size, layout="constrained")
    figure.suptitle(f"{metric} against each setting", fontsize=10)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, matter in zip(panels.flat, drawn, strict=False):
        _panel(axes, matter, best)
    for axes in panels.flat[len(drawn) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(metric, fontsize=8)
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=_DPI)
        return file.getvalue()


def _panel(axes: Axes, matter: Matter, best: float) -> None:
    places, names = _places(matter)
    scores = np.array(matter.scores)
    different = sorted(set(places))
    if matter.share is not None:  # else it would join single runs
        means = [scores[np.array(places) == place].mean() for place in different]
        axes.plot(different, means, color=_MEAN, linewidth=1, zorder=1)
    axes.scatter(places, scores, s=22, color=[_BEST if score == best else _DOT for score in scores], zorder=2)
    told = [f"explains {matter.share:.0%}"] if matter.share is not None else []
    told += [f"rank {matter.rank:+.2f}"] if matter.rank is not None else []
    axes.set_title("\n".join([matter.name, f"{', '.join([*told, f'{len(scores)} runs'])}"]), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.margins(0.12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if names is None and _logarithmic(different):
        axes.set_xscale("log")
    if names is not None or len(different) <= 6:  # ticks at the values themselves
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(different, names or [f"{place:g}" for place in different])
    if names is not None and sum(map(len, names)) > _ROOM:
        axes.tick_params(axis="x", labelrotation=30)


def _places(matter: Matter) -> tuple[list[float], list[str] | None]:
    """Return where values stand on the axis, and their names unless they are numbers."""
    if matter.numeric:
        return [float(value) for value in matter.values], None
    names = sorted(set(matter.values), key=shown)
    short = [name if len(name) <= _LONG else f"…{name[1 - _LONG :]}" for name in map(shown, names)]
    return [float(names.index(value)) for value in matter.values], short


def _logarithmic(values: Sequence[float]) -> bool:
    return len(values) > 1 and values[0] > 0 and values[-1] / values[0] >= _SPREAD
