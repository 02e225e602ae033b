"""Packing frames: nothing is lost, nothing is mixed, nothing is padded."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lidar2d.errors import UsageError
from lidar2d.frame import Boxes, Frame, Pairs, collate


def make_frame(points: int, views: int, boxes: int, number: int = 0) -> Frame:
    generator = torch.Generator().manual_seed(1000 * points + 100 * views + 10 * boxes + number)
    size = (views, 4, 6)

    def whole(*shape: int) -> Tensor:
        return torch.randint(0, 9, shape, generator=generator)

    return Frame(
        points=torch.rand(points, 4, generator=generator),
        images=torch.rand(views, 3, 4, 6, generator=generator),
        intrinsics=torch.rand(views, 3, 3, generator=generator, dtype=torch.float64),
        cam_from_lidar=torch.rand(views, 4, 4, generator=generator, dtype=torch.float64),
        labels=whole(points),
        boxes=Boxes(torch.rand(boxes, 7, generator=generator), whole(boxes), torch.rand(boxes, 2, generator=generator)),
        pixel_labels=whole(*size),
        depth=torch.rand(size, generator=generator),
        regions=whole(*size),
        weak_labels=whole(*size),
        condition="day",
        token=f"token-{number}",
    )


shapes = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=5)
BY_POINT, BY_VIEW = ("points", "labels"), (
    "images", "intrinsics", "cam_from_lidar", "pixel_labels", "depth", "regions", "weak_labels",
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(shapes=shapes)
def test_each_frame_comes_back_out_of_the_batch(shapes: list[tuple[int, int, int]]):
    frames = [make_frame(*shape, number) for number, shape in enumerate(shapes)]
    batch = collate(frames, seeds=range(10, 10 + len(frames)))
    assert len(batch) == len(frames)
    assert batch.tokens == tuple(frame.token for frame in frames)
    assert batch.seeds.tolist() == list(range(10, 10 + len(frames)))
    assert batch.boxes is not None
    assert batch.box_frame is not None
    for number, frame in enumerate(frames):
        for name in BY_POINT:
            assert torch.equal(getattr(batch, name)[batch.point_frame == number], getattr(frame, name))
        for name in BY_VIEW:
            assert torch.equal(getattr(batch, name)[batch.view_frame == number], getattr(frame, name))
        assert frame.boxes is not None
        assert frame.boxes.velocity is not None
        assert batch.boxes.velocity is not None
        mine = batch.box_frame == number
        assert torch.equal(batch.boxes.geometry[mine], frame.boxes.geometry)
        assert torch.equal(batch.boxes.classes[mine], frame.boxes.classes)
        assert torch.equal(batch.boxes.velocity[mine], frame.boxes.velocity)


@settings(max_examples=30, deadline=None)
@given(shapes=shapes)
def test_owners_ascend_and_count_right(shapes: list[tuple[int, int, int]]):
    batch = collate([make_frame(*shape) for shape in shapes])
    for owner, kind in ((batch.point_frame, 0), (batch.view_frame, 1), (batch.box_frame, 2)):
        assert owner is not None
        assert owner.dtype == torch.int64
        assert owner.tolist() == sorted(owner.tolist())
        assert torch.bincount(owner, minlength=len(shapes)).tolist() == [shape[kind] for shape in shapes]


@pytest.mark.parametrize("name", ["labels", "pixel_labels", "depth", "regions", "weak_labels", "boxes"])
def test_annotation_that_one_frame_lacks_is_none_of_the_batch(name: str):
    frames = [make_frame(3, 1, 2), replace(make_frame(3, 1, 2), **{name: None})]
    assert getattr(collate(frames), name) is None
    assert getattr(collate(frames[:1]), name) is not None


def test_velocity_that_one_frame_lacks_leaves_the_boxes():
    frame = make_frame(3, 1, 2)
    assert frame.boxes is not None
    batch = collate([frame, replace(frame, boxes=replace(frame.boxes, velocity=None))])
    assert batch.boxes is not None
    assert len(batch.boxes) == 4
    assert batch.boxes.velocity is None


def test_images_of_two_sizes_are_refused():
    other = replace(make_frame(1, 1, 0), images=torch.zeros(1, 3, 5, 6))
    with pytest.raises(UsageError, match="differ in size"):
        collate([make_frame(1, 1, 0), other])


def test_frame_without_cameras_does_not_dictate_the_size():
    bare = make_frame(5, 0, 0)
    bare = replace(bare, images=torch.zeros(0, 3, 0, 0), pixel_labels=None, depth=None, regions=None, weak_labels=None)
    batch = collate([bare, make_frame(1, 2, 0)])
    assert batch.images.shape == (2, 3, 4, 6)
    assert batch.view_frame.tolist() == [1, 1]


def test_no_frame_is_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        collate([])


def test_moving_a_batch_reaches_every_tensor():
    batch = collate([make_frame(3, 2, 2)]).to("meta")
    tensors = [getattr(batch, field.name) for field in fields(batch)]
    assert all(value.device.type == "meta" for value in tensors if isinstance(value, Tensor))
    assert batch.boxes is not None
    assert batch.boxes.geometry.device.type == batch.boxes.classes.device.type == "meta"
    assert batch.tokens == ("token-0",)


def test_pairs_are_chosen_by_mask_and_by_index():
    pairs = Pairs(torch.arange(4), torch.arange(4) % 2, torch.rand(4, 2), torch.rand(4))
    mask = torch.tensor([True, False, False, True])
    for rows in (mask, torch.tensor([0, 3])):
        chosen = pairs[rows]
        assert len(chosen) == 2
        assert chosen.point.tolist() == [0, 3]
        assert torch.equal(chosen.pixel, pairs.pixel[[0, 3]])
        assert torch.equal(chosen.depth, pairs.depth[[0, 3]])
