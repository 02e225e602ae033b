"""The log that wandb writes, against a writer of its format, and against wandb itself."""

import zlib
from struct import pack

import numpy as np
import pytest

from lidar2d.compare.offline import messages, read_offline
from lidar2d.errors import DataError

BLOCK = 32768
HEAD = b":W&B" + pack("<HB", 0xBEE1, 0)


def written(contents):
    """Cut messages into pieces that fill blocks, one byte after another."""
    file = bytearray(HEAD)
    for content in contents:
        left, first = content, True
        while first or left:
            room = BLOCK - len(file) % BLOCK
            if room < 7:
                file += bytes(room)
                room = BLOCK
            piece, left = left[: room - 7], left[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not left]
            file += pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(file)


@pytest.fixture
def contents():
    rng = np.random.default_rng(0)
    sizes = [0, 1, 50, BLOCK - 100, 3 * BLOCK, 7, *rng.integers(0, 2000, 100), BLOCK - 20, 5]
    return [rng.bytes(int(size)) for size in sizes]


@pytest.fixture
def log(tmp_path, contents):
    path = tmp_path / "run-x.wandb"
    path.write_bytes(written(contents))
    return path


def test_messages_come_back_whole_over_the_ends_of_blocks(log, contents):
    assert list(messages(log)) == contents


def test_every_place_where_a_block_may_end_is_read(tmp_path):
    path = tmp_path / "run-x.wandb"
    for short in range(20):
        contents = [bytes(BLOCK - 7 - 7 - short), b"next", b"last"]
        path.write_bytes(written(contents))
        assert list(messages(path)) == contents


def test_a_log_that_was_cut_ends_with_its_last_whole_message(log, contents):
    whole = log.read_bytes()
    for cut in (0, 3, len(HEAD), len(HEAD) + 3, len(whole) // 2, len(whole) - 1):
        log.write_bytes(whole[:cut])
        found = list(messages(log))
        assert found == contents[: len(found)]
        assert len(found) < len(contents)


def test_nothing_is_read_after_a_wrong_byte(log, contents):
    data = bytearray(log.read_bytes())
    data[-1] ^= 1
    log.write_bytes(data)
    assert list(messages(log)) == contents[:-1]


def test_what_is_no_log_is_refused(tmp_path):
    path = tmp_path / "run-x.wandb"
    path.write_text("nothing of the kind")
    with pytest.raises(DataError, match="is no log"):
        list(messages(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds nothing; its run was stopped"),
        (HEAD[:3], "holds nothing"),
        (HEAD + b"ab", "holds nothing"),
        (written([b"\xff\xff"]), "holds what is no message of wandb's"),
    ],
)
def test_a_log_without_a_message_is_told_alike_wherever_it_ends(tmp_path, content, said):
    pytest.importorskip("wandb", reason="wandb is not installed")
    path = tmp_path / "run-x.wandb"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_offline([path])
