"""Reads the folders that wandb leaves: the log of a run, from which ``wandb sync`` would send it.

The JSON files beside it come and go with wandb's versions; the log is what all of them write. It is a LevelDB log:
after seven bytes, blocks of 32 KiB, in each of them pieces with a header of seven bytes (CRC-32 of type and bytes,
length, type: 1 whole, 2 first, 3 middle, 4 last). A whole is one message of wandb's protocol.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import unpack_from
from typing import Any

from lidar2d.compare.folder import NO_LOSS
from lidar2d.compare.run import Run, as_settings
from lidar2d.errors import DataError
from lidar2d.wandb_login import load

_MAGIC = b":W&B\xe1\xbe\x00"
_BLOCK = 32768
_HEADER = 7
_WHOLE, _FIRST, _LAST = 1, 2, 4
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # wandb's words for numbers that JSON does not have


def log_of(folder: Path) -> Path | None:
    """Return the log in a folder such as ``wandb/offline-run-TIME-ID``, if it is one."""
    return next(iter(sorted(folder.glob("run-*.wandb"))), None)


def id_of(log: Path) -> str:
    """Return the id of the wandb run that a log is of."""
    return log.stem.removeprefix("run-")


def read_offline(logs: Sequence[Path]) -> Run | None:
    """Read a run that wandb logged; None if it is not one of lidar2d.

    Args:
        logs: of one id: a resumed run has several, oldest first.

    Raises:
        UsageError: if wandb is not installed.
        DataError: if a file is no log of it, or its run was stopped before it wrote anything.
    """
    load()
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # it chooses one by protobuf's version

    name, config, metrics, finished, begun = "", dict[str, Any](), dict[str, float](), False, False
    for log in logs:
        finished = False
        for message in messages(log):
            begun = True
            try:
                record = Record.FromString(message)
            except Exception:  # protobuf's own, of which mypy knows nothing
                raise DataError(f"{log}: holds what is no message of wandb's") from None
            kind = record.WhichOneof("record_type")
            if kind == "run":
                name = record.run.display_name
                config |= _values(record.run.config.update)
            elif kind == "config":
                config |= _values(record.config.update)
            elif kind == "history":
                metrics |= scalars(_values(record.history.item))
            elif kind == "exit":
                finished = record.exit.exit_code == 0
    if not begun:
        raise DataError(f"{logs[-1]}: holds nothing; its run was stopped before it wrote anything")
    if not isinstance(config.get("recipe"), dict):
        return None
    as_settings(config["recipe"], logs[-1])
    return Run(name, str(logs[-1].parent), config["recipe"], metrics, finished)


def scalars(values: dict[str, Any]) -> dict[str, float]:
    """Keep the metrics of what a run logged: numbers, but neither wandb's own nor those that count."""
    return {
        name: float(value)
        for name, value in values.items()
        if (type(value) in (int, float) or value in _NOT_FINITE)
        and not name.startswith("_")
        and name.rpartition("/")[2] not in NO_LOSS
    }


def messages(log: Path) -> Iterator[bytes]:
    """Yield what a log holds, up to where a killed run left it.

    Raises:
        DataError: if it is none.
    """
    try:
        data = log.read_bytes()
    except OSError as error:
        raise DataError(f"{log}: not readable: {error.strerror}") from None
    if not (data.startswith(_MAGIC) or _MAGIC.startswith(data)):  # a run that was killed at once wrote less than that
        raise DataError(f"{log}: is no log of wandb's")
    place, begun = len(_MAGIC), b""
    while place + _HEADER <= len(data):
        if (left := _BLOCK - place % _BLOCK) < _HEADER:
            place += left  # the rest of a block is empty where no header fits
            continue
        sum_, length, kind = unpack_from("<IHB", data, place)
        piece = data[place + _HEADER : place + _HEADER + length]
        if len(piece) < length or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != sum_:
            return
        place += _HEADER + length
        begun = piece if kind in (_WHOLE, _FIRST) else begun + piece
        if kind in (_WHOLE, _LAST):
            yield begun


def _values(items: Any) -> dict[str, Any]:
    """Return values by name; those inside of others, such as a picture's size, are left out."""
    named = ((list(item.nested_key) or [item.key], item.value_json) for item in items)
    return {path[0]: json.loads(value) for path, value in named if len(path) == 1}
