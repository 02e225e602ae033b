"""Von Mises-Fisher: the Bessel function against SciPy, numbers by hand, running means against loops."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ive
from torch.nn.functional import normalize

from lidar2d.losses.vmf import VonMisesFisher, concentration, log_bessel, log_normaliser


@pytest.mark.parametrize("order", [0, 0.5, 1, 3, 15, 31, 63, 383])
def test_log_bessel_equals_scipy(order):
    kappa = torch.tensor([1e-3, 0.1, 1, 5, 30, 54, 299, 1e3, 1e4, 1e6], dtype=torch.float64)
    with np.errstate(divide="ignore"):
        expected = torch.from_numpy(np.log(ive(order, kappa.numpy()))) + kappa
    finite = expected.isfinite()  # SciPy's underflows where the logarithm does not
    assert finite.sum() >= 5
    torch.testing.assert_close(log_bessel(order, kappa)[finite], expected[finite], atol=1e-8, rtol=1e-10)


def test_log_bessel_where_it_underflows_is_its_first_term():
    # I_ν(κ) -> (κ/2)^ν / Γ(ν+1) for small κ
    kappa = torch.tensor([1e-3], dtype=torch.float64)
    expected = 383 * math.log(5e-4) - math.lgamma(384)
    assert log_bessel(383, kappa).item() == pytest.approx(expected, rel=1e-9)


def test_log_i_31_by_hand():
    # the first terms of Σ (κ/2)^(2m+31) / (m! (m+31)!) at κ = 2: 1/31! (1 + 1/32 + 1/(2·32·33) + ...)
    series = sum(1 / (math.factorial(m) * math.factorial(m + 31)) for m in range(12))
    assert log_bessel(31, torch.tensor(2.0)).item() == pytest.approx(math.log(series), rel=1e-10)


def test_concentration_by_hand():
    # of OLIVINE's traps: a true length of .9 in 64 channels, and what 10,000 uncorrected steps leave of it
    assert concentration(torch.tensor(0.9), 64).item() == pytest.approx(0.9 * (64 - 0.81) / 0.19, rel=1e-6)
    assert concentration(torch.tensor(0.9), 64).item() == pytest.approx(299.3, abs=0.1)
    shrunk = 0.9 * (1 - (1 - 1e-4) ** 10_000)
    assert shrunk == pytest.approx(0.569, abs=1e-3)
    assert concentration(torch.tensor(shrunk), 64).item() == pytest.approx(53.6, abs=0.1)


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_the_density_integrates_to_one(channels):
    # over the angle to μ: the sphere of d-1 channels at that angle has its area times sin^(d-2)
    angle = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
    for kappa in (0.0, 0.7, 12.0):
        area = 2 * math.pi ** ((channels - 1) / 2) / math.gamma((channels - 1) / 2)
        log = log_normaliser(channels, torch.tensor(kappa)) + kappa * angle.cos()
        density = log.exp() * area * angle.sin() ** (channels - 2)
        assert torch.trapezoid(density, angle).item() == pytest.approx(1, abs=1e-6)


def unit(count, channels, seed):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, channels, generator=generator, dtype=torch.float64), dim=1)


def slow(batches, classes, channels, rate):
    """One class and one step after the other: corrected running means, as Adam corrects its own."""
    mean, seen = [np.zeros(channels) for _ in range(classes)], [0] * classes
    for vectors, labels in batches:
        for c in range(classes):
            rows = [v.numpy() for v, y in zip(vectors, labels.tolist(), strict=True) if y == c]
            if rows:
                mean[c] = (1 - rate) * mean[c] + rate * sum(rows) / len(rows)
                seen[c] += 1
    out = []
    for c in range(classes):
        if not seen[c]:
            out.append(None)
            continue
        z = mean[c] / (1 - (1 - rate) ** seen[c])
        length = float(np.sqrt((z**2).sum()))
        out.append((z / length, length * (channels - length**2) / (1 - length**2)))
    return out


def test_running_means_and_loss_equal_their_slow_twin():
    classes, channels, rate = 4, 6, 0.05
    batches = [(unit(30, channels, seed), torch.randint(-1, 3, (30,), generator=torch.Generator().manual_seed(seed)))
               for seed in range(8)]  # fmt: skip
    net = VonMisesFisher(classes, channels, rate).double()
    for vectors, labels in batches:
        net.update(vectors, labels)
    expected = slow(batches, classes, channels, rate)
    directions, kappa = net.parameters_of_classes()
    for c, found in enumerate(expected):
        if found is not None:
            torch.testing.assert_close(directions[c], torch.from_numpy(found[0]), atol=1e-6, rtol=0)
            assert kappa[c].item() == pytest.approx(found[1], rel=1e-6)
    assert expected[3] is None

    vectors, labels = unit(20, channels, 99), torch.tensor([0, 1, 2, 3, -1] * 4)  # 3 was never seen, -1 is none
    total, present = 0.0, 0
    for c, found in enumerate(expected):
        rows = [v.numpy() for v, y in zip(vectors, labels.tolist(), strict=True) if y == c]
        if found is None or not rows:
            continue
        order = channels / 2 - 1
        log_c = order * math.log(found[1]) - channels / 2 * math.log(2 * math.pi)
        log_c -= math.log(ive(order, found[1])) + found[1]
        total += -log_c - found[1] * float(np.mean([found[0] @ row for row in rows]))
        present += 1
    assert net(vectors, labels).item() == pytest.approx(total / present, rel=1e-6)


def test_a_class_that_was_never_seen_and_no_class_at_all_cost_nothing():
    net = VonMisesFisher(3, 8)
    vectors = unit(5, 8, 0).float().requires_grad_()
    loss = net(vectors, torch.tensor([2, 2, -1, -1, 2]))
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(vectors.grad, torch.zeros_like(vectors))
    net.update(vectors.detach(), torch.full((5,), -1))
    assert not net.weight.any()
    assert net(vectors[:0], torch.zeros(0, dtype=torch.int64)).item() == 0


def test_the_gradient_reaches_the_vectors_alone():
    net = VonMisesFisher(2, 4, rate=0.5).double()
    labels = torch.tensor([0, 0, 1, 1, 1])
    net.update(unit(20, 4, 1), labels.repeat(4))
    vectors = unit(5, 4, 2).requires_grad_()
    assert net(vectors, labels) != 0
    assert torch.autograd.gradcheck(lambda v: net(v, labels), vectors)


def test_a_class_that_was_hardly_seen_neither_blows_up_nor_counts():
    vectors = torch.cat([normalize(unit(200, 16, 1) + 2 * unit(1, 16, 2), dim=1), unit(1, 16, 3)])
    labels = torch.tensor([0] * 200 + [1])
    net, without = VonMisesFisher(2, 16, 0.1).double(), VonMisesFisher(2, 16, 0.1).double()
    for _ in range(3):
        net.update(vectors, labels)
        without.update(vectors[:-1], labels[:-1])
    assert net.known().tolist() == [True, False]
    assert net(vectors, labels).item() == pytest.approx(without(vectors[:-1], labels[:-1]).item(), rel=1e-12)


def test_legacy_means_are_not_corrected_and_its_normaliser_is_that_of_order_zero():
    vectors, labels = unit(80, 64, 3), torch.zeros(80, dtype=torch.int64)
    vectors = normalize(vectors + 3 * unit(1, 64, 4), dim=1)
    legacy, right = VonMisesFisher(1, 64, 0.1, legacy=True).double(), VonMisesFisher(1, 64, 0.1).double()
    for net in (legacy, right):
        net.update(vectors, labels)
    length = vectors.mean(0).norm()
    torch.testing.assert_close(legacy.mean[0], 0.1 * vectors.mean(0), atol=1e-6, rtol=0)
    assert right.parameters_of_classes()[1].item() == pytest.approx(concentration(length, 64).item(), rel=1e-5)
    kappa = concentration(0.1 * length, 64).item()
    cosine = (vectors @ normalize(vectors.mean(0), dim=0)).mean().item()
    log_c = 31 * math.log(kappa) - 32 * math.log(2 * math.pi) - math.log(ive(0, kappa)) - kappa
    assert legacy(vectors, labels).item() == pytest.approx(-log_c - kappa * cosine, rel=1e-5)
