from collections import Counter

import pytest

from lidar2d.data.stream import Chunk, EachOnce, Stream, frame_seed


def test_every_pass_shows_every_frame_once():
    stream = Stream([list(range(10))], [0], batch_size=4, seed=0)
    keys = [key for step in range(10) for key in stream.batch(step)]
    for epoch in range(4):
        assert sorted(index for e, index in keys if e == epoch) == list(range(10))


def test_passes_differ_and_seeds_differ():
    def order(seed, epoch):
        stream = Stream([list(range(20))], [0], batch_size=20, seed=seed)
        return [index for _, index in stream.batch(epoch)]

    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert order(3, 2) == order(3, 2)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_the_batch_of_one(world):
    stream = Stream([list(range(7)), list(range(7, 20))], [0, 1], batch_size=8, seed=5)
    for step in range(6):
        shares = [stream.batch(step, rank, world) for rank in range(world)]
        assert [key for share in shares for key in share] == stream.batch(step)


def test_balance_takes_every_second_frame_from_the_clear_group():
    groups = [list(range(4)), list(range(4, 40)), list(range(40, 100))]
    stream = Stream(groups, [0, 1, 0, 2], batch_size=8, seed=1)
    counts = Counter(
        next(g for g, group in enumerate(groups) if index in group) for s in range(25) for _, index in stream.batch(s)
    )
    assert counts == {0: 100, 1: 50, 2: 50}


def test_groups_are_exhausted_before_they_repeat():
    stream = Stream([[0, 1, 2], list(range(3, 13))], [0, 1], batch_size=2, seed=1)
    adverse = [stream.batch(step)[1] for step in range(20)]
    assert sorted(index for epoch, index in adverse if epoch == 0) == list(range(3, 13))
    assert sorted(index for epoch, index in adverse if epoch == 1) == list(range(3, 13))


def test_chunks_cover_a_stage_exactly():
    stream = Stream([list(range(5))], [0], batch_size=2, seed=0)
    batches = []
    chunk = Chunk(stream, total_steps=23, chunk_steps=10, step=lambda: len(batches), rank=0, world=1)
    for expected in (10, 10, 3, 0):
        assert len(chunk) == expected
        batches += list(chunk)
    assert batches == [stream.batch(step) for step in range(23)]


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 7, 20, 23])
def test_evaluation_shows_every_frame_once(count, world):
    shares = [EachOnce(count, 4, rank, world) for rank in range(world)]
    shown = [index for share in shares for batch in share for index in batch]
    assert sorted(shown) == list(range(count))
    assert max((len(batch) for share in shares for batch in share), default=0) <= max(1, 4 // world)
    assert all(len(share) == len(list(share)) for share in shares)


def test_frame_seeds_fit_and_differ():
    seeds = {frame_seed(s, e, t) for s in range(3) for e in range(3) for t in ("a", "b")}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)
