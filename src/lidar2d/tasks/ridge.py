"""A linear probe in closed form: deterministic, no step size, no epochs."""

from __future__ import annotations

import torch
from torch import Tensor


class RidgeProbe:
    """Ridge regression of one-hot classes on frozen features, from sums that any number of rows can be added to.

    Each class counts as much as its frequency to the power ``1 - balance``: 0 is plain least squares, which gives
    rare classes up; 1 weighs all classes alike.
    """

    def __init__(self, channels: int, classes: int, balance: float = 0.5, ridge: float = 1e-3) -> None:
        self.balance = balance
        self.ridge = ridge
        self.grams = torch.zeros(classes, channels + 1, channels + 1, dtype=torch.float64)
        self._classifier: Tensor | None = None

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add rows (P, C) with their classes (P,); labels below 0 are left out."""
        self._classifier = None
        for label in range(len(self.grams)):
            if (labels == label).any():
                rows = _with_bias(features[labels == label].double())
                self.grams[label] += rows.T @ rows

    def mean(self) -> Tensor:
        """Return the mean feature (C,) of all rows."""
        total = self.grams.sum(0)
        return (total[-1, :-1] / total[-1, -1]).float()

    def solve(self) -> Tensor:
        """Return the classifier (C + 1, classes); its last row is the bias.

        Raises:
            ValueError: if no labelled row was added.
        """
        if self._classifier is None:
            count = self.grams[:, -1, -1]
            if count.sum() == 0:
                raise ValueError("the probe has seen no labelled feature")
            weight = torch.where(count > 0, (count / count.sum()).clamp_min(1e-12) ** -self.balance, 0.0)
            gram = torch.einsum("k,kij->ij", weight, self.grams)  # k classes
            target = (weight[:, None] * self.grams[:, :, -1]).T  # sums of the rows of each class
            scale = gram.diagonal()[:-1].mean()
            penalty = torch.full((len(gram),), float(self.ridge * scale), dtype=torch.float64)
            penalty[-1] = 0  # the bias goes free
            self._classifier = torch.linalg.solve(gram + penalty.diag(), target)
        return self._classifier

    def predict(self, features: Tensor) -> Tensor:
        """Return the class (P,) of each row (P, C)."""
        solved = self.solve().to(features)
        prediction: Tensor = (features @ solved[:-1] + solved[-1]).argmax(-1)
        return prediction


def _with_bias(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
