import math

import pytest
import torch

from lidar2d.losses.distill import Standardise, distance


def slow_distance(a, b, kind):
    if kind == "mse":
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    cosine = dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return 1 - cosine if kind == "cosine" else math.sqrt(2 - 2 * cosine)


@pytest.mark.parametrize("kind", ["mse", "cosine", "l2"])
def test_distance_equals_its_slow_twin(kind):
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(11, 6, generator=g, dtype=torch.float64) for _ in range(2))
    slow = [slow_distance(x, y, kind) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert torch.allclose(distance(a, b, kind), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["mse", "cosine", "l2"])
def test_distance_gradient(kind):
    g = torch.Generator().manual_seed(1)
    a = torch.randn(4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    b = torch.randn(4, 3, generator=g, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: distance(x, b, kind), (a,))


@pytest.mark.parametrize("kind", ["mse", "cosine", "l2"])
def test_distance_to_itself_is_zero_with_a_finite_gradient(kind):
    a = torch.ones(2, 3, requires_grad=True)
    far = distance(a, a.detach(), kind)
    far.sum().backward()
    assert far.detach().abs().max() < 1e-5
    assert torch.isfinite(a.grad).all()


def test_cosine_and_l2_ignore_scale_and_mse_does_not():
    g = torch.Generator().manual_seed(2)
    a, b = (torch.randn(5, 4, generator=g, dtype=torch.float64) for _ in range(2))
    for kind in ("cosine", "l2"):
        assert torch.allclose(distance(3 * a, b, kind), distance(a, b, kind))
    assert not torch.allclose(distance(3 * a, b, "mse"), distance(a, b, "mse"))


def test_standardise_over_parts_equals_standardise_over_all():
    g = torch.Generator().manual_seed(3)
    rows = torch.randn(1000, 4, generator=g) * torch.tensor([1.0, 10.0, 0.01, 5.0]) + 3
    module = Standardise(4)
    for part in rows.split(300):
        module.update(part)
    expected = (rows - rows.mean(0)) / rows.std(0, unbiased=False)
    assert torch.allclose(module(rows), expected, atol=1e-3)


def test_standardise_is_the_identity_before_it_saw_anything():
    rows = torch.randn(3, 4, generator=torch.Generator().manual_seed(4))
    assert torch.equal(Standardise(4)(rows), rows)


def test_a_channel_that_never_moved_does_not_blow_up_later():
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(5)) * torch.tensor([2.0, 0.02, 0.0]) + 1
    module = Standardise(3)
    module.update(rows)
    found = module(rows + torch.tensor([0.0, 0.0, 0.1]))
    assert found[:, :2].std(0, unbiased=False).tolist() == pytest.approx([1, 1], abs=1e-3)
    assert found[:, 2].abs().max() < 1
