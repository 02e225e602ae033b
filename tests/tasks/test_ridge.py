import numpy as np
import pytest
import torch

from lidar2d.tasks.ridge import RidgeProbe


def rows(seed, count=400, channels=5, classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count, p=[0.7, 0.25, 0.05])
    features = rng.normal(size=(count, channels)) + np.eye(classes, channels)[labels] * 2
    return torch.from_numpy(features), torch.from_numpy(labels)


def test_without_balance_it_is_least_squares_on_one_hot():
    features, labels = rows(0)
    probe = RidgeProbe(5, 3, balance=0.0, ridge=0.0)
    probe.add(features, labels)
    design = np.c_[features.numpy(), np.ones(len(features))]
    expected, *_ = np.linalg.lstsq(design, np.eye(3)[labels.numpy()], rcond=None)
    assert np.allclose(probe.solve().numpy(), expected, atol=1e-9)


def test_balance_equals_weighted_ridge_row_by_row():
    features, labels = rows(1)
    probe = RidgeProbe(5, 3, balance=0.5, ridge=0.01)
    probe.add(features, labels)
    share = np.bincount(labels.numpy()) / len(labels)
    weight = share[labels.numpy()] ** -0.5
    design = np.c_[features.numpy(), np.ones(len(features))]
    gram = (design * weight[:, None]).T @ design
    penalty = 0.01 * np.diag(gram)[:-1].mean() * np.diag([1, 1, 1, 1, 1, 0])
    expected = np.linalg.solve(gram + penalty, (design * weight[:, None]).T @ np.eye(3)[labels.numpy()])
    assert np.allclose(probe.solve().numpy(), expected, atol=1e-9)


def test_parts_and_their_order_do_not_matter():
    features, labels = rows(2)
    whole, parts = RidgeProbe(5, 3), RidgeProbe(5, 3)
    whole.add(features, labels)
    for part in reversed(torch.arange(400).split(90)):
        parts.add(features[part], labels[part])
    assert torch.allclose(whole.solve(), parts.solve())


def test_ignored_rows_change_nothing():
    features, labels = rows(3)
    without, with_ignored = RidgeProbe(5, 3), RidgeProbe(5, 3)
    without.add(features, labels)
    with_ignored.add(torch.cat([features, 100 * features]), torch.cat([labels, torch.full_like(labels, -1)]))
    assert torch.equal(without.solve(), with_ignored.solve())


def test_it_tells_separable_classes_apart():
    features, labels = rows(4)
    features = features + 10 * torch.nn.functional.one_hot(labels, 5)
    probe = RidgeProbe(5, 3)
    probe.add(features, labels)
    assert (probe.predict(features) == labels).float().mean() > 0.99


def test_a_probe_that_saw_nothing_says_so():
    with pytest.raises(ValueError, match="no labelled feature"):
        RidgeProbe(5, 3).solve()


def test_the_mean_is_that_of_all_labelled_rows():
    features, labels = rows(5)
    probe = RidgeProbe(5, 3)
    probe.add(features, labels)
    assert torch.allclose(probe.mean(), features.mean(0).float())
