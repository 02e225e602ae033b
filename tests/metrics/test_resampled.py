"""Resampled scenes: a mixture's score is that of a metric which saw each scene as often as it counts."""

import pytest
import torch

from lidar2d.metrics.depth import DepthErrors
from lidar2d.metrics.resampled import DRAWS, Resampled, draw, merged, shares
from lidar2d.results.robustness import depth_error
from lidar2d.tasks.detection import AveragePrecision
from lidar2d.tasks.segmentation import Scores

NAMES = [f"scene-{number}" for number in range(6)]


def classes(rng):
    truth = torch.randint(-1, 4, (200,), generator=rng)
    return torch.where(torch.rand(200, generator=rng) < 0.6, truth, torch.randint(0, 4, (200,), generator=rng)), truth


def depths(rng):
    truth = 1 + 60 * torch.rand(2, 6, 8, generator=rng)
    return truth * (0.3 * torch.randn(2, 6, 8, generator=rng)).exp(), truth


def boxes(rng):
    truth = torch.full((8, 9), -1.0, dtype=torch.float64)
    count = int(torch.randint(0, 6, (1,), generator=rng))
    truth[:count, :2] = 8.0 * torch.arange(count)[:, None] + torch.rand(count, 2, generator=rng)
    truth[:count, 2:7] = torch.tensor([0.0, 4.2, 1.8, 1.6, 0.3], dtype=torch.float64)
    truth[:count, 7] = torch.randint(0, 2, (count,), generator=rng).double()
    truth[:count, 8] = (torch.rand(count, generator=rng) < 0.9).double()
    named = truth.clone()
    named[:count, :2] += 0.4 * torch.randn(count, 2, generator=rng)
    named[:count, 8] = torch.rand(count, generator=rng).double()
    named[count : count + 2, :7] = 50 + torch.rand(1, 7, generator=rng).double()
    named[count : count + 2, 7:] = torch.tensor([0.0, 0.5], dtype=torch.float64)
    return named[None], truth[None]


KINDS = {
    "segmentation": (lambda: Scores(("a", "b", "c", "d")), classes, lambda found: found["miou"] / 100),
    "depth": (lambda: DepthErrors(1.0, 80.0), depths, lambda found: 1 - depth_error(found["abs_rel"], found["d1"])),
    "detection": (lambda: AveragePrecision({"a": 0.5, "b": 0.3}), boxes, lambda found: found["ap3d"] / 100),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixtures_score_is_that_of_scenes_seen_as_often(kind):
    make, sample, score = KINDS[kind]
    rng = torch.Generator().manual_seed(3)
    frames = [[sample(rng) for _ in range(1 + number % 2)] for number in range(len(NAMES))]
    scenes = []
    for own in frames:
        scenes.append(make())
        for each in own:
            scenes[-1].update(*each)
    times = torch.tensor([[1, 1, 1, 1, 1, 1], [2, 0, 1, 0, 3, 0], [0, 0, 0, 1, 0, 5]]).double()
    assert isinstance(scenes[0], Resampled)
    found = scenes[0].scores(scenes, times)
    for row, counts in enumerate(times.long().tolist()):
        slow = make()
        for own, count in zip(frames, counts, strict=True):
            for _ in range(count):
                for each in own:
                    slow.update(*each)
        assert found[row].item() == pytest.approx(score(slow.compute()), abs=1e-6)
    assert len(set(found.tolist())) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_parts_put_together_are_one_metric_that_saw_all(kind):
    make, sample, _ = KINDS[kind]
    rng = torch.Generator().manual_seed(4)
    parts, whole = [make() for _ in range(3)], make()
    for part in parts:
        each = sample(rng)
        part.update(*each)
        whole.update(*each)
    before = parts[0].compute()
    assert merged(parts).compute() == pytest.approx(whole.compute(), nan_ok=True)
    assert parts[0].compute() == pytest.approx(before, nan_ok=True)


def test_names_alone_decide_which_scenes_are_drawn():
    times = draw(NAMES)
    assert times.shape == (DRAWS, 6)
    assert (times.sum(1) == 6).all()
    assert torch.equal(times, draw(NAMES))
    assert not torch.equal(times, draw(NAMES[::-1]))
    assert times.mean(0).sub(1).abs().max() < 0.35  # each scene counts once in the mean, by 100 draws


def test_shares_count_scenes_and_not_frames():
    scenes = ["a", "a", "b", "c"]
    found = shares(scenes, [1, 1, 0, 0], [1, 1, 2, 4])
    times = draw(["a", "b", "c"])
    slow = [2 * a / (2 * a + 2 * b + 4 * c) for a, b, c in times.tolist()]
    assert found == pytest.approx(slow)
    assert shares(["a", "b"], [0.0, 0.0], [0.0, 0.0]) == ()
