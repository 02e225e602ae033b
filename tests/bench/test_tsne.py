"""t-SNE: neighbours stay neighbours, the perplexity is the asked one, and a seed gives one picture."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from lidar2d.bench.scatter import scatter
from lidar2d.bench.tsne import affinities, tsne
from lidar2d.errors import UsageError


def clusters(groups=5, each=30, channels=64, spread=0.3):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(groups).repeat_interleave(each)
    centres = torch.randn(groups, channels, generator=generator)
    return centres[labels] + spread * torch.randn(len(labels), channels, generator=generator), labels


def purity(places, labels, neighbours=10):
    apart = torch.cdist(places, places).fill_diagonal_(torch.inf)
    return float((labels[apart.topk(neighbours, largest=False).indices] == labels[:, None]).float().mean())


def test_groups_far_apart_stay_apart_and_a_seed_gives_one_picture():
    features, labels = clusters()
    places = tsne(features, seed=1, perplexity=10, steps=400)
    assert places.shape == (150, 2)
    assert purity(places, labels) > 0.99
    assert purity(places, labels[torch.randperm(150, generator=torch.Generator().manual_seed(0))]) < 0.4
    assert torch.equal(places, tsne(features, seed=1, perplexity=10, steps=400))
    assert not torch.allclose(places, tsne(features, seed=2, perplexity=10, steps=400), atol=1)


@pytest.mark.parametrize("perplexity", [2.0, 15.0, 58.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_each_row_has_the_asked_perplexity_as_a_root_finder_has_it(perplexity, scale):
    features, _ = clusters(each=12)
    distances = torch.cdist(features.double(), features.double()).square() * scale
    found = affinities(distances, perplexity)
    torch.testing.assert_close(torch.special.entr(found).sum(1).exp(), torch.full((60,), perplexity).double())
    assert (found.diagonal() == 0).all()
    row = np.delete(distances[7].numpy(), 7) / scale

    def shares(precision):
        weight = np.exp(-precision * (row - row.min()))
        return weight / weight.sum()

    def excess(precision):
        share = shares(precision)
        share = share[share > 0]
        return np.exp(-(share * np.log(share)).sum()) - perplexity

    twin = shares(brentq(excess, 1e-9, 1e3, xtol=1e-14))
    np.testing.assert_allclose(np.delete(found[7].numpy(), 7), twin, atol=1e-6)


def test_the_loss_ends_no_higher_than_scikit_learns():
    manifold = pytest.importorskip("sklearn.manifold")
    features, _ = clusters(each=16, spread=1.0)
    joint = affinities(torch.cdist(features.double(), features.double()).square(), 10)
    joint = (joint + joint.T) / (2 * len(joint))

    def loss(places):
        student = (1 / (1 + torch.cdist(places.double(), places.double()).square())).fill_diagonal_(0)
        return float((torch.xlogy(joint, joint) - torch.xlogy(joint, student / student.sum())).nan_to_num().sum())

    theirs = manifold.TSNE(method="exact", init="random", perplexity=10, random_state=0, max_iter=750)
    judged = loss(torch.from_numpy(theirs.fit_transform(features.numpy())))
    assert loss(tsne(features, seed=0, perplexity=10)) < 1.1 * judged


def test_features_that_are_all_alike_have_places_and_too_few_are_refused():
    assert tsne(torch.ones(20, 4), seed=0, perplexity=5, steps=50).isfinite().all()
    with pytest.raises(UsageError, match="perplexity"):
        tsne(torch.randn(20, 4), seed=0, perplexity=30)


def test_a_map_shows_the_colours_of_its_classes():
    places = np.array([[0, 0], [1, 0], [5, 1], [6, 1]], np.float32)
    colours = np.array([[255, 0, 0], [0, 0, 255], [0, 200, 0]], np.uint8)

    def seen(conditions):
        drawn = scatter(places, np.array([0, 0, 1, 1]), conditions, ["one", "two", "absent"], colours, "title")
        return drawn, [int((drawn == colour).all(-1).sum()) for colour in colours]

    alone, (red, blue, green) = seen(["day"] * 4)
    assert red > 50
    assert blue > 50
    assert green == 0
    both, (more_red, _, _) = seen(["day", "day", "fog", "fog"])
    assert both.shape[1] > alone.shape[1]
    assert more_red > red
