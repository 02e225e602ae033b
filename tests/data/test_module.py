"""LidarData: the same frames and tensors, however many workers and processes read them."""

import sys
from pathlib import Path

import pytest
import torch

from lidar2d.data.augment import Augment
from lidar2d.data.module import LidarData
from lidar2d.errors import DataError, UsageError

sys.path.insert(0, str(Path(__file__).parents[1] / "fit"))
import tiny_source

AUGMENT = Augment(
    rotate=180, flip_points="each", scale=(0.9, 1.1), translate=0.1, crop=(0.5, 1.0), flip_image=0.5, photometric=0.5
)


class Trainer:
    """What the loaders ask of Lightning's trainer."""

    def __init__(self, world_size=1, global_rank=0):
        self.world_size, self.global_rank, self.global_step = world_size, global_rank, 0


@pytest.fixture
def card(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(tiny_source.CARD + "val: probe\n")
    return str(path)


def batches(card, kind, world=1, rank=0, **settings):
    data = LidarData(card, batch_size=4, cameras=1, augment=AUGMENT, **settings)
    data.trainer = Trainer(world, rank)
    data.begin("all", "half", total_steps=6, seed=3)
    return list(getattr(data, f"{kind}_dataloader")())


def same(one, other):
    assert one.tokens == other.tokens
    for name in ("points", "images", "intrinsics", "cam_from_lidar", "labels", "pixel_labels", "seeds"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("kind", ["train", "val", "test", "predict"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
def test_workers_change_nothing(card, kind, workers):
    alone, beside = batches(card, kind), batches(card, kind, workers=workers)
    assert len(alone) == len(beside) > 0
    for one, other in zip(alone, beside, strict=True):
        same(one, other)


def test_processes_share_the_tensors_of_one(card):
    whole = batches(card, "train")
    parts = [batches(card, "train", world=2, rank=rank) for rank in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert batch.tokens == (*shares[0].tokens, *shares[1].tokens)
        assert torch.equal(batch.points, torch.cat([share.points for share in shares]))
        assert torch.equal(batch.images, torch.cat([share.images for share in shares]))


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["val", "test", "predict"])
def test_every_frame_is_evaluated_once(card, kind, world):
    shown = [token for rank in range(world) for batch in batches(card, kind, world, rank) for token in batch.tokens]
    assert len(shown) == len(set(shown)) == 6


def test_frames_to_be_judged_are_not_augmented(card):
    data = LidarData(card, augment=AUGMENT)
    first = next(iter(data.test_dataloader()))
    assert torch.equal(first.points[first.point_frame == 0], data.source("test")[0].points)


def test_a_split_that_the_card_does_not_name_is_told(card):
    path = Path(card)
    path.write_text(tiny_source.CARD)
    with pytest.raises(UsageError, match=r"tiny names no val split; give --data\.val NAME"):
        LidarData(card).val_dataloader()
    assert len(LidarData(card, val="train").val_dataloader()) == 2


def test_a_bad_file_of_an_evaluation_is_handed_over(card, monkeypatch):
    def bad(_, index):
        raise DataError(f"frame {index} is bad")

    monkeypatch.setattr(tiny_source.Tiny, "__getitem__", bad)
    (first, *_) = LidarData(card).test_dataloader()
    assert isinstance(first, DataError)


def test_named_cameras_are_shown_everywhere(card):
    both, right = LidarData(card), LidarData(card, cameras=["right"])
    for split in ("train", "test"):
        frame, seen = both.source(split)[0], right.source(split)[0]
        assert torch.equal(seen.images, frame.images[1:])
        assert torch.equal(seen.cam_from_lidar, frame.cam_from_lidar[1:])
        assert torch.equal(seen.pixel_labels, frame.pixel_labels[1:])
        assert torch.equal(seen.points, frame.points)
    swapped = LidarData(card, cameras=["right", "left"]).source()[0]
    assert torch.equal(swapped.images, both.source()[0].images.flip(0))
    assert right.source().card.cameras == ("right",)


@pytest.mark.parametrize(
    ("names", "fault"),
    [(["rihgt"], "did you mean 'right'"), (["left", "left"], "must stand once"), ([], "at least one")],
)
def test_cameras_that_are_not_there_are_told(card, names, fault):
    with pytest.raises(UsageError, match=fault):
        LidarData(card, cameras=names).source()


def test_points_out_of_range_are_nowhere(card):
    box = (-10.0, -5.0, -3.0, 12.0, 6.0, 4.0)
    whole, near = LidarData(card), LidarData(card, points_range=box)
    for split in ("train", "test"):
        frame, kept = whole.source(split)[0], near.source(split)[0]
        x, y, z = frame.points[:, :3].T
        inside = (x > -10) & (x < 12) & (y > -5) & (y < 6) & (z > -3) & (z < 4)
        assert 0 < inside.sum() < len(inside)
        assert torch.equal(kept.points, frame.points[inside])
        assert torch.equal(kept.labels, frame.labels[inside])
        assert torch.equal(kept.images, frame.images)
    for kind in ("train", "test"):
        for batch in batches(card, kind, points_range=box):
            assert batch.points[:, :2].norm(dim=1).max() < 20


@pytest.mark.parametrize("box", [(0, 0, 0, 0, 1, 1), (0, 0, 0, 1, 1, float("nan")), (-5000, 0, 0, 1, 1, 1)])
def test_ranges_without_meaning_are_refused(card, box):
    with pytest.raises(UsageError, match="points_range"):
        LidarData(card, points_range=box)


@pytest.mark.parametrize("kind", ["train", "test"])
def test_threads_change_nothing(card, kind):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = batches(card, kind)
        torch.set_num_threads(3)
        for one, other in zip(alone, batches(card, kind), strict=True):
            same(one, other)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_splits_and_draws_that_mean_nothing_are_refused(card):
    for name in ("split", "val", "probe", "test"):
        with pytest.raises(UsageError, match="has no split 'nowhere'"):
            LidarData(card, **{name: "nowhere"})
    with pytest.raises(UsageError, match="draw is 1; all frames are shown where no share is given"):
        LidarData(card, draw=1)
