import math

import numpy as np
import pytest
import torch

from lidar2d.metrics.confusion import ConfusionMatrix, confusion, iou, mean_iou


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
    metric.matrix += torch.tensor([[2**24, 0], [0, 0]])
    metric.update(torch.tensor([0]), torch.tensor([0]))
    assert metric.matrix[0, 0] == 2**24 + 1
