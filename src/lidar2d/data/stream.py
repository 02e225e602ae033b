"""Which frames make up which training step: a function of the seed and the step alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int]  # pass over the frames, index of the frame


def frame_seed(seed: int, epoch: int, token: str) -> int:
    """Return the number that seeds all that is random about a frame in one pass; the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{token}".encode()).digest()
    return int.from_bytes(digest[:7], "big")  # 56 bits fit an int64 tensor


class Stream:
    """An endless order of frames, in global batches that every process cuts its own share from.

    Frames come in groups, each in its own shuffled passes; ``cycle`` says which group each place of the order takes
    its next frame from. One group is plain shuffling; a clear and some adverse groups in turn balance conditions.
    """

    def __init__(self, groups: Sequence[Sequence[int]], cycle: Sequence[int], batch_size: int, seed: int) -> None:
        self.groups = [np.asarray(group) for group in groups]
        self.cycle = np.asarray(cycle)
        self.batch_size = batch_size
        self.seed = seed

    def batch(self, step: int, rank: int = 0, world: int = 1) -> list[Key]:
        """Return one process's share of the global batch of a step."""
        share = self.batch_size // world
        first = step * self.batch_size + rank * share
        return [self._key(place) for place in range(first, first + share)]

    def _key(self, place: int) -> Key:
        turn, slot = divmod(place, len(self.cycle))
        group = int(self.cycle[slot])
        taken = turn * int((self.cycle == group).sum()) + int((self.cycle[:slot] == group).sum())
        epoch, position = divmod(taken, len(self.groups[group]))
        order = np.random.default_rng([self.seed, group, epoch]).permutation(len(self.groups[group]))
        return epoch, int(self.groups[group][order[position]])


class EachOnce(Sampler[list[int]]):
    """One process's batches of an evaluation: no frame is shown twice or left out, so the last batches may differ.

    Args:
        count: of the frames.
        batch_size: frames of a step over all processes.
        rank: of this process.
        world: number of processes.
    """

    def __init__(self, count: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        own, share = range(rank, count, world), max(1, batch_size // world)
        self.batches = [list(own[first : first + share]) for first in range(0, len(own), share)]

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of each batch."""
        return iter(self.batches)


class Chunk(Sampler[list[Key]]):
    """One process's batches of the next chunk of a stage: what the trainer takes for an epoch.

    A run can be resumed where a chunk ends. Passes over the frames are the stream's affair, so chunks are short
    whether there is one frame or there are a million.

    Args:
        stream: the order of the frames.
        total_steps: of the stage.
        chunk_steps: of a chunk; the last one of a stage may be shorter.
        step: tells how many steps the stage has done, also after a resume.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self, stream: Stream, total_steps: int, chunk_steps: int, step: Callable[[], int], rank: int, world: int
    ) -> None:
        self.stream = stream
        self.total_steps = total_steps
        self.chunk_steps = chunk_steps
        self.step = step
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        """Return the steps of the chunk that starts now."""
        return min(self.chunk_steps, self.total_steps - self.step())

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield this process's share of each batch."""
        first = self.step()
        for step in range(first, first + len(self)):
            yield self.stream.batch(step, self.rank, self.world)
