"""Errors of depth against a slow twin, by hand, and against the conventions that papers get wrong."""

import math

import numpy as np
import pytest
import torch

from lidar2d.metrics.depth import NAMES, DepthErrors, crop_mask, errors


def slow(prediction, target):
    """One pixel after another, in the words of Eigen et al. 2014."""
    n = len(target)
    total = dict.fromkeys(NAMES, 0.0)
    logs = []
    for p, t in zip(prediction, target, strict=True):
        total["abs_rel"] += abs(p - t) / t / n
        total["sq_rel"] += (p - t) ** 2 / t / n
        total["rmse"] += (p - t) ** 2 / n
        total["rmse_log"] += (math.log(p) - math.log(t)) ** 2 / n
        total["log10"] += abs(math.log10(p) - math.log10(t)) / n
        logs.append(math.log(p) - math.log(t))
        for power in (1, 2, 3):
            total[f"d{power}"] += (max(p / t, t / p) < 1.25**power) / n
    mean = sum(logs) / n
    total["silog"] = 100 * math.sqrt(sum((log - mean) ** 2 for log in logs) / n)
    total["rmse"], total["rmse_log"] = math.sqrt(total["rmse"]), math.sqrt(total["rmse_log"])
    return [total[name] for name in NAMES]


@pytest.mark.parametrize("seed", range(5))
def test_errors_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.5, 80, 200)
    prediction = target * np.exp(rng.normal(0.1, 0.4, 200))
    found = errors(torch.from_numpy(prediction).float(), torch.from_numpy(target).float())
    np.testing.assert_allclose(found, slow(prediction.tolist(), target.tolist()), rtol=1e-5)


def test_by_hand():
    found = dict(zip(NAMES, errors(torch.tensor([2.0, 8.0]), torch.tensor([1.0, 10.0])).tolist(), strict=True))
    assert found["abs_rel"] == pytest.approx((1 + 0.2) / 2)
    assert found["sq_rel"] == pytest.approx((1 + 0.4) / 2)
    assert found["rmse"] == pytest.approx(math.sqrt((1 + 4) / 2))
    assert found["log10"] == pytest.approx((math.log10(2) + math.log10(1.25)) / 2)
    # 1.25 is not within 1.25; 2 is more than 1.25^3
    assert (found["d1"], found["d2"], found["d3"]) == (0.0, 0.5, 0.5)


def test_a_wrong_scale_costs_silog_nothing():
    target = torch.rand(100) * 50 + 1
    found = dict(zip(NAMES, errors(3 * target, target).tolist(), strict=True))
    assert found["silog"] == pytest.approx(0, abs=1e-5)
    assert found["abs_rel"] == pytest.approx(2)


def test_images_count_alike_however_many_pixels_they_have():
    metric = DepthErrors(0.001, 80)
    target = torch.zeros(2, 10, 10)
    target[0, 0, 0], target[1] = 10.0, 10.0
    prediction = torch.full((2, 10, 10), 10.0)
    prediction[0] = 20.0
    metric.update(prediction, target)
    assert metric.compute()["abs_rel"] == pytest.approx(0.5)  # pooled over pixels it would be 1/101


def test_perfect_depth_has_no_error_and_no_image_has_no_number():
    metric = DepthErrors(0.001, 80)
    assert math.isnan(metric.compute()["rmse"])
    target = torch.rand(3, 20, 30) * 70 + 1
    metric.update(target, target)
    found = metric.compute()
    assert all(found[name] == 0 for name in NAMES[:6])
    assert all(found[name] == 1 for name in NAMES[6:])


def test_pixels_out_of_range_do_not_count_and_guesses_are_clamped():
    metric = DepthErrors(1.0, 10.0)
    target = torch.tensor([[[0.0, 0.5, 5.0, 12.0, 8.0]]])
    prediction = torch.tensor([[[9.0, 9.0, 5.0, 1.0, 80.0]]])
    metric.update(prediction, target)
    assert metric.compute()["abs_rel"] == pytest.approx((0 + 2 / 8) / 2)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_order_and_processes_change_nothing(parts):
    target, prediction = torch.rand(2, 31, 8, 9) * 50 + 1
    whole = DepthErrors(0.001, 80)
    whole.update(prediction, target)
    shares = [DepthErrors(0.001, 80) for _ in range(parts)]
    order = torch.randperm(31)
    for place, row in enumerate(order.tolist()):
        shares[place % parts].update(prediction[row : row + 1], target[row : row + 1])
    joined = DepthErrors(0.001, 80)
    joined.rows = torch.cat([torch.cat(share.rows) for share in shares])
    assert joined.compute() == whole.compute()


def test_garg_crop_of_a_kitti_image_by_hand():
    """Rows 0.40810811 * 375 = 153.04 to 0.99189189 * 375 = 371.96, columns 44.65 to 1197.35; cut off, not rounded."""
    garg = crop_mask("garg", 375, 1242)
    expected = torch.zeros(375, 1242, dtype=torch.bool)
    expected[153:371, 44:1197] = True
    assert torch.equal(garg, expected)


def test_crops_are_the_published_ones():
    garg = crop_mask("garg", 352, 1216)
    rows, columns = garg.nonzero().unbind(1)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (143, 349, 43, 1172)
    eigen = crop_mask("eigen", 480, 640)
    rows, columns = eigen.nonzero().unbind(1)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (45, 471, 41, 601)
    assert crop_mask("none", 3, 4).all()
    with pytest.raises(ValueError, match="480x640"):
        crop_mask("eigen", 352, 1216)
