"""PPKT, SLidR, ScaLR, OLIVINE and HVDistill against loops written from their equations."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from scipy.special import ive
from torch import Tensor
from torch.nn.functional import normalize

from lidar2d.errors import UsageError
from lidar2d.frame import Batch
from lidar2d.geometry import pairs
from lidar2d.methods.base import Stage
from lidar2d.methods.hvdistill import HVDistill
from lidar2d.methods.olivine import Olivine
from lidar2d.methods.ppkt import PPKT
from lidar2d.methods.scalr import ScaLR
from lidar2d.methods.slidr import SLidR
from lidar2d.nets.bev import DepthBins, Ground, frustum_cells

STAGE = Stage(steps=5)
TAU = 0.07


@pytest.fixture
def annotated(batch) -> Batch:
    """With superpixels of 8 x 8 pixels, a hole in each image, and weak labels that follow the columns."""
    views, _, height, width = batch.images.shape
    row, column = torch.meshgrid(torch.arange(height) // 8, torch.arange(width) // 8, indexing="ij")
    regions = (row * (width // 8) + column).expand(views, -1, -1).clone()
    regions[:, 8:16, 16:24] = -1
    labels = (torch.arange(width) // 16).expand(views, height, -1).clone()
    return replace(batch, regions=regions, weak_labels=labels)


def maps_at_size(head, maps: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """The image head as published: a 1x1 convolution, the whole map enlarged, unit length."""
    weight, bias = head.project.weight, head.project.bias
    whole = F.conv2d(maps, weight[:, :, None, None], bias)
    return normalize(F.interpolate(whole, size, mode="bilinear", align_corners=align_corners), dim=1).double()


def slow_info_nce(anchors: list[Tensor], positives: list[Tensor]) -> float:
    total = 0.0
    for n, k in enumerate(anchors):
        scores = [math.exp(float(k @ q) / TAU) for q in positives]
        total -= math.log(scores[n] / sum(scores))
    return total / len(anchors)


@torch.no_grad()
def slow_superpixels(method, batch: Batch) -> float:
    """Two sums and two counts for each superpixel of each image, pixel after pixel and pair after pair."""
    found = pairs(batch, 1.0)
    points = normalize(method.point_head(method.points(batch)), dim=1).double()
    pixels = maps_at_size(method.image_head, method.images(batch.images), batch.image_size, True)
    sums: dict[tuple[int, int], list] = {}
    for p, v, (u, w) in zip(found.point.tolist(), found.view.tolist(), found.pixel.tolist(), strict=True):
        region = int(batch.regions[v, int(w), int(u)])
        if region >= 0:
            sums.setdefault((v, region), [[], []])[0].append(points[p])
    for (v, region), (_, seen) in sums.items():
        for row, column in (batch.regions[v] == region).nonzero().tolist():
            seen.append(pixels[v, :, row, column])
    anchors = [sum(rows) / len(rows) for rows, _ in sums.values()]
    positives = [sum(rows) / len(rows) for _, rows in sums.values()]
    assert len(anchors) > 20
    assert max(float(k.norm()) for k in anchors) < 1 + 1e-6
    return slow_info_nce(anchors, positives)


def test_slidrs_loss_equals_its_slow_twin(encoders, annotated):
    torch.manual_seed(1)
    slidr = SLidR(*encoders, STAGE, dim=5)
    slidr.begin("pretrain", 1)
    loss = slidr.losses(annotated)["contrast"]
    assert loss.item() == pytest.approx(slow_superpixels(slidr, annotated), rel=1e-5)
    loss.backward()
    assert all(p.grad is None for p in slidr.images.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in slidr.image_head.parameters())


def test_superpixels_of_pixels_alone_do_not_count(encoders, annotated):
    slidr = SLidR(*encoders, STAGE, dim=5)
    slidr.begin("pretrain", 1)
    found = pairs(annotated)
    column, row = found.pixel.floor().long().unbind(1)
    used = torch.zeros_like(annotated.regions, dtype=torch.bool)
    for v, r in {
        (v, int(annotated.regions[v, a, b])) for v, a, b in zip(found.view.tolist(), row, column, strict=True)
    }:
        used[v] |= annotated.regions[v] == r
    lone = torch.where(used, annotated.regions, -1)
    assert (lone != annotated.regions).any()
    assert (
        slidr.losses(annotated)["contrast"].item() == slidr.losses(replace(annotated, regions=lone))["contrast"].item()
    )


def test_ppkts_images_are_read_as_published(encoders, batch):
    """Enlarged with the centres of corner cells on those of corner pixels, then brought to unit length."""
    torch.manual_seed(1)
    ppkt = PPKT(*encoders, STAGE, dim=5, matches=10**6)
    ppkt.begin("pretrain", 1)
    with torch.no_grad():
        found = pairs(batch)
        found = replace(
            found, pixel=found.pixel.floor() + 0.5
        )  # the middle of a pixel, where the whole map has a value
        maps = ppkt.images(batch.images)
        whole = maps_at_size(ppkt.image_head, maps, batch.image_size, True)
        column, row = (found.pixel - 0.5).long().unbind(1)
        read = normalize(ppkt.image_head.at(maps, found, batch.image_size), dim=1)
    torch.testing.assert_close(read.double(), whole[found.view, :, row, column], atol=1e-6, rtol=0)


def test_scalrs_loss_equals_its_slow_twin(encoders, batch):
    scalr = ScaLR(*encoders, STAGE)
    scalr.begin("pretrain", 1)
    loss = scalr.losses(batch)["distance"].item()
    with torch.no_grad():
        found = pairs(batch)
        own = scalr.point_head(scalr.points(batch))[found.point].double()
        height, width = batch.image_size
        grid = torch.stack([found.pixel[:, 0] - 0.5, found.pixel[:, 1] - 0.5], 1) / torch.tensor(
            [width - 1, height - 1]
        )
        maps = scalr.images(batch.images).double()
        total = 0.0
        for k, v, at in zip(own, found.view.tolist(), (2 * grid - 1).double(), strict=True):
            q = F.grid_sample(
                maps[v : v + 1], at[None, None, None], align_corners=True, padding_mode="border"
            ).flatten()
            total += float((normalize(k, dim=0) - normalize(q, dim=0)).norm())
    assert loss == pytest.approx(total / len(own), rel=1e-5)


@pytest.fixture
def olivine(encoders):
    torch.manual_seed(1)
    method = Olivine(*encoders, STAGE, classes=4, dim=5, matches=10**6, settle=2, rate=0.5)
    method.begin("pretrain", 1)
    return method


def test_olivines_losses_equal_their_slow_twins(olivine, annotated):
    """With all pairs drawn: two contrasts on two pairs of heads, then the drawing together."""
    steps = [olivine.losses(annotated) for _ in range(3)]
    assert [sorted(step) for step in steps] == [["contrast", "weak"]] * 2 + [["contrast", "draw", "weak"]]
    with torch.no_grad():
        found = pairs(annotated)
        features, maps = olivine.points(annotated), olivine.images(annotated.images)
        column, row = found.pixel.floor().long().unbind(1)
        labels = annotated.weak_labels[found.view, row, column].tolist()
        k = normalize(olivine.point_head(features), dim=1)[found.point].double()
        q = normalize(olivine.image_head.at(maps, found, annotated.image_size), dim=1).double()
        contrast = slow_info_nce(list(k), list(q))
        k = normalize(olivine.class_point_head(features), dim=1)[found.point].double()
        q = normalize(olivine.class_image_head.at(maps, found, annotated.image_size), dim=1).double()
        weak = 0.0
        for n, row_ in enumerate(k):
            scores = (row_ @ q.T / TAU).exp().tolist()
            own = sum(score for score, label in zip(scores, labels, strict=True) if label == labels[n])
            weak -= math.log(own / sum(scores))
        # running means, corrected, of two steps with the same points are the means of one
        draw, classes = 0.0, sorted(set(labels))
        for c in classes:
            own = torch.stack([row_ for row_, label in zip(k, labels, strict=True) if label == c])
            mean = own.mean(0)
            length = float(mean.norm())
            kappa = length * (5 - length**2) / (1 - length**2)
            log_c = 1.5 * math.log(kappa) - 2.5 * math.log(2 * math.pi) - math.log(ive(1.5, kappa)) - kappa
            draw += -log_c - kappa * float((own @ (mean / length)).mean())
    last = {name: value.item() for name, value in steps[-1].items()}
    assert last["contrast"] == pytest.approx(0.5 * contrast, rel=1e-5)
    assert last["weak"] == pytest.approx(0.5 * weak / len(labels), rel=1e-5)
    assert last["draw"] == pytest.approx(draw / len(classes), rel=1e-4)


def test_label_zero_counts_as_any_other(olivine, annotated):
    zero = replace(annotated, weak_labels=torch.zeros_like(annotated.weak_labels))
    for _ in range(3):
        losses = olivine.losses(zero)
    assert losses["weak"].item() == pytest.approx(0, abs=1e-6)  # any candidate is of the one label
    assert losses["draw"].item() != 0
    assert olivine.directions.weight.tolist() == [0.75, 0, 0, 0]


def test_a_label_beyond_the_classes_is_refused(olivine, annotated):
    with pytest.raises(UsageError, match=r"is 9.*--method.classes"):
        olivine.losses(replace(annotated, weak_labels=annotated.weak_labels.clamp_min(9)))


@pytest.mark.parametrize("missing", ["regions", "weak_labels"])
def test_missing_annotations_are_told(encoders, annotated, missing):
    method = (SLidR if missing == "regions" else Olivine)(*encoders, STAGE)
    method.begin("pretrain", 1)
    flag = {"regions": "--data.superpixels", "weak_labels": "--data.weak_labels"}[missing]
    with pytest.raises(UsageError, match=flag):
        method.losses(replace(annotated, **{missing: None}))


GROUND, BINS = Ground(extent=20.0, cell=2.5, low=-4, high=4), DepthBins(2.0, 20.0, 1.0)


@pytest.fixture
def hvdistill(encoders):
    torch.manual_seed(1)
    method = HVDistill(*encoders, STAGE, GROUND, BINS, dim=5, cells=10**6, width=16)
    method.begin("pretrain", 1)
    return method


def test_hvdistills_losses_equal_their_slow_twins(hvdistill, annotated):
    losses = {name: value.item() for name, value in hvdistill.losses(annotated).items()}
    assert losses["plane"] == pytest.approx(slow_superpixels(hvdistill, annotated), rel=1e-5)
    with torch.no_grad():
        maps = hvdistill.images(annotated.images)
        context, odds = (part.double() for part in hvdistill.camera_heads(maps, annotated))
        cells = frustum_cells(annotated, GROUND, BINS, tuple(maps.shape[-2:]))
        bev: dict[int, Tensor] = {}
        for v, d, h, w in (cells >= 0).nonzero().tolist():
            cell = int(cells[v, d, h, w])
            bev[cell] = bev.get(cell, 0) + odds[v, d, h, w] * context[v, :, h, w]
        features = normalize(hvdistill.point_head(hvdistill.points(annotated)), dim=1)
        rows, places = hvdistill.ground_points(features, annotated)
        kept = [(normalize(row, dim=0).double(), bev[cell]) for row, cell in zip(rows, places.tolist(), strict=True) if cell in bev]  # fmt: skip  # noqa: E501
        assert 10 < len(kept) < len(rows)
        ground = slow_info_nce([k for k, _ in kept], [normalize(q, dim=0) for _, q in kept])

        found = pairs(annotated)
        nearest: dict[tuple[int, int, int], float] = {}
        for v, (u, w), depth in zip(found.view.tolist(), found.pixel.tolist(), found.depth.tolist(), strict=True):
            place = (v, int(w / 4), int(u / 4))
            nearest[place] = min(depth, nearest.get(place, math.inf))
        terms = []
        for (v, h, w), depth in nearest.items():
            bin_ = math.floor((depth - BINS.nearest) / BINS.width)
            if 0 <= bin_ < BINS.count:
                terms += [
                    -math.log(p) if d == bin_ else -math.log(1 - p) for d, p in enumerate(odds[v, :, h, w].tolist())
                ]
    assert losses["ground"] == pytest.approx(0.25 * ground, rel=1e-4)
    assert losses["depth"] == pytest.approx(60 * sum(terms) / len(terms), rel=1e-5)


METHODS = {"ppkt": PPKT, "slidr": SLidR, "scalr": ScaLR, "olivine": Olivine, "hvdistill": HVDistill}


@pytest.mark.parametrize("name", METHODS)
def test_no_visible_point_and_no_point_at_all_cost_nothing_and_training_goes_on(encoders, annotated, name):
    torch.manual_seed(1)
    method = METHODS[name](*encoders, STAGE)
    method.begin("pretrain", 1)
    method.train()
    away = annotated.points.clone()
    away[:, 2] += 1000
    for points, frame in ((away, annotated.point_frame), (away[:0], annotated.point_frame[:0])):
        total = sum(method.losses(replace(annotated, points=points, point_frame=frame)).values())
        total.backward()
        assert total.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_every_weight_that_trains_learns(encoders, annotated, name):
    torch.manual_seed(1)
    extra = {"settle": 0} if name == "olivine" else {}
    method = METHODS[name](*encoders, STAGE, **extra)
    method.begin("pretrain", 1)
    method.train()
    sum(method.losses(annotated).values()).backward()
    for key, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert parameter.grad.abs().sum() > 0, key


def test_olivines_labelled_pairs_are_drawn_by_their_density_and_label(encoders, annotated):
    method = Olivine(*encoders, STAGE, classes=3, dim=5, matches=50)
    method.begin("pretrain", 1)
    given, draw = [], method.draw

    def watched(found, batch, odds=None):
        given.append((found, odds))
        return draw(found, batch, odds)

    method.draw = watched
    method.losses(annotated)
    (_, uniform), (found, odds) = given
    assert uniform is None
    column, row = found.pixel.long().unbind(1)
    labels = annotated.weak_labels[found.view, row, column].tolist()
    rings = [math.floor(math.hypot(*xy) / 0.1) for xy in annotated.points[found.point, :2].tolist()]
    middle = sum(rings) / len(rings)
    spread = math.sqrt(sum((ring - middle) ** 2 for ring in rings) / (len(rings) - 1))
    width = 1.06 * spread * len(rings) ** -0.2
    near = [sum(math.exp(-0.5 * ((ring - other) / width) ** 2) for other in rings) for ring in rings]
    expected = torch.tensor([1 / (n * labels.count(label)) for n, label in zip(near, labels, strict=True)])
    torch.testing.assert_close(odds / odds.sum(), (expected / expected.sum()).double(), rtol=1e-5, atol=0)
