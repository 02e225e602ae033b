"""Collaborative Distillation: a LiDAR network, taught on clear days, keeps image features steady in bad weather.

Re-implementation from the abstract and third-party readings of Jo et al. (arXiv 2602.12524); the paper's body was not
at hand. ``methods/collab.yaml`` says line by line which choice is the paper's and which is ours.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lidar2d.data.photometric import distort_share
from lidar2d.errors import SettingError, UsageError, within
from lidar2d.frame import Batch, Pairs
from lidar2d.losses.codes import KEPT, Codes
from lidar2d.losses.distill import Distance, Standardise, distance
from lidar2d.losses.sampling import common_seed, drawn_rows, sample
from lidar2d.methods.base import PAIRING, Method, Pairing, Stage
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read
from lidar2d.processes import mean_over_processes


class Collab(Method):
    """Stage ``align`` teaches the 3D network from frozen image features; ``anchor`` tunes the image network to it.

    Args:
        points: the 3D network: a student in ``align``, a frozen anchor in ``anchor``.
        images: the image network; its state at the start, frozen, is the teacher of ``align``.
        align: stage 1, on clear frames.
        anchor: stage 2, on all frames.
        codes: clusters of teacher features that the 3D network learns to name in ``align``; its feature is then their
            mean under the probabilities that it gives them. 0 learns the features themselves instead.
        whiten: power of the whitening before clusters are sought; 1 makes all directions count alike.
        balance: a cluster counts as much as its share of the pairs to the power ``1 - balance``.
        survey: batches that are looked at before the first step, for the features' statistics and clusters.
        distance: how far a feature is from its target, in ``anchor`` and where ``codes`` is 0.
        preserve: weight of staying at the teacher's features on clear frames.
        distorted: share of the clear frames that the image network sees photometrically distorted in stage 2, while
            its target stays the teacher's features of the undistorted image.
        strength: of that distortion.
        blend: how far ``anchor`` moves the image network from the teacher's weights to the tuned ones, at its end;
            less than 1 gives some of the gain in bad weather back for what the teacher could do on clear days
            (weight-space ensembling, arXiv 2109.01903).
        heads: ``shared``: both networks are compared in the teacher's features, where the 3D network's head leads;
            ``separate``: ``anchor`` gives the image network a linear head of its own, dropped at the end, so that its
            features need only hold the 3D network's.
        matches: pairs sampled over the global batch; all of them where there are fewer.
        pairing: which points are brought together with which pixels.
    """

    student: ClassVar[Literal["points", "images"]] = "images"

    def __init__(
        self,
        points: PointEncoder,
        images: ImageEncoder,
        align: Stage,
        anchor: Stage,
        codes: int = 64,
        whiten: float = 0.5,
        balance: float = 0.8,
        survey: int = 32,
        distance: Distance = "mse",
        preserve: float = 4.0,
        distorted: float = 0.0,
        strength: float = 1.0,
        blend: float = 1.0,
        heads: Literal["shared", "separate"] = "shared",
        matches: int = 32768,
        pairing: Pairing = PAIRING,
    ) -> None:
        super().__init__(points, images)
        within(1, survey=survey, matches=matches)
        within(0, preserve=preserve)
        within(0, survey * KEPT, codes=codes)
        within(0, 1, whiten=whiten, balance=balance, distorted=distorted, blend=blend)
        within(0, 10, strength=strength)
        if codes == 1:
            raise SettingError("codes", codes, "one cluster tells nothing; give 0 (none) or at least 2")
        self.align = align
        self.anchor = anchor
        self.survey = survey
        self.distance: Distance = distance
        self.preserve = preserve
        self.distorted = distorted
        self.strength = strength
        self.blend = blend
        self.matches = matches
        self.pairing = pairing
        self.teacher = copy.deepcopy(images)
        self.head = nn.Linear(points.channels, codes or images.channels)
        self.image_head = nn.Linear(images.channels, images.channels) if heads == "separate" else nn.Identity()
        if isinstance(self.image_head, nn.Linear):  # begins as if heads were shared
            nn.init.eye_(self.image_head.weight)
            nn.init.zeros_(self.image_head.bias)
        self.standardise = Standardise(images.channels)
        self.codes = Codes(images.channels, codes, whiten, balance) if codes else None

    def stages(self) -> dict[str, Stage]:
        """Return both stages."""
        return {"align": self.align, "anchor": self.anchor}

    def trained(self) -> list[nn.Module]:
        """Return what ``align`` trains, the 3D network and its head, or what ``anchor`` tunes."""
        return [self.points, self.head] if self.stage == "align" else [*self.images.tuned(), self.image_head]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of the current stage."""
        found = self._pairs(batch)
        return self._align(batch, found) if self.stage == "align" else self._anchor(batch, found)

    @torch.no_grad()
    def finish(self) -> None:
        """Blend the tuned image network with the teacher, weight by weight."""
        super().finish()
        if self.stage == "anchor" and self.blend != 1:
            taught = self.teacher.state_dict()
            for name, tuned in self.images.state_dict().items():
                if tuned.is_floating_point():
                    tuned.copy_(torch.lerp(taught[name], tuned, self.blend))

    def on_train_start(self) -> None:
        """Look at the teacher's features before the first step of the first stage that runs."""
        if self.standardise.count == 0:
            self.look(self.trainer.datamodule.peek(self.survey))  # type: ignore[attr-defined]

    @torch.no_grad()
    def look(self, batches: Iterable[Batch]) -> None:
        """Take the statistics of the teacher's features at the pixels of points on clear frames, and their clusters.

        Raises:
            UsageError: if there are too few features.
        """
        kept, seed = [], 0
        for batch in batches:
            batch = batch.to(self.device)
            found = self._pairs(batch)
            found = found[self._is_clear(batch)[found.view]]
            seen = read(self.teacher(batch.images).float(), found, batch.image_size)
            self.standardise.update(seen)
            kept.append(drawn_rows(seen, batch.view_frame[found.view], batch.seeds, KEPT))
            seed = common_seed(batch.seeds, self.device)
        rows = torch.cat(kept)
        if len(rows) < 2:
            raise UsageError(
                f"{self.survey} batches show {len(rows)} features of clear frames, too few; set a longer survey"
            )
        if self.codes is not None:
            self.codes.seek(self.standardise(rows), torch.Generator().manual_seed(seed))

    def point_targets(self, batch: Batch, found: Pairs) -> Tensor:
        """Return the features (P, C) that the 3D network gives the paired points, in standardised units."""
        out: Tensor = self.head(self.points(batch, found.point)).float()
        return out if self.codes is None else self.codes.expected(out)

    def _pairs(self, batch: Batch) -> Pairs:
        found = self.paired(batch)
        return found[sample(batch.view_frame[found.view], batch.seeds, self.matches)]

    def _is_clear(self, batch: Batch) -> Tensor:
        assert batch.clear is not None  # training batches say it
        return batch.clear[batch.view_frame]

    def _align(self, batch: Batch, found: Pairs) -> dict[str, Tensor]:
        with torch.no_grad():
            seen = self.standardise(read(self.teacher(batch.images).float(), found, batch.image_size))
        out: Tensor = self.head(self.points(batch, found.point)).float()
        if self.codes is None:
            return {"align": mean_over_processes(distance(out, seen, self.distance))}
        code = self.codes.sort(seen)
        named = nn.functional.cross_entropy(out, code, reduction="none")
        return {"align": mean_over_processes(named * self.codes.weight()[code])}

    def _anchor(self, batch: Batch, found: Pairs) -> dict[str, Tensor]:
        is_clear = self._is_clear(batch)
        with torch.no_grad():
            targets = self.point_targets(batch, found)
            kept = _rows(self.standardise, self.teacher(batch.images[is_clear]).float())
            shown = distort_share(batch, self.distorted, self.strength, among=is_clear)
        features = self.images(shown).float()
        seen = self.image_head(self.standardise(read(features, found, batch.image_size)))
        return {
            "anchor": mean_over_processes(distance(seen, targets, self.distance)),
            "preserve": self.preserve
            * mean_over_processes(distance(_rows(self.standardise, features[is_clear]), kept, self.distance)),
        }


def _rows(standardise: Standardise, maps: Tensor) -> Tensor:
    """Turn feature maps (V, C, h, w) into standardised rows (V·h·w, C)."""
    rows: Tensor = standardise(maps.permute(0, 2, 3, 1).flatten(0, 2))
    return rows
