"""A source of clear frames, and of what each corruption makes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lidar2d.data.card import Card
from lidar2d.data.source import Moving, Problem, Source
from lidar2d.data.twins import scene_names, scene_of
from lidar2d.data.weather.corruption import Corruption
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint, with_truth
from lidar2d.data.weather.table import load_table
from lidar2d.data.windows import resize
from lidar2d.data.wrapped import part
from lidar2d.errors import DataError, SettingError, UsageError
from lidar2d.frame import Frame
from lidar2d.results.record import CLEAR, WEATHER
from lidar2d.writing import write_atomically


@dataclass(frozen=True)
class Weather:
    """Bad weather that frames are judged in, beside clear air.

    Args:
        table: of the corruptions, by name or path.
        corruptions: those of the table; None takes all.
        severities: 1 is the least; None takes all that each corruption has.
        keep: a frame that was corrupted once is kept on disk, where a suite reads it again for every method.
    """

    table: str = WEATHER
    corruptions: tuple[str, ...] | None = None
    severities: tuple[int, ...] | None = None
    keep: bool = False

    def listed(self) -> list[Bad]:
        """Return every corruption at every severity.

        Raises:
            UsageError: if the table has no such one, or one is named twice.
        """
        table = load_table(self.table)
        names = list(table.corruptions) if self.corruptions is None else list(self.corruptions)
        found: list[Bad] = []
        for name in names:
            there = range(1, len(table.levels(name)) + 1)
            found += [Bad(table, name, each) for each in (there if self.severities is None else self.severities)]
        for bad in found:
            table.at(bad.name, bad.severity)
        for setting, given in (("corruptions", self.corruptions), ("severities", self.severities)):
            if given is not None and not given:
                raise SettingError(f"--data.weather.{setting}", given, "name at least one, or leave it out for all")
            if given is not None and len(set(given)) < len(given):
                raise SettingError(f"--data.weather.{setting}", given, "each must stand once")
        return found


class Weathered:
    """The clear frames of a source, and each of them under every corruption.

    Args:
        source: at its cameras' own resolution: pictures are corrupted before they are resized.
        weather: what is done to the frames.
        image_size: (height, width) of the images afterwards; None leaves them.
        folder: that keeps what was made of frames, for sources of the same data; None keeps nothing.

    Raises:
        UsageError: if no frame is clear, or there is no such corruption.
    """

    def __init__(
        self, source: Source, weather: Weather, image_size: tuple[int, int] | None, folder: Path | None = None
    ) -> None:
        self.image_size, self.folder = image_size, folder
        rows = [row for row, name in enumerate(source.conditions) if name in source.card.clear]
        if not rows:
            raise UsageError(f"{source.card.name}: no frame has a clear condition; weather is made of clear frames")
        self.clear = part(source, rows)
        listed = weather.listed()
        self.table = str(listed[0].table)
        self.bads: list[Bad | None] = [None, *listed]
        names = [CLEAR, *(str(bad) for bad in self.bads if bad is not None)]
        self.card: Card = replace(source.card, clear=(CLEAR,), adverse=tuple(names[1:]))
        self.conditions: Sequence[str] = [name for name in names for _ in rows]
        own = [scene_of(*each) for each in zip(self.clear.tokens, self.clear.conditions, strict=True)]
        self.tokens: Sequence[str] = [f"{token}-{name}" for name in names for token in own]
        self.scenes: Sequence[str] = [*scene_names(self.clear)] * len(names)
        self.fingerprints: dict[str, str] = {}  # of the frames that were read so far, by token
        self.changed: set[str] = set()  # conditions, in which any frame was
        self.clear_points = False

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame.

        Raises:
            DataError: naming the file that is missing, unreadable or wrong.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        index %= len(self)
        variant, place = divmod(index, len(self.clear))
        clear, bad = self.clear[place], self.bads[variant]
        found = resize(clear, self.image_size) if bad is None else self._bad(clear, bad)
        token, condition = self.tokens[index], self.conditions[index]
        told = self.fingerprints[token] = fingerprint(found)
        if condition not in self.changed and (
            bad is None or bad.corruption.everywhere or told != fingerprint(resize(clear, self.image_size))
        ):
            self.changed.add(condition)
        if self.clear_points:
            found = replace(found, points=clear.points, labels=clear.labels, boxes=clear.boxes)
        return replace(found, token=token, condition=condition)

    def with_clear_points(self) -> Weathered:
        """Return the same frames with the points of clear air: where cameras are judged, LiDAR only tells the truth."""
        found = copy(self)
        found.clear_points = True
        return found

    def _bad(self, clear: Frame, bad: Bad) -> Frame:
        small = resize(clear, self.image_size)
        if self.folder is None:
            return with_truth(self._made(clear, bad), small)
        # a table of one's own may change its numbers without its version
        does = hashlib.sha256(repr(bad.corruption).encode()).hexdigest()[:12]
        path = self.folder / str(bad.table) / f"{bad}-{does}" / f"{clear.token}.npz"
        if not path.is_file():
            write_atomically(path, lambda unfinished: _write(unfinished, self._made(clear, bad)))
        return with_truth(_read(path, small), small)

    def _made(self, clear: Frame, bad: Bad) -> Frame:
        return resize(corrupt(clear, bad, self.card), self.image_size)

    def corruption(self, condition: str) -> Corruption | None:
        """Return what is done to the frames of a condition; None of clear frames, and of all together."""
        return next((bad.corruption for bad in self.bads if bad is not None and str(bad) == condition), None)

    def fingerprint(self, condition: str) -> str:
        """Return 12 digits that tell what the sensors saw in the frames of a condition that were read.

        Raises:
            DataError: if none of them was changed.
        """
        told = [
            self.fingerprints[token]
            for token, name in zip(self.tokens, self.conditions, strict=True)
            if name == condition and token in self.fingerprints
        ]
        if told and condition not in self.changed:
            raise DataError(
                f"{condition} of {self.table} has left all {len(told)} frames as they were; no number tells of it\n"
                "leave it out: name the others in --data.weather.corruptions"
            )
        return hashlib.sha256("".join(told).encode()).hexdigest()[:12] if told else ""

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        """Yield each clear frame's token with its problems."""
        return self.clear.check()

    def following(self, index: int) -> tuple[int, Tensor] | None:
        """Return the next frame in the same weather, and the motion to it; None where there is none."""
        variant, place = divmod(index, len(self.clear))
        found = self.clear.following(place) if isinstance(self.clear, Moving) else None
        return None if found is None else (variant * len(self.clear) + found[0], found[1])


def _write(path: Path, frame: Frame) -> None:
    """Keep what the sensors of a frame saw; its truth is that of the clear one."""
    kept = {"points": frame.points.numpy(), "images": (frame.images * 255).round().byte().numpy()}
    if frame.labels is not None:
        kept["labels"] = frame.labels.numpy().astype(np.int16)
    if frame.boxes is not None and frame.boxes.hits is not None:
        kept["hits"] = frame.boxes.hits.numpy()
    with path.open("wb") as file:
        np.savez(file, **kept)


def _read(path: Path, clear: Frame) -> Frame:
    with np.load(path) as kept:
        labels = torch.from_numpy(kept["labels"].astype(np.int64)) if "labels" in kept else clear.labels
        boxes = clear.boxes
        if boxes is not None and "hits" in kept:
            boxes = replace(boxes, hits=torch.from_numpy(kept["hits"]))
        return replace(
            clear,
            points=torch.from_numpy(kept["points"]),
            images=torch.from_numpy(kept["images"]).float().div_(255),
            files=(),
            labels=labels,
            boxes=boxes,
        )
