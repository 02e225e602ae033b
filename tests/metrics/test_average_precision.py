"""KITTI's average precision against a slow twin of the published rules, and against curves worked out by hand."""

import math

import numpy as np
import pytest
import torch

from lidar2d.metrics.kitti import MIN_HEIGHT, NEVER, Curve, Found, Truth, curves, level
from lidar2d.metrics.overlap import overlaps


def boxes(xs, size=(4.0, 2.0, 1.5)):
    rows = [[x, 0.0, 0.0, *size, 0.0] for x in xs]
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 7)


def truth(xs, levels=None, classes=None):
    count = len(xs)
    return Truth(
        boxes(xs),
        torch.tensor(classes or [0] * count, dtype=torch.int64),
        torch.tensor(levels or [0] * count, dtype=torch.int64),
    )


def found(xs, scores, heights=None, classes=None):
    count = len(xs)
    return Found(
        boxes(xs),
        torch.tensor(classes or [0] * count, dtype=torch.int64),
        torch.tensor(scores, dtype=torch.float64),
        torch.tensor(heights or [100.0] * count, dtype=torch.float64),
    )


# ---- the slow twin: one frame, one box, one threshold at a time


def passes(frame, index, number, least, threshold, matrix):
    """Return the scores of the hits and the number of mistakes of one frame; threshold None collects scores."""
    t, f = frame
    taken, hits = set(), []
    for i in range(len(t.boxes)):
        if t.classes[i] != index:
            continue
        best = None
        for j in range(len(f.boxes)):
            if f.classes[j] != index or j in taken or matrix[i, j] <= least:
                continue
            if threshold is not None and f.scores[j] < threshold:
                continue
            small = bool(f.heights[j] < MIN_HEIGHT[number])
            if threshold is None:
                if best is None or f.scores[j] > f.scores[best[0]]:
                    best = (j, small)
            elif not small:
                if best is None or best[1] or matrix[i, j] > matrix[i, best[0]]:
                    best = (j, small)
            elif best is None:
                best = (j, small)
        if best is not None:
            taken.add(best[0])
            if t.levels[i] <= number and not best[1]:
                hits.append(float(f.scores[best[0]]))
    wrong = 0
    if threshold is not None:
        for j in range(len(f.boxes)):
            own = f.classes[j] == index and f.scores[j] >= threshold and f.heights[j] >= MIN_HEIGHT[number]
            wrong += bool(own and j not in taken)
    return hits, wrong


def slow(frames, index, number, least, kind):
    matrices = [overlaps(t.boxes, f.boxes)[0 if kind == "bev" else 1] for t, f in frames]
    total = sum(int(((t.classes == index) & (t.levels <= number)).sum()) for t, _ in frames)
    scores = []
    for frame, matrix in zip(frames, matrices, strict=True):
        scores += passes(frame, index, number, least, None, matrix)[0]
    scores.sort(reverse=True)
    thresholds, recall = [], 0.0
    for i, score in enumerate(scores):
        left = (i + 1) / total
        right = (i + 2) / total if i < len(scores) - 1 else left
        if right - recall < recall - left and i < len(scores) - 1:
            continue
        thresholds.append(score)
        recall += 1 / 40
    precision = [0.0] * 41
    for place, threshold in enumerate(thresholds):
        tp = fp = 0
        for frame, matrix in zip(frames, matrices, strict=True):
            hits, wrong = passes(frame, index, number, least, threshold, matrix)
            tp, fp = tp + len(hits), fp + wrong
        precision[place] = tp / (tp + fp)
    return [max(precision[place:]) for place in range(41)]


def scene(rng):
    count, extra = rng.integers(0, 9), rng.integers(0, 6)
    xs = rng.uniform(0, 60, count)
    near = np.repeat(xs, rng.integers(0, 4, count))
    near = near + rng.normal(0, 0.5, len(near))
    everything = np.concatenate([near, rng.uniform(0, 60, extra)])
    rng.shuffle(everything)
    t = truth(xs, rng.integers(0, 4, count).tolist(), rng.integers(0, 2, count).tolist())
    scores = rng.choice(np.linspace(0, 1, 12), len(everything))  # with ties
    heights = rng.choice([20.0, 25.0, 30.0, 40.0, 90.0], len(everything)).tolist()
    return t, found(everything, scores, heights, rng.integers(0, 2, len(everything)).tolist())


@pytest.mark.parametrize("seed", range(12))
def test_curves_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    frames = [scene(rng) for _ in range(int(rng.integers(1, 12)))]
    made = curves([t for t, _ in frames], [f for _, f in frames], (0.7, 0.5))
    assert set(made) == {(index, kind) for index in (0, 1) for kind in ("bev", "3d")}
    for (index, kind), levels in made.items():
        for number, curve in enumerate(levels):
            expected = slow(frames, index, number, (0.7, 0.5)[index], kind)
            np.testing.assert_allclose(curve.precision, expected, atol=1e-12)


# ---- by hand


def car(made, number=0):
    return made[0, "3d"][number]


def test_r40_is_not_r11():
    """One of two cars is found, first of all: precision 1 up to recall 1/2."""
    made = car(curves([truth([0, 20])], [found([0], [0.9])], [0.7]))
    # thresholds: one score, taken for recall 0; the other forty places have nothing
    assert made.precision.tolist() == [1.0] + [0.0] * 40
    assert made.r40 == 0
    assert made.r11 == pytest.approx(100 / 11)


def test_half_of_eighty_cars_at_full_precision():
    frames = [truth([0, 20]) for _ in range(40)]
    hits = [found([0], [0.9 - 0.01 * k]) for k in range(40)]
    made = car(curves(frames, hits, [0.7]))
    assert made.precision[:21].tolist() == [1.0] * 21
    assert made.precision[21:].tolist() == [0.0] * 20
    assert made.r40 == pytest.approx(100 * 20 / 40)
    assert made.r11 == pytest.approx(100 * 6 / 11)


def test_mistakes_before_hits_lower_the_curve():
    """Of 40 cars all are found; before each stands a mistake with a higher score."""
    frames = [truth([0]) for _ in range(40)]
    hits = [found([0, 40], [0.5 - 0.01 * k, 0.9]) for k in range(40)]
    made = car(curves(frames, hits, [0.7]))
    # at the k-th threshold there are k hits beside all forty mistakes; later precision is higher, so it counts
    assert made.precision[-1] == pytest.approx(0.5) or made.precision[39] == pytest.approx(0.5)
    assert made.r40 == pytest.approx(50, abs=1.3)


def test_perfect_detections_score_100_and_nothing_scores_0():
    rng = np.random.default_rng(0)
    frames = [truth(np.arange(5) * 9.0) for _ in range(30)]
    perfect = [found(np.arange(5) * 9.0, rng.uniform(0, 1, 5)) for _ in range(30)]
    for curve in curves(frames, perfect, [0.7])[0, "3d"]:
        assert curve.r40 == curve.r11 == pytest.approx(100)
    for curve in curves(frames, [found([], []) for _ in range(30)], [0.7])[0, "bev"]:
        assert curve.r40 == curve.r11 == 0


def test_interpolated_precision_by_hand():
    """Three cars, answers hit, miss, hit, miss, never: precision 1 to recall 1/3, 2/3 to recall 2/3."""
    answers = found([0, 50, 20, 60], [0.9, 0.8, 0.7, 0.6])
    made = curves([truth([0, 20, 40])], [answers], [0.7], sampled=False)[0, "3d"][0]
    expected = [1.0 if k / 40 <= 1 / 3 else 2 / 3 if k / 40 <= 2 / 3 else 0.0 for k in range(41)]
    assert made.precision.tolist() == pytest.approx(expected)
    perfect = curves([truth([0, 20])], [found([0, 20], [0.5, 0.4])], [0.7], sampled=False)
    assert perfect[0, "bev"][0].r40 == 100
    assert curves([truth([0, 20])], [found([0, 20], [0.5, 0.4])], [0.7])[0, "bev"][0].r40 < 100


def test_interpolated_and_sampled_agree_where_there_are_many():
    rng = np.random.default_rng(3)
    frames = [scene(rng) for _ in range(400)]
    given = [t for t, _ in frames], [f for _, f in frames], (0.5, 0.5)
    sampled, whole = curves(*given), curves(*given, sampled=False)
    for key, levels in sampled.items():
        for a, b in zip(levels, whole[key], strict=True):
            assert a.r40 == pytest.approx(b.r40, abs=3.0)


def test_neutral_boxes_are_neither_hits_nor_mistakes():
    counted = curves([truth([0])] * 41, [found([0], [0.5])] * 41, [0.7])
    beside_a_van = curves([truth([0, 20], [0, NEVER])] * 41, [found([0, 20], [0.5, 0.9])] * 41, [0.7])
    mistaken = curves([truth([0])] * 41, [found([0, 20], [0.5, 0.9])] * 41, [0.7])
    assert car(beside_a_van).r40 == car(counted).r40 == pytest.approx(100)
    assert car(mistaken).r40 == pytest.approx(50)


def test_small_boxes_are_no_mistakes_at_easy():
    made = curves([truth([0])] * 41, [found([0, 20], [0.5, 0.9], [90.0, 30.0])] * 41, [0.7])
    assert car(made, 0).r40 == pytest.approx(100)
    assert car(made, 1).r40 == pytest.approx(50)


def test_height_is_not_counted_from_above():
    above, below = truth([0]), found([0], [0.5])
    below.boxes[:, 2] += 1.0
    made = curves([above] * 41, [below] * 41, [0.7])
    assert made[0, "bev"][0].r40 == pytest.approx(100)
    assert made[0, "3d"][0].r40 == 0


def test_levels_are_the_benchmarks():
    height = torch.tensor([41.0, 40.0, 26.0, 25.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    occlusion = torch.tensor([0, 0, 0, 0, 1, 2, 3, 0, 0])
    truncation = torch.tensor([0.15, 0, 0, 0, 0, 0, 0, 0.4, 0.6])
    assert level(height, occlusion, truncation).tolist() == [0, 1, 1, NEVER, 1, 2, NEVER, 2, NEVER]


def test_the_order_of_frames_changes_nothing():
    rng = np.random.default_rng(5)
    frames = [scene(rng) for _ in range(10)]
    one = curves([t for t, _ in frames], [f for _, f in frames], (0.7, 0.5))
    other = curves([t for t, _ in frames[::-1]], [f for _, f in frames[::-1]], (0.7, 0.5))
    for key, levels in one.items():
        for a, b in zip(levels, other[key], strict=True):
            assert np.array_equal(a.precision, b.precision)


def test_no_frame_has_no_precision():
    assert math.isclose(car(curves([], [], [0.7])).r40, 0)
    assert Curve(np.ones(41)).r11 == pytest.approx(100)
