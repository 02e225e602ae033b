from dataclasses import replace

import pytest
import torch
from pair_loops import slow_pairs

from lidar2d.data.descriptors import describe
from lidar2d.methods.base import Stage
from lidar2d.methods.geometric import Geometric, Targets


@pytest.fixture
def geometric(encoders):
    torch.manual_seed(1)
    return Geometric(
        *encoders, measure=Stage(steps=5), sort=Stage(steps=5), codes=(5, 3, 4), rows=200, matches=10**6, balance=0.5
    )


def described(batch, point):
    """Kind and descriptor of one point, frame by frame."""
    frame = int(batch.point_frame[point])
    own = torch.nonzero(batch.point_frame == frame)[:, 0]
    found = describe(batch.points[own])
    n = int((own == point).nonzero())
    if found.solid_of[n] >= 0:
        return 0, found.solids[found.solid_of[n]]
    return (1, found.surroundings[n]) if found.ground[n] else (2, found.texture[n])


def seen(geometric, batch):
    maps = geometric.images(batch.images)
    rows = []
    for point, view, u, v in slow_pairs(batch)[::17]:
        place = torch.tensor([[[[2 * u / 48 - 1, 2 * v / 32 - 1]]]], dtype=maps.dtype)
        feature = torch.nn.functional.grid_sample(maps[[view]], place, align_corners=False, padding_mode="border")
        rows.append((feature[0, :, 0, 0], *described(batch, point)))
    return rows


def thinned(monkeypatch):
    """Let the method see every 17th pair, as the slow twins do; describing point by point takes its time."""
    import lidar2d.methods.base as module

    true_pairs = module.pairs
    monkeypatch.setattr(module, "pairs", lambda *given: (lambda p: p[torch.arange(0, len(p), 17)])(true_pairs(*given)))


def test_regression_equals_its_slow_twin(geometric, batch, monkeypatch):
    thinned(monkeypatch)
    geometric.begin("measure", 1)
    loss = geometric.losses(batch)["regress"]
    by_kind = {}
    with torch.no_grad():
        for feature, kind, row in seen(geometric, batch):
            book, head = geometric.books[kind], geometric.regressors[kind]
            far = head(feature) - book.units(row[None])[0]
            smooth = torch.where(far.abs() < 1, far.square() / 2, far.abs() - 0.5)
            by_kind.setdefault(kind, []).append(smooth.mean())
    assert sorted(by_kind) == [0, 1, 2]
    expected = sum(torch.stack(values).mean().item() for values in by_kind.values()) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_classification_equals_its_slow_twin(geometric, batch, monkeypatch):
    thinned(monkeypatch)
    geometric.begin("measure", 1)
    geometric.losses(batch)
    geometric.begin("sort", 1)
    loss = geometric.losses(batch)["cluster"]
    first = (0, 5, 8)
    with torch.no_grad():
        rows = []
        for feature, kind, row in seen(geometric, batch):
            book = geometric.books[kind]
            units = book.units(row[None])[0]
            code = first[kind] + min(range(len(book.codes)), key=lambda k: float((units - book.codes[k]).norm()))
            rows.append((torch.log_softmax(geometric.classifier(feature), 0)[code], code))
        codes = [code for _, code in rows]
        expected = -torch.stack([value for value, _ in rows]).mean()
    assert len(set(codes)) > 5
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_pairs_of_rare_codes_are_drawn_sooner(geometric, batch):
    geometric.begin("measure", 1)
    geometric.losses(batch)
    geometric.begin("sort", 1)
    code = torch.tensor([0] * 90 + [1] * 10)
    for balance, ratio in ((0.0, 1.0), (0.5, 3.0), (1.0, 9.0)):
        geometric.balance = balance
        geometric.shown.zero_()
        odds = geometric._odds(code)
        assert (odds[-1] / odds[0]).item() == pytest.approx(ratio, rel=1e-6)


def test_points_find_their_own_descriptors(batch):
    targets = Targets.of(batch)
    for point in range(0, len(batch.points), 101):
        kind, row = described(batch, point)
        assert targets.kind[point] == kind
        assert torch.equal(targets.tables[kind][targets.row[point]], row)
        assert targets.frames[kind][targets.row[point]] == batch.point_frame[point]


def test_no_label_is_read(geometric, batch):
    geometric.begin("measure", 1)
    plain = geometric.losses(batch)["regress"].item()
    labels = torch.zeros(len(batch.points), dtype=torch.int64)
    pixels = torch.zeros(batch.images[:, 0].shape, dtype=torch.int64)
    assert batch.labels is None
    geometric.eval()  # the statistics stay as they are
    first = geometric.losses(batch)["regress"].item()
    assert geometric.losses(replace(batch, labels=labels, pixel_labels=pixels))["regress"].item() == first
    assert plain > 0


def test_clusters_are_made_once_the_sample_is_there_and_stay_the_same(geometric, batch):
    geometric.begin("measure", 1)
    geometric.losses(batch)
    assert all(book.filled > 0 for book in geometric.books)
    assert all((book.codes == 0).all() for book in geometric.books)
    geometric.begin("sort", 1)
    codes = [book.codes.clone() for book in geometric.books]
    assert all(len(torch.unique(c, dim=0)) > 1 for c in codes)
    geometric.losses(batch)
    geometric.begin("sort", 1)
    assert all(torch.equal(c, book.codes) for c, book in zip(codes, geometric.books, strict=True))


def test_each_stage_gives_all_its_weights_a_gradient(geometric, batch):
    for stage in ("measure", "sort"):
        geometric.begin(stage, 1)
        geometric.zero_grad()
        torch.stack(list(geometric.losses(batch).values())).sum().backward()
        trained = {name for name, p in geometric.named_parameters() if p.requires_grad}
        assert trained == {name for name, p in geometric.named_parameters() if p.grad is not None}
        assert any(name.startswith("images.") for name in trained)
        assert any(name.startswith("classifier.") for name in trained) == (stage == "sort")
