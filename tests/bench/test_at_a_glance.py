"""Features at a glance: those that are labels, those that say nothing, twins that are equal, and the map of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from lidar2d.bench.glance import Glance
from lidar2d.bench.neighbours import Bank
from lidar2d.bench.protocol import Session, Splits
from lidar2d.data.card import load_card
from lidar2d.errors import UsageError
from lidar2d.frame import Frame
from lidar2d.nets.encoder import ImageEncoder, PointEncoder

SIDE = 32  # pixels


class Told(torch.nn.Module):
    """Gives each row a feature: one of its class, or the same for all."""

    def __init__(self, says):
        super().__init__()
        self.channels, self.says = 3, says


class Pixels(Told, ImageEncoder):
    def forward(self, images):
        return self.says(images)


class Points(Told, PointEncoder):
    def forward(self, batch, rows=None):  # noqa: ARG002
        return self.says(batch.points[:, :3])


class Scenes:
    """Scenes under two conditions; colours and places of points are the classes themselves, three of them."""

    card = replace(load_card("synthetic"), clear=("day",), adverse=("fog",))

    def __init__(self, count=3, dim=1.0, labelled=True):
        self.conditions = ["fog", "day"] * count  # the clear one does not come first by itself
        self.tokens = [f"scene-{row // 2}-{name}" for row, name in enumerate(self.conditions)]
        self.dim, self.labelled = dim, labelled

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, row):
        generator = torch.Generator().manual_seed(row // 2)
        labels = torch.randint(0, 3, (1, SIDE // 4, SIDE // 4), generator=generator)
        pixels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
        images = torch.nn.functional.one_hot(pixels, 3).permute(0, 3, 1, 2).float()
        points = torch.cat([torch.nn.functional.one_hot(labels.flatten(), 3).float(), torch.zeros(64, 1)], 1)
        if self.conditions[row] == "fog":
            images = images * self.dim + (1 - self.dim) * torch.rand(images.shape, generator=generator)
        given = {"labels": labels.flatten(), "pixel_labels": pixels} if self.labelled else {}
        eye = torch.eye(4, dtype=torch.float64)[None]
        return Frame(
            points, images, eye[:, :3, :3], eye, condition=self.conditions[row], token=self.tokens[row], **given
        )


class Looker:
    def __init__(self):
        self.maps = []

    def __call__(self, *_):
        raise AssertionError("there is no answer to look at")

    def features(self, places, labels, conditions, about):
        self.maps.append((places, labels, conditions, about))


def judged(encoder, source=None, look=None):
    source = Scenes() if source is None else source
    of = "points" if isinstance(encoder, PointEncoder) else "images"
    session = Session(0, lambda *_: lambda: None, Path("unused"), look=look)
    found = Glance(of, neighbours=5).judge(encoder, Splits(source, None, source), session)
    assert {verdict.condition: verdict.frames for verdict in found} == {"fog": 3, "day": 3, "all": 6}
    return {verdict.condition: verdict.metrics for verdict in found}


def itself(rows):
    return rows


def constant(rows):
    return torch.ones_like(rows)


@pytest.mark.parametrize("kind", [Pixels, Points])
def test_features_that_are_labels_are_told_and_constant_ones_only_by_chance(kind):
    told, blind = judged(kind(itself))["all"], judged(kind(constant))["all"]
    assert told["knn/accuracy"] == told["knn/miou"] == 100
    assert told["effective_rank"] == pytest.approx(2, abs=0.05)  # three places in a plane
    assert 20 < blind["knn/accuracy"] < 47  # of three classes that are equally frequent
    assert blind["effective_rank"] == pytest.approx(1, abs=1e-3)


def test_one_neighbour_that_is_the_same_outvotes_four_that_are_not():
    features = torch.tensor([[1.0, 0, 0], *[[1.0, 1, 0]] * 4])
    bank = Bank(features, torch.tensor([1, 0, 0, 0, 0]))
    assert Glance("images", neighbours=5)._vote(bank, features[:2], 2).tolist() == [1, 0]


@pytest.mark.parametrize(("rows", "count"), [(3, 5), (99, 10), (100, 3), (250, 10), (2000, 7)])
def test_nearest_rows_are_those_of_a_full_sort(rows, count):
    features, queries = torch.randn(rows, 8), torch.randn(70, 8)
    cosines, found = Bank(features, torch.zeros(rows)).nearest(queries, count)
    expected = (normalize(queries.double(), dim=1) @ normalize(features.double(), dim=1).T).sort(descending=True)
    assert torch.equal(found, expected.indices[:, :count])
    torch.testing.assert_close(cosines, expected.values[:, :count].float())


def test_twins_that_are_equal_have_the_similarity_one_and_others_less():
    equal, other = judged(Pixels(itself)), judged(Pixels(itself), Scenes(dim=0.5))
    assert equal["fog"]["cosine"] == equal["all"]["cosine"] == pytest.approx(1)
    assert "cosine" not in equal["day"]
    assert 0.3 < other["fog"]["cosine"] < 0.95


def test_points_of_two_sweeps_do_not_correspond():
    assert "cosine" not in judged(Points(itself))["all"]


def test_frames_without_labels_are_refused():
    for kind, what in ((Pixels, "labels of pixels"), (Points, "labels of points")):
        with pytest.raises(UsageError, match=what):
            judged(kind(itself), Scenes(labelled=False))


def test_whoever_looks_is_shown_a_map_with_as_many_of_each_condition():
    look = Looker()
    judged(Pixels(itself), look=look)
    ((places, labels, conditions, about),) = look.maps
    assert len(places) == len(labels) == len(conditions) == 2 * 3 * 64  # all, where there are few
    assert conditions == ["day"] * 192 + ["fog"] * 192
    assert "perplexity 30, seed 0" in about
    apart = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert float((labels[apart.argmin(1)] == labels).float().mean()) > 0.95
