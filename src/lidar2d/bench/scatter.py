"""Features as a map: places in the plane, coloured by class, of all conditions together and of each."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# their areas; cards give kindred classes kindred colours
_MARKERS = {"o": 1.0, "s": 0.9, "^": 1.0, "D": 0.9, "v": 1.0, "P": 1.5, "X": 1.4, "*": 1.9}
_FAINT = "#dddddd"
_SIDE = 7.0  # inches of the large panel
_DPI = 130


def scatter(
    places: NDArray[np.float32],
    labels: NDArray[np.int64],
    conditions: Sequence[str],
    names: Sequence[str],
    colours: Pixels,
    title: str,
) -> Pixels:
    """Draw places as a picture (H, W, 3): a large panel, and beside it one for each condition where there are several.

    Args:
        places: (P, 2) without unit.
        labels: (P,) of each place, an index into the names.
        conditions: of each place.
        names: of the classes.
        colours: (at least as many as names, 3) of the classes.
        title: of the picture.
    """
    places = _wide(places)
    (width, height) = np.ptp(places, axis=0)
    kinds = list(dict.fromkeys(conditions))
    several = len(kinds) > 1
    columns, rows = (2, -(-len(kinds) // 2)) if several else (0, 1)
    share = max(rows, 2)  # of the large panel, in small ones
    tall = _SIDE * float(np.clip(height / max(width, 1e-9), 0.5, 1))
    figure = Figure((_SIDE * (1 + columns / share) + 2.2, tall + 0.3 + 0.25 * rows), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.add_gridspec(rows, 1 + columns, width_ratios=[share, *[1] * columns])
    hues = colours / 255.0
    large = _panel(figure.add_subplot(grid[:, 0]), f"{'all conditions' if several else kinds[0]}, by class", places)
    _draw(large, places, labels, hues, 22)
    for number, kind in enumerate(kinds if several else []):
        row, column = divmod(number, 2)
        own = np.array([each == kind for each in conditions])
        small = _panel(figure.add_subplot(grid[row, 1 + column]), kind, places)
        small.scatter(places[~own, 0], places[~own, 1], s=4, color=_FAINT, linewidths=0)
        _draw(small, places[own], labels[own], hues, 9)
    marks = [
        Line2D([], [], ls="", marker=_marker(label), color=hues[label], ms=6, label=names[label])
        for label in np.unique(labels)
    ]
    figure.legend(handles=marks, loc="outside right upper", frameon=False, fontsize=9)
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=_DPI)
        return np.asarray(Image.open(file).convert("RGB"))


def _wide(places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn places (P, 2), whose turn means nothing, so that they reach farthest from left to right."""
    centred = places - places.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    turned: NDArray[np.float32] = centred @ directions.T
    return turned


def _panel(axes: Axes, title: str, places: NDArray[np.float32]) -> Axes:
    """Prepare a panel that shows all places, whichever of them are drawn."""
    axes.set_title(title, fontsize=9)
    low, high = places.min(0), places.max(0)
    gap = 0.03 * float((high - low).max()) + 1e-6
    axes.set(
        xticks=[], yticks=[], aspect="equal", xlim=(low[0] - gap, high[0] + gap), ylim=(low[1] - gap, high[1] + gap)
    )
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
    return axes


def _draw(
    axes: Axes, places: NDArray[np.float32], labels: NDArray[np.int64], hues: NDArray[np.float64], size: float
) -> None:
    for label in np.unique(labels):
        own, marker = labels == label, _marker(label)
        area = size * _MARKERS[marker]
        axes.scatter(
            places[own, 0], places[own, 1], s=area, color=hues[label], marker=marker, edgecolors="white", linewidths=0.2
        )


def _marker(label: int) -> str:
    return list(_MARKERS)[label % len(_MARKERS)]
