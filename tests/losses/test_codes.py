import torch

from lidar2d.losses.codes import Codes


def blobs(seed=0):
    """Three tight groups of 100, 50 and 10 rows, in four channels."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0, 0, 0], [5, 0, 0, 0], [0, 5, 0, 0]])
    label = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    return centres[label] + 0.1 * torch.randn(160, 4, generator=g), label


def found(**options):
    rows, label = blobs()
    codes = Codes(4, 12, **options)
    assert not codes.found
    codes.seek(rows, torch.Generator().manual_seed(0))
    return codes, rows, label


def test_clusters_do_not_mix_groups():
    codes, rows, label = found()
    assert codes.found
    code = codes.sort(rows)
    assert all(len(label[code == k].unique()) <= 1 for k in range(12))


def test_share_and_means_are_those_of_the_members():
    codes, rows, _ = found()
    code = codes.sort(rows)
    for k in range(12):
        members = rows[code == k]
        assert codes.share[k] == len(members) / len(rows)
        if len(members):
            assert torch.allclose(codes.means[k], members.mean(0), atol=1e-5)


def test_weights_are_one_on_average_and_flat_without_balance():
    codes, rows, _ = found(balance=0.5)
    assert torch.allclose(codes.weight()[codes.sort(rows)].mean(), torch.tensor(1.0), atol=1e-5)
    assert codes.weight().max() > 1.5
    flat, rows, _ = found(balance=0.0)
    assert torch.allclose(flat.weight()[flat.sort(rows)], torch.ones(len(rows)))


def test_certainty_gives_the_clusters_own_mean():
    codes, _, _ = found()
    logits = torch.full((1, 12), -100.0)
    logits[0, 3] = 100.0
    assert torch.allclose(codes.expected(logits)[0], codes.means[3])


def test_full_whitening_makes_the_features_directions_alike():
    g = torch.Generator().manual_seed(3)
    rows = torch.randn(2000, 4, generator=g) * torch.tensor([10.0, 1.0, 0.5, 2.0])
    codes = Codes(4, 5, whiten=1.0)
    codes.seek(rows, g)
    spread = (rows - rows.mean(0)) @ codes.unfold
    assert torch.allclose(spread.T @ spread / 2000, torch.eye(4), atol=1e-3)
