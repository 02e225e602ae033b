"""Geometric pretraining: an image network learns, without a label, what a LiDAR sweep tells about what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lidar2d.data.descriptors import GROUND_CHANNELS, LOOSE_CHANNELS, SOLID_CHANNELS, describe
from lidar2d.errors import within
from lidar2d.frame import Batch
from lidar2d.losses.codebook import Codebook
from lidar2d.losses.sampling import sample
from lidar2d.methods.base import PAIRING, Method, Pairing, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.processes import mean_over_processes, sum_over_processes

KINDS = ("solid", "ground", "loose")


@dataclass(frozen=True)
class Targets:
    """The descriptors of a batch: a table a kind, and where each point finds its row."""

    kind: Tensor  # (ΣN,) int64 index into ``KINDS``
    row: Tensor  # (ΣN,) int64 row of the kind's table
    tables: tuple[Tensor, ...]  # (rows, channels) for each kind
    frames: tuple[Tensor, ...]  # (rows,) int64 frame of each row
    sizes: tuple[Tensor, ...]  # (rows,) points that a row stands for

    @classmethod
    def of(cls, batch: Batch) -> Targets:
        """Describe the sweeps of a batch."""
        kinds, rows = [], []
        tables: list[list[Tensor]] = [[] for _ in KINDS]
        sizes: list[list[Tensor]] = [[] for _ in KINDS]
        for frame in range(len(batch)):
            found = describe(batch.points[batch.point_frame == frame])
            kind = torch.where(found.solid_of >= 0, 0, torch.where(found.ground, 1, 2))
            row = torch.empty_like(kind)
            for index, table in enumerate((found.solids, found.surroundings, found.texture)):
                mine = kind == index
                first = sum(len(t) for t in tables[index])
                row[mine] = first + (found.solid_of[mine] if index == 0 else torch.arange(int(mine.sum())).to(row))
                tables[index].append(table if index == 0 else table[mine])
                sizes[index].append(found.sizes if index == 0 else torch.ones_like(row[mine]))
            kinds.append(kind)
            rows.append(row)
        owner = tuple(
            torch.repeat_interleave(torch.tensor([len(t) for t in parts], device=batch.points.device))
            for parts in tables
        )
        return cls(
            torch.cat(kinds),
            torch.cat(rows),
            tuple(torch.cat(t) for t in tables),
            owner,
            tuple(torch.cat(n) for n in sizes),
        )

    def rows_of(self, kind: int, frame: int) -> Tensor:
        """Return which rows of a kind's table are a frame's."""
        return torch.nonzero(self.frames[kind] == frame)[:, 0]


class Geometric(Method):
    """At the pixels of LiDAR points the image network tells the points' descriptors, then also their clusters.

    Stage ``measure`` regresses the standardised descriptors and collects a sample of them; k-means then makes
    classes of that sample, and stage ``sort`` adds their cross-entropy. A point is of a solid, of the ground, or
    loose, and each kind has descriptors and clusters of its own; points of a solid share those of the solid.

    Args:
        points: unused; every method has both encoders, so that recipes differ only where methods do.
        images: the student.
        measure: stage 1.
        sort: stage 2.
        codes: clusters of solids, of ground and of loose points.
        regress: weight of the regression in stage 2; the cross-entropy has weight 1.
        balance: a cluster counts as much as its frequency to the power ``1 - balance``.
        rows: of each kind that k-means sees.
        rows_per_frame: of each kind that a frame gives to them.
        matches: point-pixel pairs that a step learns from, over the global batch.
        seed: of k-means.
        pairing: which points are brought together with which pixels.
    """

    student: ClassVar[Literal["points", "images"]] = "images"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        measure: Stage,
        sort: Stage,
        codes: tuple[int, int, int] = (512, 64, 64),
        regress: float = 1.0,
        balance: float = 0.5,
        rows: int = 30000,
        rows_per_frame: int = 40,
        matches: int = 16384,
        seed: int = 0,
        pairing: Pairing = PAIRING,
    ) -> None:
        super().__init__(points, images)
        within(1, codes=codes, rows=rows, rows_per_frame=rows_per_frame, matches=matches)
        within(0, seed=seed, regress=regress)
        within(0, 1, balance=balance)
        self.measure = measure
        self.sort = sort
        self.regress = regress
        self.balance = balance
        self.seed = seed
        self.rows_per_frame = rows_per_frame
        self.matches = matches
        self.pairing = pairing
        channels = (SOLID_CHANNELS, GROUND_CHANNELS, LOOSE_CHANNELS)
        self.books = nn.ModuleList(Codebook(c, k, rows) for c, k in zip(channels, codes, strict=True))
        self.regressors = nn.ModuleList(nn.Linear(images.channels, c) for c in channels)
        self.classifier = nn.Linear(images.channels, sum(codes))  # one softmax: telling the kinds apart is part of it
        self.register_buffer("shown", torch.zeros(sum(codes), dtype=torch.float64))
        self.shown: Tensor

    def stages(self) -> dict[str, Stage]:
        """Return both stages."""
        return {"measure": self.measure, "sort": self.sort}

    def trained(self) -> list[nn.Module]:
        """Return what is tuned of the image network, and the heads that the stage needs."""
        heads: list[nn.Module] = [self.regressors] if self.stage == "measure" else [self.regressors, self.classifier]
        return [*self.images.tuned(), *heads]

    def begin(self, stage: str, steps_per_epoch: int) -> None:
        """Enter a stage; the second one first makes clusters of what the first one collected."""
        super().begin(stage, steps_per_epoch)
        if stage == "sort":
            generator = torch.Generator().manual_seed(self.seed)
            for book in self.books:
                assert isinstance(book, Codebook)
                book.fit(generator)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the current stage."""
        found = self.paired(batch)
        with torch.autocast(batch.points.device.type, enabled=False):
            targets = Targets.of(batch)
            if self.training and self.stage == "measure":
                self._collect(targets, batch.seeds)
            code = self._codes(targets)[found.point] if self.stage == "sort" else None
            odds = None if code is None else self._odds(code)
        drawn = sample(batch.view_frame[found.view], batch.seeds, self.matches, odds)
        found = found[drawn]
        features = read(self.images(batch.images).float(), found, batch.image_size)
        with torch.autocast(batch.points.device.type, enabled=False):
            regression = self._regression(features, targets.kind[found.point], targets.row[found.point], targets)
            if code is None:
                return {"regress": regression}
            each = F.cross_entropy(self.classifier(features), code[drawn], reduction="none")
            return {"cluster": mean_over_processes(each), "regress": self.regress * regression}

    def _collect(self, targets: Targets, seeds: Tensor) -> None:
        """Show the codebooks as many rows of each kind from each frame, large solids sooner than small ones."""
        for kind, book in enumerate(self.books):
            drawn = []
            for frame, seed in enumerate(seeds.tolist()):
                rows = targets.rows_of(kind, frame)
                keys = torch.rand(len(rows), generator=torch.Generator().manual_seed(int(seed))).to(rows.device)
                # the largest u^(1/w) are a draw without replacement with odds w (Efraimidis and Spirakis, 2006)
                order = (keys.log() / targets.sizes[kind][rows].sqrt()).argsort(descending=True)
                drawn.append(rows[order[: self.rows_per_frame]])
            assert isinstance(book, Codebook)
            book.collect(targets.tables[kind][torch.cat(drawn)])

    def _regression(self, features: Tensor, kind: Tensor, row: Tensor, targets: Targets) -> Tensor:
        """Mean over kinds of the smooth L1 distance between head and standardised descriptors."""
        losses = []
        for index, (book, head) in enumerate(zip(self.books, self.regressors, strict=True)):
            assert isinstance(book, Codebook)
            mine = kind == index
            units = book.units(targets.tables[index][row[mine]])
            each = F.smooth_l1_loss(head(features[mine]), units, reduction="none").mean(1)
            losses.append(mean_over_processes(each))
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _codes(self, targets: Targets) -> Tensor:
        """Return the code (ΣN,) of each point, counted over the codes of all kinds."""
        code = torch.empty_like(targets.kind)
        first = 0
        for index, book in enumerate(self.books):
            assert isinstance(book, Codebook)
            mine = targets.kind == index
            code[mine] = first + book.sort(targets.tables[index])[targets.row[mine]]
            first += len(book.codes)
        return code

    @torch.no_grad()
    def _odds(self, code: Tensor) -> Tensor:
        """Return the odds (P,) at which pairs are drawn, so that frequent codes do not crowd out rare ones."""
        if self.training:
            self.shown += sum_over_processes(torch.bincount(code, minlength=len(self.shown)).double())
        share = (self.shown / self.shown.sum().clamp_min(1)).clamp_min(1e-6)
        return (share**-self.balance)[code]
