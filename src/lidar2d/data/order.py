"""In which order a stage shows its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lidar2d.data.joined import Joined, cycle
from lidar2d.data.source import Source
from lidar2d.data.stream import Stream
from lidar2d.errors import UsageError

Conditions = Literal["clear", "all"]
Balance = Literal["none", "half"]  # half of the frames are clear, the others evenly of each other condition


def order(
    source: Source, conditions: Conditions, balance: Balance, weights: Sequence[float], batch_size: int, seed: int
) -> Stream:
    """Order the frames of a stage.

    Args:
        source: all frames that train.
        conditions: of the frames to show.
        balance: of the conditions of one data set.
        weights: of several data sets.
        batch_size: frames in a step.
        seed: of the order.

    Raises:
        UsageError: if no frame has such a condition, or several data sets are to be balanced by condition.
    """
    if isinstance(source, Joined):
        return _several(source, conditions, balance, weights, batch_size, seed)
    card = source.card
    by_condition: dict[str, list[int]] = {}
    for index, condition in enumerate(source.conditions):
        by_condition.setdefault(condition, []).append(index)
    clear = [index for name in card.clear for index in by_condition.get(name, [])]
    if conditions == "clear":
        if not clear:
            known = f"clear are {', '.join(card.clear)}" if card.clear else "its card calls no condition clear"
            raise UsageError(f"no training frame of {card.name} is clear: {known}\nset --method.STAGE.conditions all")
        return Stream([clear], [0], batch_size, seed)
    adverse = [group for name, group in sorted(by_condition.items()) if name not in card.clear]
    if balance == "none" or not clear or not adverse:
        return Stream([list(range(len(source)))], [0], batch_size, seed)
    places = [place for group in range(1, len(adverse) + 1) for place in (0, group)]
    return Stream([clear, *adverse], places, batch_size, seed)


def _several(
    source: Joined, conditions: Conditions, balance: Balance, weights: Sequence[float], batch_size: int, seed: int
) -> Stream:
    """Order the frames of several data sets by their weights."""
    if balance != "none":
        raise UsageError(f"balance {balance} orders the conditions of one data set; with --data.also it must be none")
    groups: list[list[int]] = [[] for _ in source.sources]
    for index, condition in enumerate(source.conditions):
        if conditions == "all" or condition in source.card.clear:
            groups[source.find(index)[0]].append(index)
    if empty := [part.card.name for part, group in zip(source.sources, groups, strict=True) if not group]:
        raise UsageError(f"{empty[0]} has no clear frame to train on beside the other data sets")
    return Stream(groups, cycle(weights), batch_size, seed)
