"""How a run is trained, whatever its method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lidar2d.errors import within


@dataclass(frozen=True)
class TrainerOptions:
    """Devices, precision and logging.

    Args:
        devices: processes of this machine that train together, one a device.
        num_nodes: machines that train together.
        accelerator: what computes.
        precision: of the arithmetic, in Lightning's words.
        strategy: how several devices train together.
        logger: where losses are written: csv files in the run folder; tensorboard or wandb beside those; or none.
        progress: show progress bars.
        save_every: seconds, at least, between the states that a killed run goes on from; they are kept every 50 steps
            at most.
        report: judge the features when training ends.
    """

    devices: int = 1
    num_nodes: int = 1
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    strategy: Literal["auto", "ddp"] = "auto"
    logger: Literal["csv", "tensorboard", "wandb", "none"] = "csv"
    progress: bool = True
    save_every: float = 30.0
    report: bool = True

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        within(1, devices=self.devices, num_nodes=self.num_nodes)
        within(0, save_every=self.save_every)
