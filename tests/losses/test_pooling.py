import pytest
import torch

from lidar2d.losses.pooling import _bags, _product, pool, sum_by_class


def test_means_equal_loops_and_are_not_normalised_again():
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(50, 4, generator=generator, dtype=torch.float64), dim=1)
    segment = torch.randint(-1, 6, (50,), generator=generator)
    means, count = pool(rows, segment, 8)
    for s in range(8):
        own = [row for row, index in zip(rows, segment.tolist(), strict=True) if index == s]
        assert count[s] == len(own)
        expected = sum(own) / len(own) if own else torch.zeros(4)
        torch.testing.assert_close(means[s], expected.double(), atol=1e-12, rtol=0)
    assert means.norm(dim=1).max() < 1


def test_two_orthogonal_unit_rows_by_hand():
    # SLidR's means are shorter than one: two orthogonal rows give (½, ½), of length √½
    means, _ = pool(torch.eye(2), torch.zeros(2, dtype=torch.int64), 1)
    torch.testing.assert_close(means, torch.tensor([[0.5, 0.5]]))


def test_gradient():
    rows = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    segment = torch.tensor([0, 0, 2, -1, 2, 2, 0, 1, -1])
    assert torch.autograd.gradcheck(lambda r: pool(r, segment, 4)[0], rows)


def test_no_rows_at_all():
    means, count = pool(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 2)
    assert torch.equal(means, torch.zeros(2, 3))
    assert torch.equal(count, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("sums_of", [sum_by_class, _bags, _product])
@pytest.mark.parametrize("classes", [1, 6, 300])
def test_sums_by_class_equal_loops(sums_of, classes):
    generator = torch.Generator().manual_seed(classes)
    rows = torch.randn(40, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(-1, classes, (40,), generator=generator)
    sums, count = sums_of(rows, labels, classes)
    for label in range(classes):
        own = rows[labels == label]
        assert count[label] == len(own)
        torch.testing.assert_close(sums[label], own.sum(0), atol=1e-12, rtol=0)
    assert torch.autograd.gradcheck(lambda r: sums_of(r, labels, classes)[0], rows)


@pytest.mark.parametrize("sums_of", [_bags, _product])
def test_sums_of_no_rows_and_of_rows_without_a_class(sums_of):
    for rows in (torch.zeros(0, 2), torch.ones(3, 2)):
        sums, count = sums_of(rows, torch.full((len(rows),), -1), 4)
        assert torch.equal(sums, torch.zeros(4, 2))
        assert torch.equal(count, torch.zeros(4))
