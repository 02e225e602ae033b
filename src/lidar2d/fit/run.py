"""fit: the stages of a method in turn, each resumable; then the report."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import CSVLogger, Logger
from rich.console import Console

from lidar2d import runs
from lidar2d.data.module import LidarData
from lidar2d.errors import DataError, UsageError
from lidar2d.fit.callbacks import Bar, KeepLast, Losses
from lidar2d.fit.folder import TRAINED_ON, RunFolder
from lidar2d.fit.options import TrainerOptions
from lidar2d.fit.report import report
from lidar2d.fit.wandb_run import WandbRun, check_wandb, opened
from lidar2d.frame import collate
from lidar2d.methods.base import Method
from lidar2d.nets.weights import fill, read_weights


def fit(
    method: Method,
    data: LidarData,
    trainer: TrainerOptions,
    seed: int,
    run: Path,
) -> Path:
    """Train a method and show what it was worth.

    Args:
        method: with its networks, freshly built.
        data: what it trains on.
        trainer: devices, precision, logging.
        seed: of the order of the frames and their augmentation.
        run: the run folder; a run that it holds already goes on where it was.

    Returns:
        The checkpoint of the whole method.

    Raises:
        UsageError: for what the user can mend.
    """
    folder = RunFolder(run)
    console = Console(stderr=True)
    if runs.is_first_process():
        _prepare(method, data, trainer.progress)
        if not folder.start.exists():
            _tell_encoders(method, data, folder, console)
    if folder.start.exists():  # of a resumed run, whose encoders were built at random
        fill(method, read_weights(folder.start), str(folder.start))
    elif runs.is_first_process():
        folder.save_json(TRAINED_ON, data.trained_on())
        folder.save_weights(folder.start, method)
    with opened(folder, trainer) if trainer.logger == "wandb" else nullcontext() as wandb:
        losses: dict[str, Any] = {}
        for name in method.stages():
            before = sum(fell["steps"] for fell in losses.values())
            loggers = _loggers(trainer, folder, name, before, wandb)
            losses[name] = _run_stage(name, method, data, trainer, seed, folder, console, loggers)
        if runs.is_first_process():
            _leave(method, data, folder, losses, trainer, console, wandb)
    return folder.checkpoint


def _leave(
    method: Method,
    data: LidarData,
    folder: RunFolder,
    losses: dict[str, Any],
    trainer: TrainerOptions,
    console: Console,
    wandb: WandbRun | None,
) -> None:
    """Write what came out of a run."""
    folder.save_weights(folder.checkpoint, method)
    folder.save_student(method.images if method.student == "images" else method.points)
    folder.save_json("losses.json", losses)
    if trainer.report:
        report(method, data, folder, losses, console, half=trainer.precision == "bf16-mixed", bars=trainer.progress)
        if wandb is not None:
            wandb.judged(folder, sum(fell["steps"] for fell in losses.values()))
    console.print(
        f"checkpoint  {folder.checkpoint}\nencoder     {folder.student}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def prepare(method: Method, data: LidarData, options: TrainerOptions) -> None:
    """Make once what a run will need, wherever it will run.

    Raises:
        UsageError: for what could never be trained.
    """
    _check_frames(method, data, options.report)
    _prepare(method, data, options.progress)


def _prepare(method: Method, data: LidarData, progress: bool) -> None:
    data.prepare(progress, {stage.conditions for stage in method.stages().values()})


def _tell_encoders(method: Method, data: LidarData, folder: RunFolder, console: Console) -> None:
    """Say where the encoders' first weights came from, and keep every name; say which settings are another sensor's."""
    for name, encoder in (("points", method.points), ("images", method.images)):
        said = f"{name:<11} {type(encoder).__name__}, {encoder.origin}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
        if encoder.loaded is not None:
            folder.save_text(f"{name}-weights.txt", encoder.loaded.table() + "\n")
    if advice := method.points.advice(data.card.beams, data.card.elevation):
        said = f"note        {type(method.points).__name__}: {advice}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)


def rehearse(method: Method, data: LidarData, options: TrainerOptions) -> None:
    """Refuse, before anything is written, what could never be trained.

    Raises:
        UsageError: if a split, its folder, a stage's frames, what the method needs of them, or a device is missing.
    """
    _check_frames(method, data, options.report)
    try:
        with _quiet_trainer():
            trainer = Trainer(**_devices(options), logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError) as error:
        given = f"--trainer.accelerator {options.accelerator} --trainer.devices {options.devices}"
        raise UsageError(f"{given}: {' '.join(str(error).split())}") from None
    if options.logger == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise UsageError("tensorboard is not installed; pip install tensorboard")
    if options.logger == "wandb":
        check_wandb()
    data.check_divides(trainer.world_size)


def _check_frames(method: Method, data: LidarData, judged: bool) -> None:
    """Refuse frames that the method could not be trained on, or, if it is to be, not judged by."""
    data.source()
    for name, split in (("probe", data.probe), ("test", data.test)):
        try:
            if split:
                data.source(split)
        except UsageError as error:
            raise UsageError(f"--data.{name} {split}: {error}") from None
    _check_sensors(method, data)
    _check_annotations(method, data)
    if judged and data.probe and data.test:
        for split in (data.probe, data.test):
            frame = data.source(split)[0]
            if (frame.pixel_labels if method.student == "images" else frame.labels) is None:
                kind = "pixel" if method.student == "images" else "point"
                raise UsageError(
                    f"{data.card.name} {split} has no {kind} labels to judge {method.student} by; "
                    "leave --data.probe and --data.test out"
                )
    for stage in method.stages().values():
        if stage.total_steps(data.steps_per_epoch(stage.conditions)):
            data.stream(stage.conditions, stage.balance, seed=0)


def _check_sensors(method: Method, data: LidarData) -> None:
    """Refuse frames that lack what the method looks at, as the first one of each data set tells."""
    try:
        frame = data.shown()[0]
    except DataError:
        if data.bad_files == "stop":
            raise
        return
    needed = {"image": len(frame.images), "point": len(frame.points) or not method.needs_points}
    for what, there in needed.items():
        if not there:
            name = type(method).__name__
            raise UsageError(f"frames of {data.card.name} {data.split} have no {what}, and {name} needs them")


def _check_annotations(method: Method, data: LidarData) -> None:
    """Refuse frames without what the method needs, and to find what it makes no use of."""
    found, wanted = data.annotated(), method.wants()
    for name, setting in found.items():
        if name not in wanted:
            raise UsageError(
                f"--data.{setting} is given, but {type(method).__name__}, as it is set, has no use for it; leave it out"
            )
    for name in sorted(wanted.difference(found)):
        collate([data.shown()[0]]).need(name)
    if data.weak_labels is not None:
        data.weak_labels.key()  # so that a model that is not there is told
    if data.label_folder is not None:
        data.training()[0]  # so that a file that is not there is told


def _run_stage(
    name: str,
    method: Method,
    data: LidarData,
    options: TrainerOptions,
    seed: int,
    folder: RunFolder,
    console: Console,
    loggers: list[Logger],
) -> dict[str, Any]:
    """Run one stage, or load what it left behind; return how each loss fell."""
    stage = method.stages()[name]
    per_epoch = data.steps_per_epoch(stage.conditions)
    total = stage.total_steps(per_epoch)
    if folder.done(name).exists():
        fill(method, read_weights(folder.done(name)), str(folder.done(name)))
        finished: dict[str, Any] = folder.load_json(f"{name}-losses.json")
        return finished
    method.begin(name, per_epoch)
    data.begin(stage.conditions, stage.balance, total, seed)
    if 0 < total < stage.warmup:
        note = f"stage {name}: its warm-up of {stage.warmup} steps is longer than its {total}; the rate stays low"
        console.print(note, highlight=False, soft_wrap=True)
    history = Losses()
    adverse = [name for name in data.shown().conditions if name not in data.card.clear]
    if stage.balance == "half" and not adverse:
        console.print(f"stage {name}: {data.card.name} {data.split} has no adverse frame; it sees clear ones alone")
    if total:
        callbacks = [history, KeepLast(folder.last(name), options.save_every)]
        if options.progress and runs.is_first_process():
            callbacks.append(Bar(name, total, console))
        with _quiet_trainer():
            trainer = Trainer(
                **_devices(options),
                max_steps=total,
                max_epochs=-1,
                gradient_clip_val=stage.clip or None,
                logger=loggers,
                callbacks=callbacks,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                log_every_n_steps=1,
            )
            last = folder.last(name)
            if last.exists():
                fill(method, read_weights(last), str(last))  # a bad file is named here, not deep inside the trainer
            try:
                trainer.fit(method, datamodule=data, ckpt_path=str(last) if last.exists() else None)
            except SystemExit:
                if trainer.interrupted:
                    raise KeyboardInterrupt from None  # what Lightning was told, before it decided to exit
                raise
    method.finish()
    if 0 < total <= method.blind:
        console.print(f"stage {name}: no point was visible in an image; `lidar2d view` shows what the networks see")
    elif idle := history.idle():
        console.print(f"stage {name}: {', '.join(idle)} stayed 0 and taught nothing", highlight=False)
    if data.skipped:
        console.print(f"skipped {data.skipped} frames with bad files; `lidar2d check` names them")
    fell = {"steps": total, "losses": history.first_and_last()}
    if runs.is_first_process():
        folder.save_json(f"{name}-losses.json", fell)
        folder.save_weights(folder.done(name), method)
        folder.last(name).unlink(missing_ok=True)
    return fell


def _devices(options: TrainerOptions) -> dict[str, Any]:
    return {
        "accelerator": options.accelerator,
        "devices": options.devices,
        "num_nodes": options.num_nodes,
        "strategy": options.strategy,
        "precision": options.precision,
    }


@contextmanager
def _quiet_trainer() -> Iterator[None]:
    """Keep the trainer's advice and advertisements off the screen; its errors are exceptions."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _loggers(
    options: TrainerOptions, folder: RunFolder, stage: str, before: int, wandb: WandbRun | None
) -> list[Logger]:
    """Make the loggers that were asked for; a resumed stage logs beside its beginning, never over it.

    Args:
        options: which.
        folder: of the run.
        stage: that is logged.
        before: steps of the stages before it.
        wandb: the run there, if it was asked for.
    """
    if options.logger == "none":
        return []
    parts = len(list((folder.path / "logs").glob(f"{stage}-*")))
    found: list[Logger] = [CSVLogger(folder.path, name="logs", version=f"{stage}-{parts}")]
    if options.logger == "tensorboard":
        from lightning.pytorch.loggers import TensorBoardLogger

        found.append(TensorBoardLogger(folder.path, name="logs", version=stage))
    if wandb is not None:
        found.append(wandb.stage(stage, before))
    return found
