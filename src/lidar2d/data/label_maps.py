"""Raw labels of a data set as the classes of its card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.files import BadFileError
from lidar2d.errors import UsageError

_UNKNOWN = -2  # a raw label that the card does not know


class LabelMap:
    """What the card's label_map says of every raw label.

    Args:
        card: with a label_map.
        size: raw labels are less than this.

    Raises:
        UsageError: if the card knows a larger one.
    """

    def __init__(self, card: Card, size: int) -> None:
        self._table = np.full(size, _UNKNOWN, dtype=np.int64)
        for raw, index in (card.label_map or {}).items():
            if raw >= size:
                raise UsageError(f"card {card.name}: label_map has the raw label {raw}; its files hold 0 to {size - 1}")
            self._table[raw] = index

    def classes(self, raw: NDArray[np.integer[Any]], path: Path) -> Tensor:
        """Return the class (...) of raw labels (...) that were read from a file, -1 for those to ignore.

        Raises:
            BadFileError: naming the first label that the card does not know.
        """
        found = self._table[raw]
        if (unknown := raw[found == _UNKNOWN]).size:
            raise BadFileError(path, f"has label {unknown.flat[0]}, which the card's label_map does not know")
        return torch.from_numpy(found)
