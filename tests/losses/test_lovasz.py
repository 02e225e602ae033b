"""The Lovász-softmax loss against sets and a slow float64 twin."""

import numpy as np
import pytest
import torch

from lidar2d.losses.lovasz import lovasz_softmax


def jaccard_loss(wrong: set[int], members: set[int]) -> float:
    """One minus the Jaccard index of a class when exactly these elements are wrong."""
    predicted = members ^ wrong
    union = members | predicted
    return 1 - len(members & predicted) / len(union) if union else 0.0


def slow(probabilities: np.ndarray, labels: np.ndarray) -> float:
    losses = []
    for label in sorted(set(labels.tolist())):
        members = {i for i in range(len(labels)) if labels[i] == label}
        errors = [abs((i in members) - probabilities[i, label]) for i in range(len(labels))]
        order = sorted(range(len(labels)), key=lambda i: -errors[i])
        total, wrong, before = 0.0, set(), 0.0
        for i in order:
            wrong.add(i)
            now = jaccard_loss(wrong, members)
            total += errors[i] * (now - before)
            before = now
        losses.append(total)
    return float(np.mean(losses))


@pytest.mark.parametrize("seed", range(6))
def test_it_is_that_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (30, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = rng.integers(0, 4, 30)  # the last class never occurs
    found = lovasz_softmax(torch.from_numpy(probabilities), torch.from_numpy(labels))
    assert found.item() == pytest.approx(slow(probabilities, labels), abs=1e-10)


def test_hard_predictions_cost_one_minus_their_jaccard_index():
    labels = torch.tensor([0, 0, 1, 1, 1])
    predicted = torch.tensor([0, 1, 1, 1, 0])
    probabilities = torch.nn.functional.one_hot(predicted, 2).double()
    assert lovasz_softmax(probabilities, labels).item() == pytest.approx(((1 - 1 / 3) + (1 - 2 / 4)) / 2)
    assert lovasz_softmax(torch.nn.functional.one_hot(labels, 2).double(), labels).item() == 0


def test_gradient_and_no_row():
    logits = torch.randn(12, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 4, (12,))
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), labels), logits)
    assert lovasz_softmax(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).item() == 0
