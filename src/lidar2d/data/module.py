"""LidarData: the one datamodule, for every method and every data set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from lidar2d.data.annotations import WeakLabels, annotated
from lidar2d.data.augment import Augment
from lidar2d.data.batches import EvaluationFrames, TrainingFrames
from lidar2d.data.card import Card, load_card
from lidar2d.data.clouds import check_box
from lidar2d.data.joined import Also, join
from lidar2d.data.labels import WithLabelFiles
from lidar2d.data.order import Balance, Conditions, order
from lidar2d.data.regions import Superpixels
from lidar2d.data.shares import Percent, digest, share
from lidar2d.data.source import Preparable, Source, open_source
from lidar2d.data.stream import Chunk, EachOnce, Stream
from lidar2d.data.weather.source import Weather, Weathered
from lidar2d.data.wrapped import Range, as_asked
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Annotation, Batch
from lidar2d.paths import cache_folder, expanded

CHUNK_STEPS = 50  # a run can be resumed every so many steps


class LidarData(LightningDataModule):
    """A data set, split by split, as batches.

    Args:
        card: name of a data set, or path of a card.
        root: the folder that holds it; the synthetic town keeps its scenes there, in $LIDAR2D_CACHE where it is None.
        split: the frames that train; None is the card's training split.
        also: other data sets that train beside this one, each with its card, root, split and weight.
        weight: of this one beside those.
        share: percent of the training frames, for methods that learn from their labels, by the published rule.
        draw: which frames a share has: 0 is the published one; 1, 2, 3, ... tell how much that says.
        val: the frames that recipes are chosen on; None is the card's.
        probe: the labelled frames that linear probes are fitted on; None is the card's.
        test: the labelled frames that probes are judged on; None is the card's.
        batch_size: frames in a step over all devices; the number of devices must divide it.
        image_size: (height, width) that images are resized to; None takes the card's.
        sweeps: of the LiDAR in each frame: its own and those before it, for data sets that have them; a fifth column of
            the points has their age in seconds.
        cameras: the most cameras that a training frame shows, drawn anew each time; or the names of those that every
            frame of this data set shows; None shows all.
        points_range: metres: every frame, in training and in evaluation, has the points within [x0, y0, z0, x1, y1, z1]
            alone; None keeps all. ``augment.box`` does it in training, after points have moved.
        workers: processes that read frames beside the training process.
        augment: what is random about a training frame.
        superpixels: how the training images are cut into superpixels, for methods that want them; None does not.
        weak_labels: what gives the pixels of the training images weak labels, for methods that want them: ModelLabels,
            ClusterLabels; None does not.
        label_folder: a folder of PNG files with weak labels, in place of ``weak_labels``.
        weather: bad weather that the test frames in clear air are judged in, beside clear air; None judges them as they
            are.
        bad_files: ``stop`` at a frame that cannot be read, naming its file, or ``skip`` it and count.
    """

    def __init__(
        self,
        card: str = "synthetic",
        root: str | None = None,
        split: str | None = None,
        also: list[Also] | None = None,
        weight: float = 1.0,
        share: Percent = 100,
        draw: int = 0,
        val: str | None = None,
        probe: str | None = None,
        test: str | None = None,
        batch_size: int = 4,
        image_size: tuple[int, int] | None = None,
        sweeps: int = 1,
        cameras: int | list[str] | None = None,
        points_range: Range | None = None,
        workers: int = 0,
        augment: Augment = Augment(),  # noqa: B008 a frozen dataclass
        superpixels: Superpixels | None = None,
        weak_labels: WeakLabels | None = None,
        label_folder: str | None = None,
        weather: Weather | None = None,
        bad_files: Literal["stop", "skip"] = "stop",
    ) -> None:
        super().__init__()
        self.named: list[str] | None = cameras if isinstance(cameras, list) else None
        self.cameras: int | None = None if isinstance(cameras, list) else cameras
        within(1, batch_size=batch_size, cameras=self.cameras)
        within(1, 100, sweeps=sweeps)
        within(8, 8192, image_size=image_size)
        within(0, workers=workers, draw=draw)
        self.card: Card = load_card(card)
        self.root = root
        self.split = split or self.card.train
        within(1e-3, 1e3, weight=weight)
        self.also, self.weight = also or [], weight
        if draw and share == 100:
            raise SettingError("draw", draw, "all frames are shown where no share is given; set --data.share as well")
        self.share: Percent = share
        self.draw = draw
        self.val = val or self.card.val
        self.probe = probe or self.card.probe
        self.test = test or self.card.test
        for name in (self.split, self.val, self.probe, self.test):
            if name:
                self.card.split(name)
        self.batch_size = batch_size
        self.image_size = image_size or self.card.image_size
        self.sweeps = sweeps
        check_box("points_range", points_range)
        self.points_range = points_range
        self.workers = workers
        self.augment = augment
        if weak_labels is not None and label_folder is not None:
            raise UsageError("data.weak_labels and data.label_folder both give weak labels; leave one of them out")
        self.superpixels, self.weak_labels, self.label_folder = superpixels, weak_labels, label_folder
        self.weather = weather
        self.bad_files: Literal["stop", "skip"] = bad_files
        self._opened: dict[str, Source] = {}  # splits
        self._shown: Source | None = None
        self.skipped = 0  # frames left out so far because a file of theirs is bad

    def source(self, split: str | None = None) -> Source:
        """Open a split as raw frames, resized to the image size; once, for it may list a hundred thousand files."""
        name = split or self.split
        if name not in self._opened:
            opened = self._open(self.card, name, self.root)
            self._opened[name] = as_asked(opened, self.named, self.points_range)
        return self._opened[name]

    def judged(self) -> Source:
        """Open the test frames, in bad weather where it is asked for.

        Raises:
            UsageError: if the data set names no test split, or has no such weather.
        """
        name = self._named("test", self.test)
        if self.weather is None:
            return self.source(name)
        # pictures are corrupted as the cameras took them, and resized afterwards
        opened = as_asked(open_source(self.card, name, self.root, None, self.sweeps), self.named, self.points_range)
        return Weathered(opened, self.weather, self.image_size, self._weathered())

    def _weathered(self) -> Path | None:
        """Return the folder that keeps frames in bad weather, named by all that they depend on."""
        if self.weather is None or not self.weather.keep:
            return None
        asked = (self.card, str(self.root), self.test, self.image_size, self.sweeps, self.named, self.points_range)
        return cache_folder() / "weather" / hashlib.sha256(repr(asked).encode()).hexdigest()[:12]

    def shown(self) -> Source:
        """Open the frames that train: a share of the training split, and those of other data sets."""
        if self._shown is None:
            own = self.source() if self.share == 100 else self._share()
            self._shown = join([own, *map(self._other, self.also)])
        return self._shown

    def trained_on(self) -> dict[str, str | int]:
        """Return facts about the frames that train, for records."""
        tokens = self.shown().tokens
        given = {"split": self.split, "share": self.share, "draw": self.draw}
        return {**given, "frames": len(tokens), "sha256": digest(tokens)}

    def _open(self, card: Card, split: str, root: str | None) -> Source:
        return open_source(card, split, root, self.image_size, self.sweeps)

    def _share(self) -> Source:
        """Share out the frames as the data set lists them: what they show and which points they have comes later."""
        listed = share(self._open(self.card, self.split, self.root), self.share, self.draw)
        return as_asked(listed, self.named, self.points_range)

    def _other(self, other: Also) -> Source:
        card = load_card(other.card)
        try:
            return as_asked(self._open(card, other.split or card.train, other.root), None, self.points_range)
        except UsageError as error:
            raise UsageError(f"--data.also, {card.name}: {str(error).replace('--data.root', 'its root')}") from None

    def annotated(self) -> dict[Annotation, str]:
        """Return what the training images are given beside what the data set says of them, and by which setting."""
        found: dict[Annotation, str] = {}
        if self.superpixels is not None:
            found["regions"] = "superpixels"
        if self.weak_labels is not None or self.label_folder is not None:
            found["weak_labels"] = "label_folder" if self.weak_labels is None else "weak_labels"
        return found

    def training(self, conditions: Conditions = "all") -> Source:
        """Open the training split as raw frames, with what was asked to be found in their images.

        Args:
            conditions: of the frames in which it is found beforehand, if the source is prepared.
        """
        source = self.shown()
        wanted = source.card.clear if conditions == "clear" else None
        if self.label_folder is not None:
            source = WithLabelFiles(source, expanded(self.label_folder))
        for annotator in (self.weak_labels, self.superpixels):
            if annotator is not None:
                source = annotated(source, annotator, wanted)
        return source

    def stream(self, conditions: Conditions, balance: Balance, seed: int) -> Stream:
        """Order the training frames of a stage.

        Raises:
            UsageError: if no frame has such a condition, or several data sets are to be balanced by condition.
        """
        weights = [self.weight, *(other.weight for other in self.also)]
        return order(self.shown(), conditions, balance, weights, self.batch_size, seed)

    def steps_per_epoch(self, conditions: Conditions) -> int:
        """Return how many steps show about as many frames as there are."""
        source = self.shown()
        shown = sum(conditions == "all" or name in source.card.clear for name in source.conditions)
        return max(1, -(-shown // self.batch_size))

    def prepare(self, progress: bool, conditions: Collection[str] = ("all",)) -> None:
        """Make once what the splits of this run need: scenes of the synthetic town, superpixels, weak labels.

        Args:
            progress: show bars.
            conditions: ``clear`` or ``all``, of each stage that trains.
        """
        training = self.training("clear" if set(conditions) == {"clear"} else "all")
        judged = dict.fromkeys(s for s in (self.probe, self.test) if s)
        for source in (training, *(self.source(split) for split in judged if split != self.split)):
            if isinstance(source, Preparable):
                source.prepare(workers=os.cpu_count() or 1, progress=progress)

    def check_divides(self, world: int) -> None:
        """Refuse a number of devices that does not divide the batch size.

        Raises:
            UsageError: with a batch size that it would divide.
        """
        if self.batch_size % world:
            nearest = max(world, self.batch_size // world * world)
            raise UsageError(
                f"--data.batch_size {self.batch_size} is not a multiple of {world} devices; "
                f"use {nearest} or change --trainer.devices"
            )

    def begin(self, conditions: Conditions, balance: Balance, total_steps: int, seed: int) -> None:
        """Enter a stage: its frames, its length, and the seed of its order and augmentation."""
        self._stage = (self.stream(conditions, balance, seed), total_steps, seed)

    def train_dataloader(self) -> DataLoader[Any]:
        """Load this process's share of the stage's batches.

        Raises:
            UsageError: if the devices do not divide the batch size.
        """
        stream, total_steps, seed = self._stage
        trainer = self.trainer
        assert trainer is not None  # Lightning sets it before it asks for a loader
        world, rank = trainer.world_size, trainer.global_rank
        self.check_divides(world)
        chunk = Chunk(stream, total_steps, CHUNK_STEPS, lambda: trainer.global_step, rank, world)
        return self._loader(self._frames(seed), chunk)

    def evaluation(self, split: str) -> DataLoader[Any]:
        """Load this process's share of a split, unaugmented: every frame once, whatever the number of processes.

        Raises:
            UsageError: if there is no such split.
        """
        source, trainer = self.source(split), self.trainer
        world, rank = (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)
        return self._loader(EvaluationFrames(source), EachOnce(len(source), self.batch_size, rank, world))

    def val_dataloader(self) -> DataLoader[Any]:
        """Load the split that recipes are chosen on."""
        return self.evaluation(self._named("val", self.val))

    def test_dataloader(self) -> DataLoader[Any]:
        """Load the split that results are of."""
        return self.evaluation(self._named("test", self.test))

    def predict_dataloader(self) -> DataLoader[Any]:
        """Load the split that results are of."""
        return self.test_dataloader()

    def _named(self, kind: str, split: str) -> str:
        if not split:
            raise UsageError(f"{self.card.name} names no {kind} split; give --data.{kind} NAME")
        return split

    def _loader(self, frames: Dataset[Batch | UsageError], sampler: Sampler[Any]) -> DataLoader[Any]:
        return DataLoader(
            frames,
            batch_size=None,  # a key is a whole batch: frames are packed in the worker
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_one_thread if self.workers else None,
        )

    def peek(self, steps: int) -> Iterator[Batch]:
        """Read this process's share of the first batches of the stage, apart from its training.

        Raises:
            DataError: naming the bad file.
        """
        stream, _, seed = self._stage
        assert self.trainer is not None
        frames = self._frames(seed)
        for step in range(steps):
            keys = stream.batch(step, self.trainer.global_rank, self.trainer.world_size)
            yield self.on_before_batch_transfer(frames[keys], 0)

    def _frames(self, seed: int) -> TrainingFrames:
        return TrainingFrames(self.training(), seed, self.augment, self.image_size, self.cameras, self.bad_files)

    def on_before_batch_transfer(self, batch: Batch | UsageError, dataloader_idx: int) -> Batch:  # noqa: ARG002 a hook
        """Count the frames that were skipped.

        Raises:
            DataError: naming the bad file that the loader met.
        """
        if isinstance(batch, UsageError):
            raise batch
        self.skipped += batch.skipped
        return batch


def _one_thread(worker: int) -> None:  # noqa: ARG001 the loader passes the worker's number
    torch.set_num_threads(1)
