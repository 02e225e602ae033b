"""Arrays made once of slow files, and memory-mapped by every process that reads them."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from lidar2d.errors import DataError

_CHUNK = 1 << 24  # bytes
_UNFINISHED = ".making-"  # begins the name of a folder that is being filled
_FORGOTTEN = 86400  # seconds


@dataclass(frozen=True)
class Made:
    """What is kept: arrays by name, and facts that JSON can hold."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


def keep(home: Path, place: Sequence[str], sources: Iterable[Path], layout: int, make: Callable[[], Made]) -> Path:
    """Return the folder of the arrays that files were made into; make them if they are not there, bad, or outdated.

    Args:
        home: the folder of all such folders.
        place: says what was read and how; the first word begins the folder's name. Others' folders are left alone.
        sources: the files; one that changes its size or its time outdates the arrays.
        layout: goes up when the arrays change their meaning.
        make: reads the files.

    Raises:
        DataError: what ``make`` raises, or if the arrays cannot be written.
    """
    name = f"{place[0]}-{_digest(place)}"
    folder = home / f"{name}-{_digest([str(layout), *map(_state, sources)])}"
    if not _is_sound(folder):
        made = make()
        try:
            _write(folder, made)
        except OSError as error:
            raise DataError(
                f"cannot keep the index of {place[0]} in {home}: {error.strerror}\n"
                "make room there, or set LIDAR2D_CACHE to another folder"
            ) from None
        for stale in home.glob(f"{name}-*"):
            if stale != folder:
                shutil.rmtree(stale, ignore_errors=True)
    return folder


def load(folder: Path) -> Made:
    """Open the arrays of a folder; their pages are read when they are used, and shared by all processes."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return Made({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta["crc"]}, meta["facts"])


def _state(path: Path) -> str:
    if not path.is_file():
        return f"{path.name} missing"
    return f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _is_sound(folder: Path) -> bool:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        whole = bool(meta["crc"]) and _crc_of(meta["facts"]) == meta["crc_of_facts"]
        return whole and all(_crc(folder / f"{name}.npy") == crc for name, crc in meta["crc"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _crc_of(facts: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())


def _crc(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def _write(folder: Path, made: Made) -> None:
    """Write arrays into a folder beside their place, then move it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for forgotten in folder.parent.glob(f"{_UNFINISHED}*"):  # of processes that were killed
        with suppress(FileNotFoundError):  # it was finished meanwhile
            if time.time() - forgotten.stat().st_mtime > _FORGOTTEN:
                shutil.rmtree(forgotten, ignore_errors=True)
    fresh = folder.parent / f"{_UNFINISHED}{uuid4().hex}"
    fresh.mkdir()
    try:
        for name, array in made.arrays.items():
            np.save(fresh / f"{name}.npy", array)
        crc = {name: _crc(fresh / f"{name}.npy") for name in made.arrays}
        meta = {"crc": crc, "facts": made.facts, "crc_of_facts": _crc_of(made.facts)}
        (fresh / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        _move(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _move(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        if _is_sound(folder):
            return  # another process was faster, and made the same
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
