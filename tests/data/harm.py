"""Random harm to files."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lidar2d.data.files import BadFileError


def harmed(raw: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut, insert, overwrite or repeat."""
    out = bytearray(raw)
    for _ in range(int(rng.integers(1, 4))):
        if not out:
            break
        place, length = int(rng.integers(len(out))), int(rng.integers(1, 64))
        match int(rng.integers(6)):
            case 0:
                out[place] ^= 1 << int(rng.integers(8))
            case 1:
                del out[place:]
            case 2:
                del out[place : place + length]
            case 3:
                out[place:place] = rng.bytes(length)
            case 4:
                out[place : place + length] = rng.bytes(length)
            case 5:
                out[place:place] = out[place : place + length]
    return bytes(out)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail where a reading hangs."""

    def late(*_: object) -> None:
        raise AssertionError(f"still reading after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def hurt(path: Path, read: Callable[[Path], object], count: int) -> None:
    """Harm a file so many times, and read it: a fault is told by a name in its folder, and never takes long."""
    raw, rng, told = path.read_bytes(), np.random.default_rng(0), list[str]()
    read(path)
    for _ in range(count):
        path.write_bytes(harmed(raw, rng))
        with at_most(20):
            try:
                read(path)
            except BadFileError as error:
                told.append(str(error))
    assert all(str(path.parent) in message for message in told)
    assert len(told) >= count // 20
