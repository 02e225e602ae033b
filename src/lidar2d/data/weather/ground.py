"""The plane of the road, found in the points alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidar2d.data.weather.corruption import Floats

_CELL, _REACH = 2.0, 30.0  # metres: side of the cells whose lowest points are fitted, and how far they reach
_THICK = (0.5, 0.25, 0.15)  # metres from the plane, beyond which a point is left out of the next fit
_STEEP = 0.2  # of a road: rise per metre, beyond which it is no road
_USUAL = (0.0, 0.0, 1.0, 1.8)  # a level road below a LiDAR on a roof, where no plane is found


def plane(points: Floats) -> NDArray[np.float64]:
    """Return (4,) n and d of the road's plane n x + d = 0, n upward and of length 1, in metres of the LiDAR frame.

    The lowest point of each cell of 2 metres within 30 is fitted by least squares, three times, each time without what
    lies far from the last plane. A LiDAR that sees no road is taken to stand 1.8 metres above a level one.
    """
    near = points[(np.abs(points[:, :2]) < _REACH).all(1), :3].astype(np.float64)
    if len(near) < 3:
        return np.array(_USUAL)
    cells = np.floor(near[:, :2] / _CELL).astype(np.int64) @ np.array([1 << 16, 1])
    order = np.lexsort((near[:, 2], cells))
    low = near[order[np.unique(cells[order], return_index=True)[1]]]
    # cells that hold no road have higher lowest points: start from the lowest half
    low = low[low[:, 2] <= np.median(low[:, 2]) + _THICK[0]]
    found = _fit(low)
    for thick in _THICK:
        close = low[np.abs(low @ found[:3] + found[3]) < thick]
        if len(close) < 3:
            break
        found = _fit(close)
    return found if np.hypot(found[0], found[1]) < _STEEP and found[3] > 0 else np.array(_USUAL)


def _fit(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit z = a x + b y + c by least squares; a little weight holds a and b at 0 where points do not tell them."""
    rows = np.column_stack([points[:, :2], np.ones(len(points))])
    (a, b, c), *_ = np.linalg.lstsq(
        np.vstack([rows, np.diag([1.0, 1.0, 0.0])]), np.append(points[:, 2], [0, 0, 0]), rcond=None
    )
    found: NDArray[np.float64] = np.array([-a, -b, 1.0, -c]) / np.sqrt(a * a + b * b + 1)
    return found


def height(xyz: Floats, road: NDArray[np.float64]) -> Floats:
    """Return how high (N,) points stand above the road, metres."""
    found: Floats = (xyz[:, :3] @ road[:3] + road[3]).astype(np.float32)
    return found
