"""Mean IoU against the judges of nuScenes-lidarseg and of SemanticKITTI, over several frames."""

import numpy as np
import pytest
import torch
from nuscenes.eval.lidarseg.utils import ConfusionMatrix as Devkit

from lidar2d.data.card import load_card
from lidar2d.metrics.confusion import ConfusionMatrix, mean_iou
from lidar2d.tasks.segmentation import PointSegmentation

NUSCENES, KITTI = 16, 19


def frames(rng, classes, lacking, unanswered=False):
    """Draw labels and answers of frames in which 0 is to be ignored; some classes occur nowhere."""
    there = np.setdiff1d(np.arange(1, classes + 1), lacking)
    weight = rng.dirichlet(np.ones(len(there)))
    for _ in range(4):
        size = int(rng.integers(200, 400))
        target = np.where(rng.random(size) < 0.2, 0, rng.choice(there, size, p=weight))
        answer = np.where((rng.random(size) < 0.6) & (target > 0), target, rng.choice(there, size))
        yield target, np.where(unanswered & (rng.random(size) < 0.1), 0, answer)


def ours(drawn, classes):
    metric = ConfusionMatrix(classes)
    for target, answer in drawn:
        metric.update(torch.from_numpy(answer - 1), torch.from_numpy(target - 1))
    return metric


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_the_nuscenes_devkit(seed):
    drawn = list(frames(np.random.default_rng(seed), NUSCENES, lacking=[3, 9][: seed % 3]))
    judge = Devkit(NUSCENES + 1, ignore_idx=0)
    for target, answer in drawn:
        judge.update(target, answer)
    metric = ours(drawn, NUSCENES)
    assert judge.global_cm[1:, 1:].tolist() == metric.matrix[:, :-1].tolist()
    np.testing.assert_allclose(metric.compute(), judge.get_per_class_iou()[1:], rtol=1e-6)
    assert mean_iou(metric.matrix).item() == pytest.approx(judge.get_mean_iou(), rel=1e-6)


def semantickitti(drawn):
    """IoU of each of 19 classes and their mean, as the benchmark defines them, in a matrix of (answer, truth)."""
    matrix = np.zeros((KITTI + 1, KITTI + 1), int)
    for target, answer in drawn:
        for t, p in zip(target, answer, strict=True):
            matrix[p, t] += 1
    matrix[:, 0] = 0  # what is to be ignored is no mistake; a valid point that is answered with 0 stays a miss
    each = []
    for c in range(1, KITTI + 1):
        right, wrong, missed = matrix[c, c], matrix[c].sum() - matrix[c, c], matrix[:, c].sum() - matrix[c, c]
        each.append(right / (right + wrong + missed + 1e-15))
    return each, np.mean(each)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_semantickitti(seed):
    lacking = [2, 8, 15][: seed % 3]
    drawn = list(frames(np.random.default_rng(seed), KITTI, lacking, unanswered=True))
    metric = ours(drawn, KITTI)
    each, mean = semantickitti(drawn)
    np.testing.assert_allclose(metric.compute().nan_to_num(0.0), each, atol=1e-12)
    assert mean_iou(metric.matrix, "zero").item() == pytest.approx(mean, abs=1e-12)
    skipping = mean_iou(metric.matrix).item()
    assert skipping == pytest.approx(mean * KITTI / (KITTI - len(lacking)), abs=1e-12)
    answered = [(target[answer > 0], answer[answer > 0]) for target, answer in drawn]
    assert skipping < mean_iou(ours(answered, KITTI).matrix).item() - 0.01  # points without an answer are no excuse


def test_a_task_has_the_mean_that_it_is_told():
    card = load_card("semantickitti")
    drawn = list(frames(np.random.default_rng(7), KITTI, lacking=[2, 8]))
    _, mean = semantickitti(drawn)
    found = {}
    for absent in ("skip", "zero"):
        metric = PointSegmentation(card, absent=absent).metric()
        for target, answer in drawn:
            metric.update(torch.from_numpy(answer - 1), torch.from_numpy(target - 1))
        found[absent] = metric.compute()["miou"]
    assert found["zero"] == pytest.approx(100 * mean)
    assert found["skip"] == pytest.approx(100 * mean * 19 / 17)
    assert PointSegmentation(card).absent == "skip"
