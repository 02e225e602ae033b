"""Shares of the training labels: by the rules of the published protocols, and other draws, to see how much one says."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from lidar2d.data.source import InScenes, Source
from lidar2d.data.wrapped import part
from lidar2d.errors import UsageError

Percent = Literal[1, 5, 10, 25, 50, 100]


@runtime_checkable
class ListsScenes(InScenes, Protocol):
    """A source that knows the order of its scenes."""

    listed: Sequence[str]  # the split's scenes, in the order of the data set's table of scenes


def share(source: Source, percent: Percent, draw: int = 0) -> Source:
    """Return a share of a source's frames.

    nuScenes is shared out by scenes, of which SLidR's protocol keeps the k-th, the 2k-th, ... of the split in the
    tables' order; KITTI by frames, of which it keeps the first, the (k+1)-th, ... of the sorted ones. Other draws keep
    as many, drawn at random.

    Args:
        source: the frames; its card says what is counted.
        percent: 100 / k.
        draw: 0 is the published one.

    Raises:
        UsageError: if the card does not say what is counted, or nothing is left.
    """
    if percent == 100:
        return source
    card = source.card
    if card.share_by is None:
        raise UsageError(f"{card.name} has no published rule for a share of its labels; leave --data.share out")
    every = 100 // percent
    if card.share_by == "scene":
        if not isinstance(source, ListsScenes):
            raise UsageError(f"card {card.name}: share_by is scene, but its reader {card.reader} names no scenes")
        scenes = source.listed
        kept = set(_drawn(scenes, scenes[every - 1 :: every], draw, every))
        rows = [row for row, scene in enumerate(source.scenes) if scene in kept]
    else:
        frames = sorted(source.tokens)
        kept = set(_drawn(frames, frames[::every], draw, every))
        rows = [row for row, token in enumerate(source.tokens) if token in kept]
    if not rows:
        raise UsageError(f"{percent} % of {card.name} leaves nothing: it counts every {every}th {card.share_by}")
    return part(source, rows)


def _drawn(units: Sequence[str], published: Sequence[str], draw: int, every: int) -> list[str]:
    if not draw:
        return list(published)
    rng = np.random.default_rng([draw, every])
    return [units[row] for row in rng.permutation(len(units))[: len(published)]]


def digest(tokens: Sequence[str]) -> str:
    """Return the SHA-256 of a list of frames, one a line: two records with the same one saw the same frames."""
    return hashlib.sha256("".join(f"{token}\n" for token in tokens).encode()).hexdigest()
