"""Several data sets as one source, for pre-training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lidar2d.data.source import FromFiles, Preparable, Problem, Source
from lidar2d.errors import UsageError, within
from lidar2d.frame import Frame

_PLACES = 100  # of a cycle, so that shares are kept to a percent

_S = TypeVar("_S", bound=Source)


@dataclass(frozen=True)
class Also:
    """Another data set that trains beside the first.

    Args:
        card: name of the data set, or path of a card.
        root: the folder that holds it.
        split: the frames that train; None is the card's training split.
        weight: how many of its frames are shown, beside the weights of the others.
    """

    card: str
    root: str | None = None
    split: str | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(1e-3, 1e3, **{f"weight of {self.card}": self.weight})


class Joined:
    """The frames of several sources, one source after another; tokens begin with their card's name.

    What the first card calls classes is not what others do: frames of cards with other classes lose their labels.

    Args:
        sources: at least one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources: Sequence[Source] = list(sources)
        first = sources[0].card
        clear = dict.fromkeys(name for source in sources for name in source.card.clear)
        names = "+".join(source.card.name for source in sources)
        self.card = replace(first, name=names, clear=tuple(clear))
        self.tokens: Sequence[str] = [f"{s.card.name}/{token}" for s in sources for token in s.tokens]
        self.conditions: Sequence[str] = [name for source in sources for name in source.conditions]
        self._starts = np.cumsum([0, *(len(source) for source in sources)])
        if len(set(self.tokens)) < len(self.tokens):
            raise UsageError(f"{names}: a data set stands twice among those that train; give other splits, or drop one")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        place, own = self.find(index)
        return self.renamed(self.sources[place][own], place)

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each frame's token with its problems."""
        for source in self.sources:
            yield from ((f"{source.card.name}/{token}", found) for token, found in source.check())

    def prepare(self, workers: int, progress: bool) -> None:
        """Make what the sources make."""
        for source in self.sources:
            if isinstance(source, Preparable):
                source.prepare(workers, progress)

    def find(self, index: int) -> tuple[int, int]:
        """Return which source a frame is of, and its index there."""
        place = int(np.searchsorted(self._starts, index, side="right")) - 1
        return place, index - int(self._starts[place])

    def renamed(self, frame: Frame, place: int) -> Frame:
        """Return a frame of a source as one of all."""
        card = self.sources[place].card
        frame = replace(frame, token=f"{card.name}/{frame.token}")
        if card.classes != self.card.classes:
            frame = replace(frame, labels=None, pixel_labels=None)
        return frame if card.box_classes == self.card.box_classes else replace(frame, boxes=None)


class JoinedFiles(Joined):
    """The same, of sources whose images are files."""

    def __init__(self, sources: Sequence[FromFiles]) -> None:
        super().__init__(sources)
        self.sources: Sequence[FromFiles] = list(sources)
        self.image_size = sources[0].image_size

    def unread(self, index: int) -> Frame:
        """Read all of a frame but its pixels.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        place, own = self.find(index)
        return self.renamed(self.sources[place].unread(own), place)

    def image_root(self, index: int) -> Path:
        """Return the folder of a frame's data set, which its images lie below."""
        place, own = self.find(index)
        return self.sources[place].image_root(own)

    def image_files(self, index: int) -> list[Path]:
        """Return the paths of a frame's images, below its data set's folder."""
        place, own = self.find(index)
        return self.sources[place].image_files(own)


def join(sources: Sequence[Source]) -> Source:
    """Return several sources as one; their images are read last, if all of them are files."""
    if len(sources) == 1:
        return sources[0]
    files = [source for source in sources if isinstance(source, FromFiles)]
    return JoinedFiles(files) if len(files) == len(sources) else Joined(sources)


def cycle(weights: Sequence[float]) -> list[int]:
    """Return which source each place of a cycle takes its frame from, evenly spread, in proportion to the weights.

    Raises:
        UsageError: if a weight is too small to have a place.
    """
    wanted = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    places: list[int] = []
    for place in range(1, _PLACES + 1):
        taken = np.bincount(places, minlength=len(wanted))
        places.append(int(np.argmax(wanted * place - taken)))
    if len(set(places)) < len(weights):
        low, high = min(weights), max(weights)
        raise UsageError(f"weight {low:g} beside {high:g} shows less than one frame in {_PLACES}; give it more")
    return places
