"""The JSON tables of nuScenes and nuImages as streams of records: the trainval tables have gigabytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rich.progress

from lidar2d.data.files import BadFileError, must_exist

Record = dict[str, Any]

TOKEN = "S32"  # as an array holds it

TABLES = (
    "scene",
    "sample",
    "sensor",
    "calibrated_sensor",
    "sample_data",
    "ego_pose",
    "category",
    "attribute",
    "instance",
    "sample_annotation",
    "lidarseg",
)
_OPTIONAL = ("lidarseg",)  # a download of its own
_CHUNK = 1 << 22  # characters read at a time
_LONGEST = 1 << 20  # characters: no record comes near; what is longer will never end
_SLOW = 1 << 26  # bytes from which reading a table shows its progress


def records(folder: Path, table: str) -> Iterator[Record]:
    """Yield the records of a table, one at a time, without holding the table.

    Raises:
        BadFileError: if the table is missing, or no list of records.
    """
    path = folder / f"{table}.json"
    if table in _OPTIONAL and not path.exists():
        return
    must_exist(path)
    decoder = json.JSONDecoder()
    ahead, start = "", 0
    quiet = path.stat().st_size < _SLOW
    try:
        label = f"reading {path.name}"
        opened = rich.progress.open(
            path, "r", encoding="utf-8", errors="replace", description=label, disable=quiet, transient=True
        )
    except OSError as error:
        raise BadFileError(path, f"unreadable: {error.strerror}") from None
    with opened as file:
        while True:
            while start < len(ahead) and ahead[start] in " \r\n\t,[":
                start += 1
            if start < len(ahead) and ahead[start] == "]":
                return
            try:
                if start == len(ahead):
                    raise ValueError("more text is needed")
                record, start = decoder.raw_decode(ahead, start)
            except RecursionError:
                raise BadFileError(path, "is no list of records") from None
            except ValueError:
                more = file.read(_CHUNK) if len(ahead) - start < _LONGEST else ""
                if not more:
                    raise BadFileError(path, "ends in the middle, or is no JSON list of records") from None
                ahead, start = ahead[start:] + more, 0
                continue
            if not isinstance(record, dict):
                raise BadFileError(path, "is no list of records")
            yield record


def by_token(
    folder: Path, table: str, row: Callable[[Record], Any], keep: Callable[[Record], bool] = lambda _: True
) -> dict[str, Any]:
    """Read what is needed of each record, by token; a key that is missing, or points nowhere, is the table's fault."""
    found = {}
    for record in records(folder, table):
        try:
            if keep(record):
                token = keepable(record["token"])
                if token in found:
                    raise ValueError("its token stands twice")
                found[token] = row(record)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise wrong(folder, table, record, error) from None
    return found


def wrong(folder: Path, table: str, record: Record, error: Exception) -> BadFileError:
    """Say what is wrong with one record."""
    fault = "no such key or record:" if isinstance(error, KeyError) else "bad value:"
    return BadFileError(folder / f"{table}.json", f"record {record.get('token')}: {fault} {error}")


def keepable(token: object) -> str:
    """Refuse a token that its place in an array would change.

    Raises:
        ValueError: saying so.
    """
    if not (isinstance(token, str) and token.isascii() and 0 < len(token) <= int(TOKEN[1:])):
        raise ValueError(f"token {token!r} is not {TOKEN[1:]} letters and digits at most")
    return token


def text(value: object) -> str:
    """Refuse what is no text, where a name or a token belongs.

    Raises:
        ValueError: saying so.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def whole(value: object) -> int:
    """Refuse what is no whole number, or none that a table holds.

    Raises:
        ValueError: saying so.
    """
    if type(value) is not int or abs(value) >= 1 << 62:
        raise ValueError(f"{value!r:.40} is no whole number")
    return value
