import math

import numpy as np
import pytest
import torch

from lidar2d.metrics.confusion import ConfusionMatrix, confusion, iou, mean_iou
from lidar2d.tasks.segmentation import Scores


def slow_iou(prediction, target, classes):
    result = []
    for c in range(classes):
        pairs = [(p == c, t == c) for p, t in zip(prediction, target, strict=True) if t >= 0]
        union = sum(p or t for p, t in pairs)
        result.append(sum(p and t for p, t in pairs) / union if union else math.nan)
    return result


def test_iou_equals_its_slow_twin():
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 5, 500), rng.integers(-1, 5, 500)
    found = iou(confusion(torch.from_numpy(prediction), torch.from_numpy(target), 6))
    assert np.allclose(found.numpy(), slow_iou(prediction, target, 6), equal_nan=True)


def test_absent_class_does_not_count():
    target = torch.tensor([0, 0, 1, 1])
    matrix = confusion(torch.tensor([0, 0, 1, 0]), target, 3)
    assert torch.isnan(iou(matrix)[2])
    assert mean_iou(matrix).item() == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_ignored_targets_do_not_count_whatever_is_predicted():
    target = torch.tensor([0, -1, -1])
    assert mean_iou(confusion(torch.tensor([0, 1, 0]), target, 2)).item() == 1.0


def test_pooling_differs_from_averaging_per_sample():
    first, second = torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 1, 1])
    target = (torch.tensor([0, 0, 0, 0]), torch.tensor([1, 1, 1, 1]))
    metric = ConfusionMatrix(2)
    metric.update(first, target[0])
    metric.update(second, target[1])
    pooled = metric.compute().nanmean().item()
    each = [mean_iou(confusion(p, t, 2)).item() for p, t in zip((first, second), target, strict=True)]
    assert pooled == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert pooled != pytest.approx(sum(each) / 2)


def test_counts_beyond_float32_stay_exact():
    metric = ConfusionMatrix(2)
    metric.matrix += torch.tensor([[2**24, 0, 0], [0, 0, 0]])
    metric.update(torch.tensor([0]), torch.tensor([0]))
    assert metric.matrix[0, 0] == 2**24 + 1


def test_matrix_by_hand():
    target = torch.tensor([0, 0, 0, 1, 1, 2, -1, -1])
    prediction = torch.tensor([0, 0, 1, 1, -1, 0, 2, -1])
    # rows are truth, columns answers; the last column has what was not answered
    assert confusion(prediction, target, 3).tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]]


def test_iou_of_a_matrix_by_hand():
    matrix = torch.tensor([[5, 2, 0], [1, 4, 0], [0, 3, 1]])
    assert iou(matrix).tolist() == pytest.approx([5 / 8, 4 / 10, 1 / 4])
    assert mean_iou(matrix).item() == pytest.approx((5 / 8 + 4 / 10 + 1 / 4) / 3)


def test_no_answer_is_a_miss_and_of_no_other_class_a_mistake():
    target, prediction = torch.tensor([0, 0, 1, 1]), torch.tensor([0, -1, 1, -1])
    assert iou(confusion(prediction, target, 2)).tolist() == [0.5, 0.5]  # left out, they would be 1


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.int8])
def test_every_integer_counts_alike(dtype):
    rng = np.random.default_rng(1)
    target, prediction = (torch.from_numpy(rng.integers(-2, 19, 300)) for _ in range(2))
    expected = np.zeros((19, 20), int)
    for t, p in zip(target.tolist(), prediction.tolist(), strict=True):
        if t >= 0:
            expected[t, p if p >= 0 else 19] += 1
    assert np.array_equal(confusion(prediction.to(dtype), target.to(dtype), 19), expected)


@pytest.mark.parametrize(
    ("prediction", "target", "said"),
    [
        ([0, 3, 1], [0, 1, 1], "predictions hold a class that is not below 3"),
        ([0, 2, 1], [0, 255, 1], "targets hold a class that is not below 3"),
        ([0, 2], [0, 1, 1], r"predictions are \(2,\), but targets \(3,\)"),
    ],
)
def test_classes_that_do_not_exist_are_refused(prediction, target, said):
    with pytest.raises(ValueError, match=said):
        confusion(torch.tensor(prediction), torch.tensor(target), 3)


def test_absent_classes_are_skipped_unless_they_count_as_zero():
    target = torch.tensor([0, 0, 1, 1])
    numbers = {}
    for absent in ("skip", "zero"):
        scores = Scores(("car", "bus", "tram"), absent)
        scores.update(torch.tensor([0, 0, 1, 0]), target)
        numbers[absent] = scores.compute()
        assert "iou/tram" not in numbers[absent]
    assert numbers["skip"]["miou"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert numbers["zero"]["miou"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 3)
    # counted as 1, as some released code has it, it would be 72.2
