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


def sorting_everything(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The equations as they stand: each class in turn, all its errors sorted, differences of the Jaccard loss."""
    losses = []
    for label in labels.unique():
        truth = (labels == label).to(probabilities.dtype)
        errors, order = (truth - probabilities[:, label]).abs().sort(descending=True)
        hits = truth[order]
        jaccard = 1 - (hits.sum() - hits.cumsum(0)) / (hits.sum() + (1 - hits).cumsum(0))
        losses.append((errors * jaccard.diff(prepend=jaccard.new_zeros(1))).sum())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("telling", [0.0, 1.0])
def test_errors_that_need_no_sorting_change_neither_value_nor_gradient(sharpness, telling):
    rng = torch.Generator().manual_seed(0)
    labels = torch.multinomial(torch.tensor([0.5, 0.3, 0.0, 0.15, 0.05]), 3000, True, generator=rng)
    told = torch.nn.functional.one_hot(labels, 5) * telling
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        logits = (sharpness * (torch.randn(3000, 5, generator=rng, dtype=torch.float64) + told)).requires_grad_()
        expected = sorting_everything(logits.softmax(1), labels)
        found = lovasz_softmax(logits.to(dtype).softmax(1), labels)
        assert found.item() == pytest.approx(expected.item(), rel=tolerance)
        (one,), (other,) = torch.autograd.grad(expected, logits), torch.autograd.grad(found, logits)
        assert (one - other).norm() <= 10 * tolerance * one.norm()


def test_elements_with_equal_errors_cost_the_same_in_any_order():
    probabilities = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 0])
    for order in (torch.arange(5), torch.tensor([2, 0, 1, 4, 3]), torch.tensor([4, 3, 1, 2, 0])):
        found = lovasz_softmax(probabilities[order], labels[order]).item()
        assert found == pytest.approx(slow(probabilities.numpy(), labels.numpy()), abs=1e-12)
