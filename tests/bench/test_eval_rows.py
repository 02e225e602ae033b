"""The row that `lidar2d eval` writes: what it is called, and what it takes the place of."""

from types import SimpleNamespace

import pytest

from lidar2d import manual
from lidar2d.bench import command
from lidar2d.fit import saved
from lidar2d.results.record import Record

PROTOCOL = "seg3d-lp/town@1"


def test_a_row_is_called_as_the_folder_of_its_run(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "rebuilt", lambda _: (None, {}))
    monkeypatch.setattr(saved, "fill", lambda *_: None)
    monkeypatch.setattr(saved, "read_weights", lambda _: {})
    run = tmp_path / "collab-synthetic-20260101-000000"
    run.mkdir()
    (run / "method.ckpt").touch()
    assert saved.restore(run).name == run.name
    assert saved.restore(run / "method.ckpt").name == run.name
    assert "by default the run folder's" in manual.EVAL


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Let ``eval`` find networks with some weights worth one number, or nothing, and return what it says."""

    def judge(weights, error="", name="row", seed=0):
        metrics = {} if error else {"miou": 1.0}
        record = Record("eval", name, "synthetic", "all", 0, PROTOCOL, 100, seed, metrics, weights=weights, error=error)
        monkeypatch.setattr(command, "evaluate", lambda *_: [record])
        networks = SimpleNamespace(content={"data": {"card": "synthetic", "root": None}})
        return command.judge_one(networks, name, PROTOCOL, None, [], tmp_path, None)

    return judge


def test_it_is_told_that_records_of_other_weights_are_replaced_and_how_to_keep_both(judged, tmp_path):
    told = "row row held records of other weights (aaa); to keep both, judge one of them again with --name ROW"
    assert "replaced" not in judged("aaa")
    assert "replaced" not in judged("aaa")
    assert "replaced" not in judged("bbb", name="other")
    assert "replaced" not in judged("bbb", seed=1)  # another evaluation
    assert "replaced" not in judged("bbb", error="no frame")  # which leaves the numbers as they are
    assert f"\nreplaced  {told}\n" in judged("bbb")
    assert '"weights": "bbb"' in (tmp_path / "eval/row.jsonl").read_text()
