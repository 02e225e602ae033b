"""KITTI's detection: levels of real labels, perfect answers, and what is no mistake."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lidar2d.bench.evaluate import load_protocol
from lidar2d.data.augment import Augment
from lidar2d.data.card import load_card
from lidar2d.data.kitti import Kitti
from lidar2d.data.wrapped import WithoutImages
from lidar2d.errors import UsageError
from lidar2d.frame import collate
from lidar2d.geometry import image_rectangles
from lidar2d.metrics.kitti import NEVER, level
from lidar2d.tasks.centres import REGRESSED
from lidar2d.tasks.kitti import KittiDetection

CARD = load_card("kitti")
TASK = KittiDetection(CARD)
CAR, PEDESTRIAN = 0, 1


@pytest.fixture(scope="module")
def root():
    folder = Path(os.environ.get("LIDAR2D_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "kitti_object"
    if not folder.is_dir():
        pytest.skip(f"no real samples in {folder}; set LIDAR2D_SAMPLES")
    return folder


@pytest.fixture(scope="module")
def frames(root):
    """All frames, without their pixels: nothing here looks at them."""
    return {frame.token: frame for split in ("train", "val") for frame in unread(Kitti(CARD, split, root))}


def unread(source):
    return [source.unread(row) for row in range(len(source))]


def relabelled(root, folder, token, change):
    """Return a real frame whose label lines were changed."""
    for kind in ("velodyne", "image_2", "calib"):
        (folder / "training" / kind).mkdir(parents=True)
        (path,) = (root / "training" / kind).glob(f"{token}.*")
        (folder / "training" / kind / path.name).symlink_to(path)
    (folder / "training" / "label_2").mkdir()
    lines = (root / "training" / "label_2" / f"{token}.txt").read_text().splitlines()
    (folder / "training" / "label_2" / f"{token}.txt").write_text("\n".join(map(change, lines)))
    (folder / "ImageSets").mkdir()
    (folder / "ImageSets" / "val.txt").write_text(token)
    found = unread(Kitti(CARD, "val", folder))[0]
    shutil.rmtree(folder)
    return found


def told(truth, rows, numbers, scores):
    """Make maps that tell rows of the truth, under these numbers of classes, with these scores."""
    maps = torch.full((1, 3 + REGRESSED, *TASK.shape), -20.0)
    boxes = truth[0, rows].float()
    row, column = TASK._cells(boxes)
    maps[0, 3:, row, column] = TASK._encoded(boxes, row, column).T
    maps[0, torch.as_tensor(numbers), row, column] = torch.logit(torch.as_tensor(scores))
    return maps


def judged(maps, truth, times=45):
    """Judge frames again and again, each time with lower scores, so that there are boxes for 40 places of recall."""
    metric = TASK.metric()
    answers, boxes = zip(*(TASK.answer(*pair) for pair in zip(maps, truth, strict=True)), strict=True)
    answers, boxes = torch.cat(answers), torch.cat(boxes)
    for k in range(times):
        metric.update(answers - 1e-3 * k * (torch.arange(10) == 8), boxes)
    return metric.compute()


def test_levels_are_those_of_the_label_lines(frames):
    """The lines of two frames by hand: class, height, occlusion, truncation, and the level that follows."""
    expected = {
        "000001": [NEVER, NEVER, NEVER],  # a truck; 21.6 pixels; occlusion 3
        "000006": [NEVER, 0, 0, 1],  # 23.1 pixels; 40.8 and 61.3 in full sight; 33.5, partly hidden
        "000008": [NEVER, 1, NEVER, 1, 1, 0],  # occlusion 3; 1; 3; 1; 39.6 pixels; 61.9 in full sight
    }
    for token, levels in expected.items():
        seen = frames[token].boxes.seen.labelled
        found = level(*seen.unbind(1)).tolist()
        names = [CARD.box_classes[row] for row in frames[token].boxes.classes]
        assert [at if name != "Truck" else NEVER for at, name in zip(found, names, strict=True)] == levels
    truck = frames["000001"].boxes.seen.labelled[0].tolist()
    assert truck == pytest.approx([189.25 - 156.40, 0, 0])
    assert frames["000142"].boxes.seen.labelled[0].tolist() == pytest.approx([348.03 - 108.54, 1, 0.75])


def test_truth_has_the_boxes_of_the_benchmark_alone(frames):
    truth = TASK.truth(collate([frames["000001"]]))
    assert truth.shape == (1, 130, 10)
    boxes = truth[0, :128][truth[0, :128, 9] >= 0]
    assert boxes[:, 7].tolist() == boxes[:, 9].tolist() == [0, 2]  # the truck is nobody's
    assert boxes[:, 8].tolist() == [NEVER, NEVER]


def test_boxes_fill_the_rectangles_of_their_labels(frames, root):
    apart = []
    for token, frame in frames.items():
        batch = collate([frame])
        camera = TASK.truth(batch)[0, 128:, :7].flatten()
        sizes = tuple(camera[12:].tolist())
        assert sizes == tuple(frame.images.shape[-2:])
        found = image_rectangles(frame.boxes.geometry, camera[:12].view(3, 4), sizes) - 0.5
        lines = (root / "training" / "label_2" / f"{token}.txt").read_text().splitlines()
        labelled = [list(map(float, line.split()[4:8])) for line in lines if not line.startswith("DontCare")]
        apart.append((found - torch.tensor(labelled).double()).abs())
    apart = torch.cat(apart)
    assert len(apart) == 34
    assert apart.median() < 2
    assert apart.max() < 25  # people move their arms; cars that the border cuts are labelled by guess


def test_rectangles_of_boxes_beside_and_behind_the_camera():
    camera = torch.tensor([[100.0, -100, 0, 0], [50.0, 0, -100, 0], [1.0, 0, 0, 0]], dtype=torch.float64)
    boxes = [[10, 0, 0, 2, 2, 2, 0], [-10, 0, 0, 2, 2, 2, 0], [10, 50, 0, 2, 2, 2, 0], [0, 0, -1, 4, 2, 2, 0]]
    found = image_rectangles(torch.tensor(boxes).double(), camera, (100, 200))
    near = 100 / 9
    torch.testing.assert_close(found[0], torch.tensor([100 - near, 50 - near, 100 + near, 50 + near]).double())
    size = found[:, 2:] - found[:, :2]
    assert ((size > 0).all(1)).tolist() == [True, False, False, True]
    # the last one reaches from behind the camera to two metres before it, below its axis: all of the lower half
    assert found[3].tolist() == pytest.approx([0.5, 50, 199.5, 99.5])


def test_perfect_answers_score_100_at_each_level_that_has_boxes(frames):
    maps, truths, seen = [], [], set()
    for frame in frames.values():
        truth = TASK.truth(collate([frame]))
        rows = TASK._learnt(truth[0]).nonzero()[:, 0]
        seen |= {tuple(row) for row in truth[0, rows][:, 7:9].int().tolist()}
        maps.append(told(truth, rows, truth[0, rows, 7].long(), torch.linspace(0.6, 0.9, len(rows))))
        truths.append(truth)
    found = judged(maps, truths)
    assert len(seen) > 5
    for number, name in enumerate(("Car", "Pedestrian", "Cyclist")):
        for place, at in enumerate(("easy", "moderate", "hard")):
            has = any((number, lower) in seen for lower in range(place + 1))
            for kind in ("ap3d", "apbev", "ap3d-r11", "apbev-r11"):
                assert found[f"{kind}/{name}/{at}"] == pytest.approx(100 if has else 0)
    classes = [found[f"ap3d/{name}/moderate"] for name in ("Car", "Pedestrian", "Cyclist")]
    assert found[TASK.headline[0]] == pytest.approx(sum(classes) / 3)


def test_a_van_is_no_mistake_and_a_truck_is_one(frames, root, tmp_path):
    """Frame 6 has two easy cars; one of them becomes another vehicle."""
    plain = {}
    for name in ("Van", "Truck"):
        frame = relabelled(
            root,
            tmp_path / name,
            "000006",
            lambda line, name=name: line.replace("Car 0.00 0 -1.21", f"{name} 0.00 0 -1.21"),
        )
        assert CARD.box_classes[frame.boxes.classes[1]] == name
        cars, truth = TASK.truth(collate([frames["000006"]])), TASK.truth(collate([frame]))
        every = torch.arange(4)
        named = told(cars, every, [CAR] * 4, [0.7, 0.9, 0.6, 0.5])  # the former car is named first
        plain[name] = judged([named], [truth])["ap3d/Car/easy"]
    assert plain["Van"] == pytest.approx(100)
    assert plain["Truck"] < 60


def test_heads_do_not_learn_vans_as_cars(root, tmp_path):
    frame = relabelled(root, tmp_path / "one", "000006", lambda line: line.replace("Car 0.00 0", "Van 0.00 0"))
    truth = TASK.truth(collate([frame]))
    assert int(TASK._learnt(truth).sum()) == 2
    assert int((truth[0, :, 9] == CAR).sum()) == 4


def test_what_is_low_in_the_image_is_no_mistake_at_easier_levels(frames):
    """A car is 31 pixels high at 35 m and 17 pixels high at 65 m: too low for easy, and too low for any level."""
    truth = TASK.truth(collate([frames["000006"]]))
    found = {}
    for far in (20.0, 35.0, 65.0):
        more = torch.cat([truth[0, :4], torch.tensor([[far, 0.3, -1, 4, 1.6, 1.5, 0, CAR, -1, -1]]).double()])[None]
        maps = told(more, torch.tensor([1, 2, 3, 4]), [CAR] * 4, [0.8, 0.7, 0.6, 0.9])
        numbers = judged([maps], [truth])
        found[far] = [numbers[f"ap3d/Car/{name}"] for name in ("easy", "moderate")]
    assert found[65.0] == pytest.approx([100, 100])
    assert found[35.0][0] == pytest.approx(100)
    assert found[35.0][1] < 90
    assert max(found[20.0]) < 90


def test_answers_outside_of_the_image_are_dropped(frames):
    truth = TASK.truth(collate([frames["000006"]]))
    beside = torch.tensor([[5.0, 20.0, -1, 4, 1.6, 1.5, 0, CAR, -1, -1]], dtype=torch.float64)
    more = torch.cat([truth[0, :4], beside])[None]
    answers, _ = TASK.answer(told(more, torch.tensor([1, 4]), [CAR] * 2, [0.8, 0.9]), truth)
    first = answers[0, 0]
    assert first[:2].tolist() == pytest.approx([5, 20], abs=1e-3)
    assert first[7] == -1
    assert answers[0, 1, 7] == CAR


def test_the_order_of_frames_and_the_number_of_processes_change_nothing(frames):
    cases = []
    generator = torch.Generator().manual_seed(0)
    for frame in frames.values():
        truth = TASK.truth(collate([frame]))
        rows = TASK._learnt(truth[0]).nonzero()[:, 0]
        scores = torch.rand(len(rows), generator=generator)
        cases.append(TASK.answer(told(truth, rows, truth[0, rows, 7].long(), scores), truth))
    whole, *parts = (TASK.metric() for _ in range(3))
    for case in cases:
        whole.update(*case)
    for place, case in enumerate(reversed(cases)):
        parts[place % 2].update(*case)
    joined = TASK.metric()
    for name in ("frames", "boxes", "answers"):
        setattr(joined, name, torch.cat([torch.cat(getattr(part, name)) for part in parts]))
    assert joined.compute() == whole.compute()
    assert TASK.metric().compute()["ap3d/moderate"] == 0


def test_augmented_boxes_keep_their_labels_and_their_rectangles(frames):
    frame = frames["000008"]
    moved = Augment(rotate=45, scale=(0.9, 1.1), translate=0.5).move(frame, np.random.default_rng(0))
    rectangles = []
    blind = WithoutImages().frame(moved)  # as heads are taught
    for truth in TASK.truth(collate([frame])), TASK.truth(collate([blind])):
        camera = truth[0, 128:, :7].flatten()
        assert truth[0, :6, 8].tolist() == [NEVER, 1, NEVER, 1, 1, 0]
        rectangles.append(image_rectangles(truth[0, :6, :7], camera[:12].view(3, 4), tuple(camera[12:].tolist())))
    torch.testing.assert_close(*rectangles, atol=1.5, rtol=0)  # the camera is tilted, and boxes stay upright


def test_truth_of_a_batch_is_that_of_its_frames(frames):
    blind = [WithoutImages().frame(frame) for frame in frames.values()]
    whole = TASK.truth(collate(blind))
    assert torch.equal(whole, torch.cat([TASK.truth(collate([frame])) for frame in blind]))


def test_boxes_beyond_the_area_are_judged_and_not_learnt(frames):
    near = KittiDetection(CARD, area=(0.0, -10.0, 20.0, 10.0))
    batch = collate([frames["000006"]])
    assert torch.equal(near.truth(batch), TASK.truth(batch))
    assert int(near._learnt(near.truth(batch)).sum()) == 0
    maps = torch.zeros(1, 3 + REGRESSED, *near.shape, requires_grad=True)
    assert near.loss(maps, near.truth(batch)).isfinite()
    assert TASK.loss(told(TASK.truth(batch), torch.arange(4), [CAR] * 4, [0.9] * 4), TASK.truth(batch)) < 0.2


def test_what_cannot_be_judged_is_told(frames):
    frame = frames["000006"]
    with pytest.raises(UsageError, match="do not say how the image shows them"):
        TASK.truth(collate([replace(frame, boxes=replace(frame.boxes, seen=None))]))
    with pytest.raises(UsageError, match="about Car, Pedestrian, Cyclist; boxes of synthetic are of car"):
        KittiDetection(load_card("synthetic"))


def test_protocols_ask_for_it():
    for name in ("det3d-lp/kitti-r40@1", "det3d-ft/kitti-r40@1"):
        protocol = load_protocol(name)
        assert isinstance(protocol.task(CARD), KittiDetection)
        assert protocol.reads(CARD) == "points"
        assert bool(protocol.tune) == ("-ft" in name)
