"""What happens around training steps: checkpoints to resume from, a progress bar, and the memory of each loss."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class KeepLast(Checkpoint):
    """Keeps the state to resume from: after a chunk of steps, at most every ``seconds``."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 Lightning's hook
        """Save, once enough time has passed since the last save."""
        due = trainer.strategy.broadcast(time.monotonic() - self._saved >= self.seconds)
        if not due:
            return
        unfinished = self.path.with_name(f".{self.path.name}")  # the same name in every process
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            unfinished.replace(self.path)
        self._saved = time.monotonic()


class Losses(Callback):
    """Remembers how each named loss fell: mean of the first and of the last tenth of the stage's steps."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ARG002 Lightning's hook
        """Take down the losses of this step; what else is logged, such as the number of pairs, is no loss."""
        for name, value in trainer.progress_bar_metrics.items():
            self.history.setdefault(name, []).append(float(value))

    def state_dict(self) -> dict[str, Any]:
        """Go into the checkpoint, so that a resumed run knows its beginning."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Come back from the checkpoint."""
        self.history = state_dict["history"]

    def first_and_last(self) -> dict[str, tuple[float, float]]:
        """Return each loss at the beginning and at the end."""
        ends = {}
        for name, values in self.history.items():
            tenth = max(1, len(values) // 10)
            ends[name] = (sum(values[:tenth]) / tenth, sum(values[-tenth:]) / tenth)
        return ends

    def idle(self) -> list[str]:
        """Return the losses that were 0 at every step."""
        return [name for name, values in self.history.items() if not any(values)]


class Bar(Callback):
    """One progress bar a stage: steps, rate, remaining time, and each loss by its name.

    Where the output is a file, a line for every tenth of the stage.
    """

    def __init__(self, stage: str, total: int, console: Console) -> None:
        self.stage = stage
        self.total = total
        self.console = console
        self._bar = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._began = (0, 0.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 Lightning's hook
        """Show the bar."""
        self._began = (trainer.global_step, time.monotonic())
        self._bar.start()
        self._bar.add_task(self.stage, total=self.total, completed=trainer.global_step, rate="", losses="")

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ARG002 Lightning's hook
        """Advance the bar."""
        step, began = self._began
        done = trainer.global_step
        rate = f"{(done - step) / (time.monotonic() - began):.1f} steps/s"
        shown = {name: float(value) for name, value in trainer.callback_metrics.items()}
        losses = "  ".join(f"{name} {value:{'.3f' if abs(value) < 1000 else '.0f'}}" for name, value in shown.items())
        self._bar.update(self._bar.task_ids[0], completed=done, rate=rate, losses=losses)
        if not self.console.is_terminal and done * 10 // self.total > (done - 1) * 10 // self.total:
            self.console.print(
                f"{self.stage:>9} {done}/{self.total}  {rate}  {losses}", highlight=False, soft_wrap=True
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 Lightning's hook
        """Leave the finished bar on the screen."""
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """Leave the terminal as it was."""
        self._bar.stop()
