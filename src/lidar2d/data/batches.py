"""Frames of a source as batches: augmented ones to train on, plain ones to judge by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from lidar2d.data.augment import Augment
from lidar2d.data.pixels import read_pixels
from lidar2d.data.source import FromFiles, Source
from lidar2d.data.stream import Key, frame_seed
from lidar2d.data.windows import resize
from lidar2d.data.wrapped import some_cameras
from lidar2d.errors import DataError, UsageError
from lidar2d.frame import Batch, Frame, collate


@contextmanager
def _one_thread() -> Iterator[None]:
    """Read on one thread, as workers do: sums that several threads share have other last digits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class TrainingFrames(Dataset[Batch | UsageError]):
    """Augmented batches by key; what is random about a frame comes from (seed, pass, token)."""

    def __init__(
        self,
        source: Source,
        seed: int,
        augment: Augment,
        image_size: tuple[int, int] | None,
        cameras: int | None,
        bad_files: Literal["stop", "skip"],
    ) -> None:
        self.source = source
        self.seed = seed
        self.augment = augment
        self.image_size = image_size
        self.cameras = cameras
        self.bad_files = bad_files

    def __getitem__(self, keys: Sequence[Key]) -> Batch | UsageError:
        """Read, augment and pack the frames of one batch.

        Returns:
            The batch; or the error, at a bad file, at points that no network can read, or when every frame of a batch
            that skips them is bad. It is handed over, not raised, because an exception would leave a worker process as
            a page of traceback.
        """
        frames, seeds, faults = [], [], []
        for epoch, index in keys:
            seed = frame_seed(self.seed, epoch, self.source.tokens[index])
            try:
                with _one_thread():
                    frames.append(self._frame(index, np.random.default_rng(seed)))
                seeds.append(seed)
            except DataError as fault:
                if self.bad_files == "stop":
                    return fault
                faults.append(str(fault))
        if not frames:
            return DataError(f"every frame of a batch is bad; the first: {faults[0]}")
        try:
            return replace(collate(frames, seeds, self.source.card.clear), skipped=len(faults))
        except UsageError as fault:
            return fault

    def _frame(self, index: int, rng: np.random.Generator) -> Frame:
        frame = self.source.unread(index) if isinstance(self.source, FromFiles) else self.source[index]
        if self.cameras is not None and self.cameras < len(frame.images):
            frame = some_cameras(frame, np.sort(rng.permutation(len(frame.images))[: self.cameras]).tolist())
        frame = self.augment.move(frame, rng)
        if not self.augment.crop_size:  # crops have their own size
            frame = resize(frame, self.image_size)
        return self.augment.shade(read_pixels(frame), rng)


class EvaluationFrames(Dataset[Batch | UsageError]):
    """Batches of frames as the source reads them, by their indices."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, indices: Sequence[int]) -> Batch | UsageError:
        """Read and pack frames.

        Returns:
            The batch, or the error at the first bad file: a result without some frames would be another result.
        """
        try:
            with _one_thread():
                frames = [self.source[index] for index in indices]
            seeds = [frame_seed(0, 0, frame.token) for frame in frames]
            return collate(frames, seeds, self.source.card.clear)
        except UsageError as fault:
            return fault
