"""Augmentation: pairs found afterwards are the pairs found before, carried along by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from torch import Tensor

from lidar2d.data import clouds, windows
from lidar2d.data.augment import Augment
from lidar2d.errors import UsageError
from lidar2d.frame import Boxes, Frame, Pairs, collate
from lidar2d.geometry import box_corners, pairs, points_in_boxes, transform

H, W = 60, 104
SIZE = (37, 61)  # no divisor of anything
EXACT = {"atol": 1e-9, "rtol": 0}


def make_frame(seed: int, points: int = 500) -> Frame:
    """A frame in float64 whose points carry their own number as intensity, so that they are known again."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform([-30, -30, -2], [30, 30, 6], (points, 3))
    axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    poses, intrinsics = [], []
    for yaw in (0.0, 1.1, -1.4):
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = axes @ turn, rng.normal(0, 0.3, 3)
        poses.append(pose)
        intrinsics.append([[70 + rng.normal(), 0, W / 2 + rng.normal()], [0, 71, H / 2], [0, 0, 1]])
    boxes = np.column_stack(
        [rng.uniform([-9, -9, -1], [9, 9, 5], (4, 3)), rng.uniform(2, 8, (4, 3)), rng.uniform(-3, 3, 4)]
    )
    return Frame(
        points=torch.from_numpy(np.column_stack([xyz, np.arange(points)])),
        images=torch.from_numpy(rng.random((3, 3, H, W))),
        intrinsics=torch.tensor(np.array(intrinsics)),
        cam_from_lidar=torch.from_numpy(np.array(poses)),
        labels=torch.arange(points) % 7,
        boxes=Boxes(torch.from_numpy(boxes), torch.arange(4), torch.from_numpy(rng.normal(size=(4, 2)))),
        pixel_labels=torch.from_numpy(rng.integers(-1, 5, (3, H, W))),
        depth=torch.from_numpy(rng.random((3, H, W))),
        regions=torch.from_numpy(rng.integers(0, 9, (3, H, W))),
        weak_labels=torch.from_numpy(rng.integers(0, 9, (3, H, W))),
        token="frame",
    )


def pairs_by_name(frame: Frame) -> dict[tuple[int, int], tuple[float, float, float]]:
    """The pairs of a frame: (point's own number, view) -> (u, v, depth)."""
    found: Pairs = pairs(collate([frame]))
    names = frame.points[found.point, 3].long().tolist()
    rows = torch.cat([found.pixel, found.depth[:, None]], dim=1).tolist()
    return {(name, view): tuple(row) for name, view, row in zip(names, found.view.tolist(), rows, strict=True)}


Carry = Callable[[Frame, Frame, int], Callable[[int, float, float], tuple[float, float]]]


def stay(_before: Frame, _after: Frame, _seed: int) -> Callable[[int, float, float], tuple[float, float]]:
    """Pixels do not move."""
    return lambda _view, u, v: (u, v)


def resized(_before: Frame, _after: Frame, _seed: int) -> Callable[[int, float, float], tuple[float, float]]:
    return lambda _view, u, v: (u * SIZE[1] / W, v * SIZE[0] / H)


def cropped(before: Frame, _after: Frame, seed: int) -> Callable[[int, float, float], tuple[float, float]]:
    drawn = windows.draw_windows(before, np.random.default_rng(seed))

    def carry(view: int, u: float, v: float) -> tuple[float, float]:
        top, left, height, width = drawn[view]
        return (u - left) * SIZE[1] / width, (v - top) * SIZE[0] / height

    return carry


def mirrored(before: Frame, after: Frame, _seed: int) -> Callable[[int, float, float], tuple[float, float]]:
    """Which images were flipped is read off the images themselves."""
    same = (before.images == after.images).flatten(1).all(1).tolist()
    flip = (before.images.flip(-1) == after.images).flatten(1).all(1).tolist()
    assert all(a != b for a, b in zip(same, flip, strict=True))
    return lambda view, u, v: (W - u if flip[view] else u, v)


def moved(draw: Callable[[Generator], torch.Tensor]) -> Callable[[Frame, Generator], Frame]:
    return lambda frame, rng: clouds.move_points(frame, draw(rng))


AUGMENTATIONS: dict[str, tuple[Callable[[Frame, Generator], Frame], Carry]] = {
    "rotate": (moved(clouds.rotation), stay),
    "flip_points": (moved(clouds.mirroring), stay),
    "scale": (moved(lambda rng: clouds.scaling(rng, 0.7, 1.4)), stay),
    "translate": (moved(lambda rng: clouds.shift(rng, 2.0)), stay),
    "drop_cuboid": (lambda frame, rng: clouds.drop_cuboid(frame, rng, 0.9), stay),
    "resize": (lambda frame, _rng: windows.resize(frame, SIZE), resized),
    "crop_resize": (lambda frame, rng: windows.crop_resize(frame, rng, SIZE), cropped),
    "flip_image": (windows.flip_image, mirrored),
    "photometric": (Augment(photometric=1.0).shade, stay),
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_augmenting_commutes_with_pairing(name: str, seed: int):
    function, carrier = AUGMENTATIONS[name]
    before = make_frame(seed)
    after = function(before, np.random.default_rng(seed))
    carry = carrier(before, after, seed)
    height, width = after.images.shape[-2:]
    kept = set(after.points[:, 3].long().tolist())
    expected = {}
    for (point, view), (u, v, depth) in pairs_by_name(before).items():
        u, v = carry(view, u, v)
        if point in kept and 0 <= u < width and 0 <= v < height:
            expected[point, view] = (u, v, depth)
    found = pairs_by_name(after)
    assert len(found) > 20
    assert found.keys() == expected.keys()
    ours, by_hand = (torch.tensor([pairs[key] for key in expected], dtype=torch.float64) for pairs in (found, expected))
    torch.testing.assert_close(ours, by_hand, **EXACT)


EVERYTHING = Augment(
    rotate=180,
    flip_points="each",
    scale=(0.9, 1.1),
    translate=0.5,
    drop_cuboid=True,
    crop=(0.3, 1.0),
    crop_size=SIZE,
    flip_image=0.5,
    photometric=1.0,
)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_everything_at_once_commutes_with_pairing(seed: int):
    before = make_frame(seed)
    after = EVERYTHING(before, np.random.default_rng(seed))
    moved = after.intrinsics @ torch.linalg.inv(before.intrinsics)  # A of each view
    found, earlier = pairs_by_name(after), pairs_by_name(before)
    assert found
    for (point, view), (u, v, depth) in found.items():
        old_u, old_v, old_depth = earlier[point, view]
        by_hand = moved[view] @ torch.tensor([old_u, old_v, 1.0], dtype=torch.float64)
        assert (u, v, depth) == pytest.approx((by_hand[0].item(), by_hand[1].item(), old_depth), abs=1e-9, rel=0)


@pytest.mark.parametrize("seed", range(5))
def test_equal_generators_give_equal_frames_and_others_do_not(seed: int):
    frame = make_frame(seed)
    one, same, other = (EVERYTHING(frame, np.random.default_rng(s)) for s in (seed, seed, seed + 1))
    for field in fields(Frame):
        a, b = getattr(one, field.name), getattr(same, field.name)
        if isinstance(a, Tensor):
            assert torch.equal(a, b)
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.points[:5], other.points[:5])


def test_nothing_is_done_unless_asked():
    frame = make_frame(0)
    assert Augment()(frame, np.random.default_rng(0)) is frame


def test_frame_itself_is_never_changed():
    frame, twin = make_frame(1), make_frame(1)
    EVERYTHING(frame, np.random.default_rng(1))
    for field in fields(Frame):
        if isinstance(value := getattr(frame, field.name), Tensor):
            assert torch.equal(value, getattr(twin, field.name))


# ---- images: what is seen moves as A says


def coordinates(frame: Frame) -> Frame:
    """Paint into each pixel where its centre is: u into red, v into green."""
    v, u = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    picture = torch.stack([u, v, torch.zeros_like(u)]).double()
    return replace(frame, images=picture.expand(3, -1, -1, -1).clone())


@pytest.mark.parametrize("name", ["resize", "crop_resize", "flip_image"])
@pytest.mark.parametrize("seed", range(6))
def test_image_shows_at_each_pixel_what_was_where_a_says(name: str, seed: int):
    before = coordinates(make_frame(seed))
    after = AUGMENTATIONS[name][0](before, np.random.default_rng(seed))
    height, width = after.images.shape[-2:]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    here = torch.stack([u, v, torch.ones_like(u)], dim=-1).double()
    inverse = before.intrinsics @ torch.linalg.inv(after.intrinsics)
    there = torch.einsum("vij,hwj->vihw", inverse, here)[:, :2]
    # at the border of a window the filter has pixels on one side only
    inner = (..., slice(3, height - 3), slice(3, width - 3))
    off = (after.images[:, :2] - there)[inner]  # pixels of the image before
    # a triangle filter that is sampled at whole pixels may lean a little to one side; half a pixel off would show
    assert off.abs().max() < 0.1
    assert off.mean((-2, -1)).abs().max() < 0.01


@pytest.mark.parametrize("name", ["resize", "crop_resize", "flip_image"])
@pytest.mark.parametrize("seed", range(3))
def test_maps_take_the_nearest_pixel(name: str, seed: int):
    before = make_frame(seed)
    after = AUGMENTATIONS[name][0](before, np.random.default_rng(seed))
    inverse = (before.intrinsics @ torch.linalg.inv(after.intrinsics)).numpy()
    height, width = after.images.shape[-2:]
    for field in ("pixel_labels", "depth", "regions", "weak_labels"):
        old, new = getattr(before, field), getattr(after, field)
        assert new.shape == (3, height, width)
        assert new.dtype == old.dtype
        for view in range(3):
            for row in range(0, height, 5):
                for column in range(0, width, 7):
                    u, v, _ = inverse[view] @ [column + 0.5, row + 0.5, 1]
                    candidates = {
                        old[view, int(v + dv), int(u + du)].item() for du in (-1e-9, 1e-9) for dv in (-1e-9, 1e-9)
                    }
                    assert new[view, row, column].item() in candidates


def test_resizing_to_the_same_size_changes_nothing():
    frame = make_frame(0)
    assert windows.resize(frame, (H, W)) is frame


def test_crops_stay_within_their_bounds():
    frame, rng = make_frame(2), np.random.default_rng(2)
    for _ in range(100):
        for top, left, height, width in windows.draw_windows(frame, rng, (0.3, 0.8), (1.4, 1.9)):
            assert top >= 0
            assert left >= 0
            assert top + height <= H
            assert left + width <= W
            assert 0.28 <= height * width / (H * W) <= 0.82
            assert 1.35 <= width / height <= 1.95


def test_crop_keeps_three_quarters_of_the_pairs_where_a_draw_can():
    frame = make_frame(3, points=3000)
    before = pairs_by_name(frame)
    for seed in range(10):
        after = pairs_by_name(windows.crop_resize(frame, np.random.default_rng(seed), SIZE))
        for view in range(3):
            total, kept = (sum(key[1] == view for key in found) for found in (before, after))
            assert kept >= 0.75 * total


def test_crop_that_cannot_keep_enough_ends():
    drawn = windows.draw_windows(make_frame(4, points=3000), np.random.default_rng(4), (0.1, 0.1), (1.5, 1.6))
    assert len(drawn) == 3


def test_shape_that_no_window_has_gives_the_largest_central_one():
    drawn = windows.draw_windows(make_frame(5), np.random.default_rng(5), (1.0, 1.0), (0.5, 0.5))
    assert drawn == [(0, (W - 30) // 2, 60, 30)] * 3


# ---- points


@pytest.mark.parametrize("name", ["rotate", "flip_points", "scale", "translate"])
@pytest.mark.parametrize("seed", range(8))
def test_boxes_move_with_their_points(name: str, seed: int):
    before = make_frame(seed, points=4000)
    after = AUGMENTATIONS[name][0](before, np.random.default_rng(seed))
    assert before.boxes is not None
    assert after.boxes is not None
    inside = points_in_boxes(before.points[:, :3], before.boxes.geometry)
    assert inside.sum() > 0
    assert torch.equal(inside, points_in_boxes(after.points[:, :3], after.boxes.geometry))
    assert torch.equal(after.boxes.classes, before.boxes.classes)


@pytest.mark.parametrize("name", ["rotate", "flip_points", "scale"])
@pytest.mark.parametrize("seed", range(4))
def test_box_fronts_and_velocities_move_like_points(name: str, seed: int):
    """A point one metre ahead of a box, and one that moves with it for a second, stay there."""
    before = make_frame(seed)
    boxes = before.boxes
    assert boxes is not None
    assert boxes.velocity is not None
    centre, ahead = boxes.geometry[:, :3], torch.zeros(4, 3, dtype=torch.float64)
    ahead[:, :2] = torch.stack([boxes.geometry[:, 6].cos(), boxes.geometry[:, 6].sin()], dim=1)
    later = torch.nn.functional.pad(boxes.velocity, (0, 1))
    cloud = torch.nn.functional.pad(torch.cat([centre, centre + ahead, centre + later]), (0, 1))
    after = AUGMENTATIONS[name][0](replace(before, points=cloud), np.random.default_rng(seed))
    here, front, moved = after.points[:, :3].split(4)
    assert after.boxes is not None
    assert after.boxes.velocity is not None
    torch.testing.assert_close(after.boxes.geometry[:, :3], here, **EXACT)
    yaw = torch.atan2((front - here)[:, 1], (front - here)[:, 0])
    torch.testing.assert_close(after.boxes.geometry[:, 6], yaw, **EXACT)
    torch.testing.assert_close(after.boxes.velocity, (moved - here)[:, :2], **EXACT)


def test_rotation_reaches_every_direction_and_keeps_heights():
    frame, rng = make_frame(0), np.random.default_rng(0)
    angles = []
    for _ in range(200):
        turned = moved(clouds.rotation)(frame, rng)
        torch.testing.assert_close(turned.points[:, 2:], frame.points[:, 2:], **EXACT)
        angles.append(float(torch.atan2(turned.points[0, 1], turned.points[0, 0])))
    assert np.histogram(angles, bins=8, range=(-np.pi, np.pi))[0].min() > 5


def test_float32_points_stay_float32():
    frame = make_frame(0)
    after = EVERYTHING(
        replace(frame, points=frame.points.float(), images=frame.images.float()), np.random.default_rng(0)
    )
    assert after.points.dtype == after.images.dtype == torch.float32
    assert after.intrinsics.dtype == after.cam_from_lidar.dtype == torch.float64


def test_time_column_and_labels_travel_with_their_points():
    frame = make_frame(0)
    timed = replace(frame, points=torch.cat([frame.points, frame.points[:, 3:] / 1000], dim=1))
    after = EVERYTHING(timed, np.random.default_rng(3))
    assert after.labels is not None
    assert torch.equal(after.points[:, 4], after.points[:, 3] / 1000)
    assert torch.equal(after.labels, after.points[:, 3].long() % 7)


def test_drop_cuboid_cuts_one_axis_aligned_cuboid():
    frame = make_frame(6, points=4000)
    cut = 0
    for seed in range(20):
        after = clouds.drop_cuboid(frame, np.random.default_rng(seed), 0.5)
        kept = torch.zeros(len(frame.points), dtype=torch.bool)
        kept[after.points[:, 3].long()] = True
        gone = frame.points[~kept, :3]
        if not len(gone):
            continue
        cut += 1
        between = (frame.points[:, :3] >= gone.amin(0)) & (frame.points[:, :3] <= gone.amax(0))
        assert not (between.all(1) & kept).any()
    assert cut > 5


def test_drop_cuboid_spares_a_view_that_would_lose_too_many_pairs():
    frame = make_frame(7)
    middle = frame.points.clone()
    middle[:, :3] = middle[:, :3] * 0.01 + torch.tensor([10.0, 0, 0])  # one clump that only the first view sees
    clump = replace(frame, points=middle)
    for seed in range(20):
        after = clouds.drop_cuboid(clump, np.random.default_rng(seed), 2.5)
        assert sum(view == 0 for _, view in pairs_by_name(after)) >= 0.75 * sum(
            view == 0 for _, view in pairs_by_name(clump)
        )


def test_photometric_changes_colours_alone():
    frame = make_frame(0)
    after = Augment(photometric=1.0).shade(frame, np.random.default_rng(0))
    assert not torch.equal(after.images, frame.images)
    assert after.images.min() >= 0
    assert after.images.max() <= 1
    for field in fields(Frame):
        if field.name != "images":
            assert getattr(after, field.name) is getattr(frame, field.name)


def test_stronger_photometric_changes_more():
    frame = make_frame(0)
    change = [
        float((Augment(photometric=k).shade(frame, np.random.default_rng(s)).images - frame.images).abs().mean())
        for k in (0.1, 0.4, 1.0)
        for s in (1,)
    ]
    assert change == sorted(change)


@pytest.mark.parametrize("empty", ["points", "views"])
def test_data_sets_without_points_or_without_cameras_are_augmented_too(empty: str):
    frame = make_frame(0)
    if empty == "points":
        bare = Frame(frame.points[:0], frame.images, frame.intrinsics, frame.cam_from_lidar)
    else:
        bare = Frame(frame.points, frame.images[:0], frame.intrinsics[:0], frame.cam_from_lidar[:0])
    after = EVERYTHING(bare, np.random.default_rng(0))
    assert after.images.shape == (len(bare.images), 3, *SIZE)
    assert empty == "views" or len(after.points) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"crop": (0.0, 1.0)}, "crop"),
        ({"crop": (0.5, 1.5)}, "from 0 to 1"),
        ({"flip_image": 2.0}, "from 0 to 1"),
        ({"photometric": -1.0}, "photometric"),
        ({"translate": float("nan")}, "translate"),
        ({"crop_size": (8, 8)}, "without a crop"),
    ],
)
def test_values_without_meaning_are_refused(wrong: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        Augment(**wrong)


def test_moving_points_by_hand_is_the_same_matrix_for_corners():
    frame = make_frame(8)
    matrix = torch.tensor([[0.0, -1.5, 0, 3], [-1.5, 0, 0, -2], [0, 0, 1.5, 1], [0, 0, 0, 1]], dtype=torch.float64)
    after = clouds.move_points(frame, matrix)
    assert frame.boxes is not None
    assert after.boxes is not None
    by_hand = transform(matrix, box_corners(frame.boxes.geometry))
    for ours, theirs in zip(box_corners(after.boxes.geometry), by_hand, strict=True):
        # a mirror changes the corners' order, not their places
        distance = torch.cdist(ours, theirs)
        assert distance.amin(1).max() < 1e-9
        assert distance.amin(0).max() < 1e-9


# ---- which points are kept


def test_of_each_cube_one_random_point_is_kept():
    frame = make_frame(6, points=4000)
    kept = [clouds.thin(frame, np.random.default_rng(seed), 2.0) for seed in range(3)]
    cubes = {tuple(cube) for cube in (frame.points[:, :3] / 2.0).floor().long().tolist()}
    for after in kept:
        own = [tuple(cube) for cube in (after.points[:, :3] / 2.0).floor().long().tolist()]
        assert len(own) == len(set(own)) == len(cubes)
        assert set(own) == cubes
        names = after.points[:, 3].tolist()
        assert names == sorted(names)
    assert kept[0].points[:, 3].tolist() != kept[1].points[:, 3].tolist()


def test_the_nearest_points_to_a_random_one_are_kept():
    frame = make_frame(7, points=500)
    after = clouds.nearest(frame, np.random.default_rng(1), 40)
    assert len(after.points) == 40
    names = after.points[:, 3].long().tolist()
    away = torch.cdist(frame.points[:, :3], frame.points[:, :3])
    assert any(set(row.topk(40, largest=False).indices.tolist()) == set(names) for row in away)
    assert clouds.nearest(frame, np.random.default_rng(1), 500) is frame


def test_visible_points_are_those_of_the_pairs():
    frame = make_frame(8, points=2000)
    after = Augment(visible=True)(frame, np.random.default_rng(0))
    seen = sorted({name for name, _ in pairs_by_name(frame)})
    assert after.points[:, 3].long().tolist() == seen
    assert 0 < len(seen) < 2000


def test_boxes_and_radii_keep_what_lies_within():
    frame = make_frame(9, points=3000)
    low, high = (-4.0, -6.0, -1.0), (8.0, 5.0, 1.0)
    after = Augment(box=(*low, *high))(frame, np.random.default_rng(0))
    inside = (frame.points[:, :3] > torch.tensor(low)) & (frame.points[:, :3] < torch.tensor(high))
    assert torch.equal(after.points, frame.points[inside.all(1)])
    near = Augment(radius=7.0)(frame, np.random.default_rng(0))
    assert torch.equal(near.points, frame.points[frame.points[:, :2].norm(dim=1) <= 7])


def test_turns_stay_within_their_angle_and_one_axis_is_mirrored_at_most():
    rng = np.random.default_rng(0)
    angles = [float(torch.atan2(m[1, 0], m[0, 0])) for m in (clouds.rotation(rng, 22.5) for _ in range(300))]
    assert np.radians(20) < max(angles) <= np.radians(22.5)
    assert -np.radians(20) > min(angles) >= -np.radians(22.5)
    signs = [tuple(clouds.mirroring(rng, "one").diagonal()[:2].tolist()) for _ in range(600)]
    assert {(-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)} == set(signs)
    assert min(signs.count(kind) for kind in set(signs)) > 150


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_labels_stay_with_their_points_through_a_whole_recipe(seed: int):
    before = make_frame(seed)
    names = before.points[:, 3].long()
    recipe = Augment(thin=0.5, visible=True, nearest=800, rotate=180, scale=(0.9, 1.1), flip_points="one", radius=60.0)
    after = recipe(replace(before, labels=names), np.random.default_rng(seed))
    assert after.labels is not None
    assert torch.equal(after.labels, after.points[:, 3].long())
    assert len(after.points) <= 800
