import pytest
import torch

from lidar2d.losses.sampling import sample


def test_sample_draws_the_count_and_depends_on_seeds_alone():
    frame = torch.tensor([0] * 50 + [1] * 70)
    seeds = torch.tensor([11, 12])
    drawn = sample(frame, seeds, 30)
    assert drawn.sum() == 30
    assert torch.equal(drawn, sample(frame, seeds, 30))
    assert not torch.equal(drawn, sample(frame, torch.tensor([11, 13]), 30))


def test_sample_takes_all_where_there_are_fewer():
    assert sample(torch.zeros(5, dtype=torch.int64), torch.tensor([3]), 4096).all()


def test_sample_is_uniform_over_frames():
    frame = torch.tensor([0] * 100 + [1] * 300)
    share = torch.stack([sample(frame, torch.tensor([s, 1000 + s]), 40)[:100].sum() for s in range(200)]).float().mean()
    assert share.item() == pytest.approx(10, abs=1.0)  # 40 * 100 / 400; three standard errors are 0.6


def test_odds_are_what_one_draw_follows():
    frame, odds = torch.zeros(3, dtype=torch.int64), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    drawn = torch.stack([sample(frame, torch.tensor([s]), 1, odds) for s in range(2000)])
    assert (drawn.sum(1) == 1).all()
    assert drawn.double().mean(0).tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.035)  # three standard errors


def test_equal_odds_draw_the_count():
    frame = torch.tensor([0] * 50 + [1] * 70)
    assert sample(frame, torch.tensor([1, 2]), 30, torch.full((120,), 0.3)).sum() == 30
