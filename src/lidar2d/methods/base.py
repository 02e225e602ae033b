"""What every method shares: two encoders, named losses, stages, and one training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lidar2d.data.order import Balance, Conditions
from lidar2d.errors import DataError, SettingError, UsageError, within
from lidar2d.frame import Annotation, Batch, Pairs
from lidar2d.geometry import ZBuffer, pairs
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.optimisation import Decay, Kind, build_optimizer, rate
from lidar2d.processes import sum_over_processes

_BLIND = 20  # steps without a pair after which something must be wrong


@dataclass(frozen=True)
class Stage:
    """One training run of a method: which frames it sees, for how long, and how it optimises.

    Args:
        steps: optimiser steps; give either steps or epochs.
        epochs: passes over the frames.
        conditions: ``clear`` frames alone, or ``all``.
        balance: ``none`` takes frames as they come; ``half`` makes every second frame a clear one and takes the
            adverse conditions in turn for the others.
        optimizer: AdamW, or SGD with the momentum and dampening of the SLidR family.
        lr: peak learning rate at the recipe's batch size.
        weight_decay: of the optimiser.
        warmup: steps of linear warm-up.
        decay: ``cosine`` to zero by step, ``cosine-by-epoch`` as the SLidR family steps it, ``linear`` to zero,
            ``one-cycle`` as PyTorch's OneCycleLR, or ``constant``.
        clip: largest norm of the gradient; 0 turns clipping off.
    """

    steps: int | None = None
    epochs: int | None = None
    conditions: Conditions = "all"
    balance: Balance = "none"
    optimizer: Kind = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 0
    decay: Decay = "cosine"
    clip: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(0, steps=self.steps, epochs=self.epochs, warmup=self.warmup)
        within(0, lr=self.lr, weight_decay=self.weight_decay, clip=self.clip)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the optimiser steps of the whole stage.

        Raises:
            UsageError: unless exactly one of steps and epochs is given.
        """
        if (self.steps is None) == (self.epochs is None):
            given = "neither" if self.steps is None else f"steps {self.steps} and epochs {self.epochs}"
            raise UsageError(
                f"a stage needs either steps or epochs; given {given}\n"
                "give one, and where the recipe has the other set that to null: --method.STAGE.steps null"
            )
        total = self.steps if self.epochs is None else self.epochs * steps_per_epoch
        assert total is not None  # narrowed by the check above
        return total

    def build_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer:
        """Make the optimiser over the parameters that this stage trains."""
        return build_optimizer(self.optimizer, parameters, self.lr, self.weight_decay)

    def rate(self, step: int, total: int, steps_per_epoch: int) -> float:
        """Return the factor on the learning rate at a step."""
        return rate(step, total, steps_per_epoch, self.warmup, self.decay)


@dataclass(frozen=True)
class Pairing:
    """Which points are brought together with which pixels.

    Args:
        min_depth: metres along the optical axis; nearer points are not paired. 1 in the published recipes.
        zbuffer: leave points out that are hidden behind nearer ones; None pairs them, as the published code does.
    """

    min_depth: float = 1.0
    zbuffer: ZBuffer | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(0, min_depth=self.min_depth)


PAIRING = Pairing()


class Method(LightningModule, ABC):
    """A way to teach ``points`` from ``images``, or ``images`` from ``points``.

    A subclass is its equations: ``student``, which of the two is taught; ``losses``; the stages it trains in; and what
    each stage trains.

    Raises:
        UsageError: if the subclass does not say which it teaches, or its student is frozen.
    """

    student: ClassVar[Literal["points", "images"]]
    needs_points: ClassVar[bool] = True  # it looks at the scans
    pairing = PAIRING

    def __init__(self, points: PointEncoder, images: ImageEncoder) -> None:
        super().__init__()
        if getattr(self, "student", None) not in ("points", "images"):
            raise UsageError(f"{type(self).__name__} does not say what it teaches: add student = 'points' or 'images'")
        if self.student == "images" and images.frozen:
            raise SettingError("frozen", True, "this method trains the image network; set it to false")
        self.points = points
        self.images = images
        self.stage = ""
        self._steps = (0, 1)  # of the stage in all, and of one epoch
        self._paired: Tensor | None = None  # pairs of the current step, over all processes
        self.blind = 0  # steps without a pair since the last one that had some

    @abstractmethod
    def stages(self) -> dict[str, Stage]:
        """Return the stages by name, in the order in which they run."""

    @abstractmethod
    def trained(self) -> list[nn.Module]:
        """Return the modules that the current stage trains; everything else is frozen and in evaluation mode."""

    def wants(self) -> frozenset[Annotation]:
        """Return what the losses need of every pixel beside its colour."""
        return frozenset()

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return named, already weighted scalars; training minimises their sum."""

    def begin(self, stage: str, steps_per_epoch: int) -> None:
        """Enter a stage: freeze what it does not train."""
        self.stage = stage
        self._steps = (self.stages()[stage].total_steps(steps_per_epoch), steps_per_epoch)
        self.requires_grad_(False)
        for module in self.trained():
            module.requires_grad_(True)
        self.train(self.training)

    def paired(self, batch: Batch) -> Pairs:
        """Find the pairs of a batch, of points that the 3D network sees; training logs how many there are."""
        found = pairs(batch, self.pairing.min_depth, self.pairing.zbuffer)
        seen = self.points.sees(batch.points)
        if seen is not None:
            found = found[seen[found.point]]
        self._paired = sum_over_processes(torch.tensor(float(len(found)), device=batch.points.device))
        return found

    def finish(self) -> None:
        """Leave the current stage after its last step, before its weights are kept: updates go into the weights."""
        self.images.merge()

    def train(self, mode: bool = True) -> Self:
        """Set training mode, except for what the stage does not train: frozen networks stay in evaluation mode."""
        super().train(False)
        if self.stage:
            for module in self.trained():
                module.train(mode)
        self.training = mode
        return self

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Log each loss by its name and return their sum.

        Raises:
            UsageError: if the loss is not a finite number.
            DataError: if no point has been seen in an image for many steps.
        """
        self._paired = None
        parts = self.losses(batch)
        if self._paired is not None:
            self._watch_pairs(int(self._paired), batch)
        total = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(total):
            named = ", ".join(f"{name} {value.item():g}" for name, value in parts.items())
            raise UsageError(
                f"stage {self.stage}, step {index}: the loss is not finite ({named}) on {', '.join(batch.tokens)}\n"
                "lower the learning rate or set the stage's clip; `lidar2d check` looks for bad input"
            )
        shown = parts if len(parts) == 1 else {"loss": total, **parts}
        self.log_dict(
            {name: value.detach() for name, value in shown.items()},
            prog_bar=True,
            on_step=True,
            on_epoch=False,
            batch_size=len(batch),
            sync_dist=True,
        )
        return total

    def _watch_pairs(self, count: int, batch: Batch) -> None:
        self.blind = 0 if count else self.blind + 1
        if self.blind == _BLIND:
            raise DataError(
                f"no point was visible in an image for {_BLIND} steps, lastly of {', '.join(batch.tokens)}; the "
                "calibration or the clouds are wrong\n`lidar2d view` shows what the networks see"
            )
        self.log("pairs", float(count), on_step=True, on_epoch=False, batch_size=len(batch))

    def configure_optimizers(self) -> Any:
        """Build the current stage's optimiser and its schedule, stepped once an optimiser step."""
        stage = self.stages()[self.stage]
        total, per_epoch = self._steps
        optimizer = stage.build_optimizer([p for p in self.parameters() if p.requires_grad])
        schedule = LambdaLR(optimizer, lambda step: stage.rate(step, total, per_epoch))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
