"""One encoder, one protocol, one data set: the records of every condition."""

from __future__ import annotations

import hashlib
import json
import math
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from lidar2d import __version__, recipe
from lidar2d.arguments import build, parse_content, protocol_parser
from lidar2d.bench.protocol import ALL, Protocol, Reads, Session, Splits, Verdict
from lidar2d.bench.suite import Cell
from lidar2d.data.module import LidarData
from lidar2d.data.shares import Percent, share
from lidar2d.data.source import Source
from lidar2d.data.weather.corruption import Corruption
from lidar2d.data.weather.source import Weathered
from lidar2d.environment import commit, named
from lidar2d.errors import UsageError, nearest
from lidar2d.fit.saved import Saved
from lidar2d.nets.encoder import ImageEncoder, PointEncoder
from lidar2d.paths import cache_folder
from lidar2d.results.record import Record, severity_of
from lidar2d.tasks.kept import digest


@dataclass(frozen=True)
class Place:
    """Which table records stand in.

    Args:
        suite: name.
        version: of the suite.
        source: smoke results never share a column with measured ones.
    """

    suite: str
    version: int = 1
    source: Literal["measured", "smoke"] = "measured"


def load_protocol(name: str) -> Protocol:
    """Build a protocol by its id or by the path of a YAML file.

    Raises:
        UsageError: if there is none, or a value in it is wrong.
    """
    path = recipe.find("protocols", name)
    parser = protocol_parser(Protocol)
    try:
        built: Protocol = build(parser, parse_content(parser, {"protocol": recipe.read(path)})).protocol
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return built


def evaluate(
    saved: Saved,
    cell: Cell,
    protocol: str,
    data: LidarData,
    session: Session,
    place: Place,
    device: torch.device,
) -> list[Record]:
    """Judge one encoder of a method.

    Args:
        saved: the method.
        cell: names the evaluation; its share of the labels is taken of the frames that heads learn from.
        protocol: how it is judged: an id, or the path of a YAML file.
        data: of which its splits ``probe``, ``val`` and ``test`` are read.
        session: seed, progress, who looks; the folder of features is chosen here.
        place: of the records.
        device: that computes.

    Returns:
        A record for each condition of the test frames, and one for all of them.

    Raises:
        UsageError: if the frames or the weights do not allow it.
    """
    began = time.monotonic()
    judge = load_protocol(protocol)
    reads = judge.reads(data.card)
    encoder: PointEncoder | ImageEncoder = saved.method.points if reads == "points" else saved.method.images
    encoder.to(device)
    splits = splits_of(data, cell.labels, judge.chooses)
    _check_weather(splits.test, reads)
    if reads == "images" and isinstance(splits.test, Weathered):
        splits = replace(splits, test=splits.test.with_clear_points())
    facts = {**_common(cell, place), **_facts(saved, encoder), "data_list": _data_list(splits)}
    facts |= {"asked": recipe.digest(recipe.find("protocols", protocol)), "shown": _shown(data, splits)}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    root = None if data.root is None else str(Path(data.root).absolute())
    shown = (repr(data.card), root, data.image_size, data.sweeps, data.named, data.points_range, facts["commit"])
    asked = {"protocol": facts["asked"], "shown": shown, "recipe": facts["recipe"]}
    with _kept(facts["weights"], facts["data_list"], asked) as folder:
        verdicts = judge.judge(encoder, splits, replace(session, keep=folder))
    facts |= {"devices": named(device), "seconds": time.monotonic() - began, "peak_gib": _peak(device)}
    return [_record(verdict, facts, splits.test, reads) for verdict in verdicts]


@contextmanager
def _kept(weights: str, data_list: str, asked: dict[str, Any]) -> Iterator[Path]:
    """Give a folder for features, named by all that they depend on.

    It is removed when they are not needed any more, and stays where the process is interrupted or killed.
    """
    name = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = cache_folder() / "features" / f"{weights}-{data_list}-{name}"
    try:
        yield folder
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def failed(cell: Cell, place: Place, error: str) -> Record:
    """Return the record of an evaluation that could not be made."""
    return Record(condition=ALL, severity=0, error=error, **_common(cell, place))


def splits_of(data: LidarData, labels: int, chooses: bool) -> Splits:
    """Open the splits that heads learn from, are chosen on where the protocol does so, and judged on.

    Raises:
        UsageError: if there is nothing to judge on, or no rule for such a share of the labels.
    """
    if not data.test:
        known = nearest("", data.card.splits)
        raise UsageError(f"card {data.card.name} says no split to judge on; give --data.test NAME, {known}")
    learn = data.source(data.probe) if data.probe else None
    if learn is not None and labels != 100:
        learn = share(learn, _percent(labels))
    return Splits(learn, data.source(data.val) if chooses and data.val else None, data.judged())


def _percent(labels: int) -> Percent:
    assert labels in (1, 5, 10, 25, 50)  # the command line and the suite have seen to it
    return labels  # type: ignore[return-value]


def _common(cell: Cell, place: Place) -> dict[str, Any]:
    """Return what all records of an evaluation say, whether it failed or not."""
    where = {"suite": place.suite, "suite_version": place.version, "source": place.source}
    return {**where, **asdict(cell), "commit": commit(), "version": __version__}


def _check_weather(test: Source, reads: Reads) -> None:
    """Refuse bad weather that none of the judged sensors sees.

    Raises:
        UsageError: if there is nothing else.
    """
    if isinstance(test, Weathered) and not any(_sees(each.corruption, reads) for each in test.bads if each is not None):
        others = "points" if reads == "images" else "images"
        raise UsageError(
            f"the protocol judges features of {reads}, and the corruptions that are named change {others} alone\n"
            f"name one that changes {reads} in --data.weather.corruptions"
        )


def _sees(corruption: Corruption, reads: Reads) -> bool:
    return corruption.lidar if reads == "points" else corruption.cameras


def _record(verdict: Verdict, facts: dict[str, Any], test: Source, reads: Reads) -> Record:
    known = {name: float(value) for name, value in verdict.metrics.items() if math.isfinite(value)}
    weathered = test if isinstance(test, Weathered) else None
    condition, severity = severity_of(verdict.condition) if weathered else (verdict.condition, 0)
    return Record(
        condition=condition,
        severity=severity,
        metrics=known,
        draws=list(verdict.draws),
        error="" if known else "no frame under this condition tells the truth that is asked for",
        selection_rule=verdict.chosen,
        frames=verdict.frames,
        weather=weathered.table if weathered else "",
        fingerprint=weathered.fingerprint(verdict.condition) if weathered else "",
        **{**facts, "shown": _seen(facts["shown"], weathered, verdict.condition, reads)},
    )


def _seen(shown: str, weathered: Weathered | None, condition: str, reads: Reads) -> str:
    """Say how frames were read, and what stands between them and a plain answer in bad weather."""
    corruption = weathered.corruption(condition) if weathered else None
    if corruption is None:
        return shown
    told = [", corruption reads labels"] if corruption.reads_labels else []
    told += [] if _sees(corruption, reads) else [f", corruption leaves {reads} as they are"]
    return shown + "".join(told)


def _facts(saved: Saved, encoder: PointEncoder | ImageEncoder) -> dict[str, Any]:
    parts = saved.content["method"]["init_args"]
    points = parts["points"].get("init_args") or {}
    weak = saved.content["data"].get("weak_labels") or {}
    return {
        "teacher": _network(parts["images"]),
        "backbone": _network(parts["points" if encoder is saved.method.points else "images"]),
        "backend": str(points.get("backend", "")) if encoder is saved.method.points else "",
        "uses_text_supervision": "clip" in str((weak.get("init_args") or weak).get("model", "")).lower(),
        "pretrain_frames": saved.frames,
        "recipe": saved.recipe_digest,
        "weights": digest(encoder),
    }


def _network(content: dict[str, Any]) -> str:
    """Name a network by its class, and by its model and first weights where it has them."""
    given = content.get("init_args") or {}
    weights = Path(str(given.get("weights") or "")).name  # where a file lies is nobody else's business
    words = [content["class_path"].rpartition(".")[2], given.get("name"), weights]
    return " ".join(str(word) for word in words if word)


def _data_list(splits: Splits) -> str:
    lists = [source.tokens for source in (splits.learn, splits.test) if source is not None]
    return hashlib.sha256("\n\n".join("\n".join(tokens) for tokens in lists).encode()).hexdigest()[:12]


def _shown(data: LidarData, splits: Splits) -> str:
    """Say how frames were read, and on which ones heads were chosen; and warn of numbers that prove nothing."""
    height, width = data.image_size or (0, 0)
    said = [f"{height}x{width}" if height else "images as they are"]
    said += [f"{data.sweeps} sweeps"] if data.sweeps > 1 else []
    said += [f"cameras {' '.join(data.named)}"] if data.named is not None else []
    said += [f"within {list(data.points_range)}"] if data.points_range is not None else []
    said += [f"chosen on {data.val}"] if splits.choose is not None else []
    if splits.learn is not None and set(splits.learn.tokens) & set(splits.test.tokens):
        said.append("LEARNT FROM JUDGED FRAMES")
    elif splits.choose is not None and set(splits.choose.tokens) & set(splits.test.tokens):
        said.append("CHOSEN ON JUDGED FRAMES")
    return ", ".join(said)


def _peak(device: torch.device) -> float:
    """Return the most memory in GiB that the device, or this process so far, has held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
