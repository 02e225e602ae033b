"""NDS: our score against the official evaluation of a submission, on a real frame and on miniature scenes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import token
from lidar2d.bench.evaluate import load_protocol
from lidar2d.data.augment import Augment
from lidar2d.data.card import load_card
from lidar2d.data.nuscenes import NuScenes
from lidar2d.errors import DataError, SettingError, UsageError
from lidar2d.frame import collate
from lidar2d.metrics import nuscenes_score
from lidar2d.metrics.nuscenes_score import ATTRIBUTES, CLASSES, NuScenesScore
from lidar2d.tasks.centres import REGRESSED
from lidar2d.tasks.nuscenes import NuScenesDetection

pytest.importorskip("nuscenes.eval.detection.evaluate")
CARD = load_card("nuscenes")
TASK = NuScenesDetection(CARD)
BARRIER, CAR = CLASSES.index("barrier"), CLASSES.index("car")
ERRORS = {"trans_err": "mATE", "scale_err": "mASE", "orient_err": "mAOE", "vel_err": "mAVE", "attr_err": "mAAE"}


@pytest.fixture
def root(samples):
    return samples / "nuscenes"


@pytest.fixture
def scenes(nuscenes_tree):
    """Miniature scenes whose pedestrians move and whose cars park; a bicycle beside and one in a rack."""
    names = ["pedestrian.moving", "vehicle.parked", "cycle.without_rider"]
    tables = nuscenes_tree.tables
    tables["attribute"] = [{"token": token(name), "name": name, "description": ""} for name in names]
    kinds = {record["token"]: record for record in tables["category"]}
    instances = {record["token"]: kinds[record["category_token"]]["name"] for record in tables["instance"]}
    for name, at in (("static_object.bicycle_rack", 4), ("vehicle.bicycle", 5)):
        tables["category"].append({"token": token("cat", name), "name": name, "description": "", "index": at})
    more = []
    for record in tables["sample_annotation"]:
        kind = instances[record["instance_token"]]
        record["attribute_tokens"] = {
            "human.pedestrian.adult": [token("pedestrian.moving")],
            "vehicle.car": [token("vehicle.parked")],
        }.get(kind, [])
        if kind == "animal":
            for name, side, size in (
                ("static_object.bicycle_rack", 0, [2, 2, 2]),
                ("vehicle.bicycle", 0.3, [0.5, 1.7, 1]),
                ("vehicle.bicycle", 4, [0.5, 1.7, 1]),
            ):
                x, y, z = record["translation"]
                own = token(name, side, record["token"])
                more.append(
                    {**record, "token": own, "instance_token": token("inst", name), "translation": [x + side, y, z]}
                    | {"size": size, "prev": "", "next": "", "num_lidar_pts": 3}
                    | {"attribute_tokens": [token("cycle.without_rider")] if side else []}
                )
    for name in ("static_object.bicycle_rack", "vehicle.bicycle"):
        tables["instance"].append({"token": token("inst", name), "category_token": token("cat", name)})
        own = [record["token"] for record in more if record["instance_token"] == token("inst", name)]
        tables["instance"][-1] |= {"first_annotation_token": own[0], "last_annotation_token": own[-1]}
        tables["instance"][-1] |= {"nbr_annotations": len(own)}
    tables["sample_annotation"] += more
    nuscenes_tree.write()
    return nuscenes_tree.root


def read(root, split="mini_train"):
    """Read frames without their pixels: nothing here looks at them."""
    source = NuScenes(CARD, split, root)
    return [source.unread(row) for row in range(len(source))]


def perfect(truth):
    """Answer the truth (1, M, 24) of a frame, but for boxes without a point: answers there are mistakes."""
    rows = truth[0][(truth[0, :, 7] >= 0) & (truth[0, :, 23] > 0)]
    scores = torch.linspace(0.9, 0.1, len(rows))[:, None].double()
    return torch.cat([rows[:, :8], scores, rows[:, 8:10].nan_to_num(0.0), rows[:, 22:23]], 1)[None]


def jittered(truth, rng):
    """Answer some of it, roughly, some of it twice, and under strange names."""
    answers = perfect(truth)[0]
    answers = answers[torch.from_numpy(rng.integers(0, len(answers), int(1.3 * len(answers))))]
    noise = [0.5, 0.5, 0.2, 0.2, 0.1, 0.1, 0.5]
    answers[:, :7] += torch.from_numpy(rng.normal(size=(len(answers), 7)) * noise)
    answers[:, 3:6] = answers[:, 3:6].clamp_min(0.1)
    answers[:, 8] = torch.from_numpy(rng.uniform(size=len(answers)))
    answers[:, 9:11] += torch.from_numpy(rng.normal(size=(len(answers), 2)))
    answers[:, 11] = torch.from_numpy(rng.integers(-1, len(ATTRIBUTES), len(answers)))
    renamed = torch.from_numpy(rng.random(len(answers)) < 0.1)
    answers[renamed, 7] = torch.from_numpy(rng.integers(0, 10, int(renamed.sum()))).double()
    return answers[None]


def score(pairs):
    metric = NuScenesScore()
    for answers, truth in pairs:
        metric.update(answers, truth)
    return metric.compute()


def submitted(root, frames, answers, folder):
    """Write the answers as a submission has them, and let the devkit judge it."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.nuscenes import NuScenes as Devkit
    from pyquaternion import Quaternion

    devkit = Devkit(version="v1.0-mini", dataroot=str(root), verbose=False)
    results = {}
    for frame, rows in zip(frames, answers, strict=True):
        lidar = devkit.get("sample_data", devkit.get("sample", frame.token)["data"]["LIDAR_TOP"])
        poses = [devkit.get("calibrated_sensor", lidar["calibrated_sensor_token"])]
        poses.append(devkit.get("ego_pose", lidar["ego_pose_token"]))
        results[frame.token] = []
        for x, y, z, length, width, height, yaw, number, sure, vx, vy, attribute in rows[0].tolist():
            # our axes into the LiDAR's, which looks along y
            place, speed = np.array([-y, x, z]), np.array([-vy, vx, 0.0])
            turn = Quaternion(axis=[0, 0, 1], angle=yaw + np.pi / 2)
            for pose in poses:
                own = Quaternion(pose["rotation"])
                place, speed, turn = own.rotate(place) + pose["translation"], own.rotate(speed), own * turn
            results[frame.token].append(
                {
                    "sample_token": frame.token,
                    "translation": place.tolist(),
                    "size": [width, length, height],
                    "rotation": turn.elements.tolist(),
                    "velocity": speed[:2].tolist(),
                    "detection_name": CLASSES[int(number)],
                    "detection_score": sure,
                    "attribute_name": ATTRIBUTES[int(attribute)] if attribute >= 0 else "",
                }
            )
    path = folder / "results.json"
    path.write_text(json.dumps({"meta": {}, "results": results}))
    config = config_factory("detection_cvpr_2019")
    found, _ = DetectionEval(devkit, config, str(path), "mini_train", str(folder), verbose=False).evaluate()
    numbers = {"nds": 100 * found.nd_score, "map": 100 * found.mean_ap}
    numbers |= {title: found.tp_errors[name] for name, title in ERRORS.items()}
    return numbers | {f"ap/{name}": 100 * value for name, value in found.mean_dist_aps.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
def test_the_score_of_a_real_frame_is_that_of_the_devkit(root: Path, tmp_path: Path, seed: int):
    frames = read(root)
    truth = [TASK.truth(collate([frame])) for frame in frames]
    rng = np.random.default_rng(seed)
    answers = [jittered(rows, rng) for rows in truth]
    ours, theirs = score(zip(answers, truth, strict=True)), submitted(root, frames, answers, tmp_path)
    assert set(ours) == set(theirs)
    assert 5 < ours["nds"] < 95
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-9, rel=1e-9), name


@pytest.mark.filterwarnings("ignore")
def test_the_score_of_moving_objects_is_that_of_the_devkit(scenes: Path, tmp_path: Path):
    frames = read(scenes)
    truth = [TASK.truth(collate([frame])) for frame in frames]
    rng = np.random.default_rng(3)
    answers = [jittered(rows, rng) for rows in truth]
    ours, theirs = score(zip(answers, truth, strict=True)), submitted(scenes, frames, answers, tmp_path)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-9, rel=1e-9), name
    assert ours["mAVE"] > 0
    assert ours["mAAE"] > 0


def test_perfect_answers_of_a_real_frame_have_no_error(root: Path):
    truth = TASK.truth(collate(read(root)))
    found = score([(perfect(truth), truth)])
    # within range, and with a point inside; the frame has neither motorcycles nor trailers
    for name in ("barrier", "car", "pedestrian", "traffic_cone", "truck"):
        assert found[f"ap/{name}"] == pytest.approx(100)
    assert found["ap/trailer"] == found["ap/motorcycle"] == 0
    absent = sum(found[f"ap/{name}"] == 0 for name in CLASSES) / len(CLASSES)
    assert found["map"] == pytest.approx(100 * (1 - absent))
    assert [found["mATE"], found["mASE"]] == pytest.approx([absent, absent], abs=1e-5)
    assert found["mAVE"] == found["mAAE"] == 1  # a single frame has no velocities, and this one no attributes


def test_perfect_answers_have_no_error(scenes: Path):
    truth = [TASK.truth(collate([frame])) for frame in read(scenes)]
    found = score([(perfect(rows), rows) for rows in truth])
    for name in CLASSES:
        there = name in ("car", "pedestrian", "bicycle")
        assert found[f"ap/{name}"] == pytest.approx(100 if there else 0)
    assert found["map"] == pytest.approx(30)
    # classes that no frame has count as an error of 1: eight of ten of these, six or seven of nine
    assert [found["mATE"], found["mASE"]] == pytest.approx([0.7, 0.7], abs=1e-5)
    assert found["mAOE"] == pytest.approx(6 / 9, abs=1e-3)
    assert found["mAAE"] == pytest.approx(5 / 8, abs=1e-9)


def test_bicycles_in_racks_are_left_out(scenes: Path):
    truth = TASK.truth(collate([read(scenes)[0]]))
    answers = perfect(truth)
    bicycles = answers[0, :, 7] == CLASSES.index("bicycle")
    assert int(bicycles.sum()) == 2
    aps = []
    for place in bicycles.nonzero()[:, 0].tolist():
        fewer = answers.clone()
        fewer[0, place, 7] = -1
        aps.append(score([(fewer, truth)])["ap/bicycle"])
    assert sorted(aps) == pytest.approx([0, 100])  # one of the two is neither hit nor miss


def test_a_barrier_that_is_turned_round_is_not_wrong(root: Path):
    truth = TASK.truth(collate(read(root)))
    answers = perfect(truth)
    plain, turned = score([(answers, truth)]), {}
    for number in (BARRIER, CAR):
        other = answers.clone()
        other[0, :, 6] += torch.pi * (other[0, :, 7] == number)
        turned[number] = score([(other, truth)])
    assert turned[BARRIER]["mAOE"] == pytest.approx(plain["mAOE"], abs=1e-5)
    assert turned[CAR]["mAOE"] == pytest.approx(plain["mAOE"] + torch.pi / 9, abs=1e-4)


def test_the_order_of_frames_and_the_number_of_processes_change_nothing(scenes: Path):
    rng = np.random.default_rng(0)
    pairs = []
    for frame in read(scenes, "mini"):
        truth = TASK.truth(collate([frame]))
        answers = jittered(truth, rng)
        answers[..., 8] = (answers[..., 8] * 4).round() / 4  # ties
        pairs.append((answers, truth))
    whole = score(pairs)
    assert score(pairs[::-1]) == whole
    parts = [NuScenesScore(), NuScenesScore()]
    for place, pair in enumerate(pairs):
        parts[place % 2].update(*pair)
    joined = NuScenesScore()
    for name in ("frames", "boxes", "answers"):
        setattr(joined, name, torch.cat([torch.cat(getattr(part, name)) for part in parts]))
    assert joined.compute() == whole


def test_nothing_found_and_nothing_there_score_nothing(root: Path):
    truth = TASK.truth(collate(read(root)))
    for rows in (truth, truth.new_full(truth.shape, -1.0)):
        found = score([(torch.full((1, 3, 12), -1.0), rows)])
        assert found["nds"] == found["map"] == 0
    assert score([])["nds"] == 0


def test_boxes_go_into_maps_and_come_back_with_velocities(scenes: Path):
    batch = collate(read(scenes))
    truth = TASK.truth(batch)
    assert truth.shape == (4, 513, 24)
    classes = len(CLASSES)
    maps = torch.full((4, classes + REGRESSED + 2, *TASK.shape), -20.0)
    maps[:, -2:] = 0.0
    for frame in range(4):
        rows = truth[frame][TASK._learnt(truth[frame])].float()
        row, column = TASK._cells(rows)
        maps[frame, rows[:, 7].long(), row, column] = 5.0
        maps[frame, classes:-2, row, column] = TASK._encoded(rows, row, column).T
        maps[frame, -2:, row, column] = rows[:, 8:10].nan_to_num(0.0).T
    assert TASK.loss(maps, truth) < 0.2
    answers, judged = TASK.answer(maps, truth)
    assert judged is truth
    for frame in range(4):
        named = answers[frame][answers[frame][:, 8] > 0.5]
        rows = truth[frame][TASK._learnt(truth[frame])]
        order = [int((named[:, :2] - row[:2]).norm(dim=1).argmin()) for row in rows]
        torch.testing.assert_close(named[order][:, :6], rows[:, :6], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(named[order][:, 9:11], rows[:, 8:10].nan_to_num(0.0), atol=1e-3, rtol=1e-3)
        moves = named[:, 9:11].norm(dim=1) > 0.2
        for row, moving in zip(named, moves, strict=True):
            if CLASSES[int(row[7])] == "pedestrian":
                assert ATTRIBUTES[int(row[11])] == ("pedestrian.moving" if moving else "pedestrian.standing")
    worse = maps.clone()
    worse[:, -2:] += 1.0
    assert TASK.loss(worse, truth) == pytest.approx(float(TASK.loss(maps, truth)) + 0.2, abs=1e-3)
    head = TASK.head(7)
    assert head(torch.zeros(1, 7, 4, 4)).shape == (1, classes + REGRESSED + 2, 4, 4)


def test_augmented_frames_are_surveyed_as_they_were(scenes: Path):
    frame = read(scenes)[0]
    moved = Augment(rotate=180, flip_points="each", scale=(0.9, 1.1)).move(frame, np.random.default_rng(0))
    plain, other = (TASK.truth(collate([each]))[0] for each in (frame, moved))
    assert not torch.equal(plain[:3, :2], other[:3, :2])
    torch.testing.assert_close(plain[:, 10:], other[:, 10:], equal_nan=True)


def test_boxes_without_a_point_are_not_learnt(root: Path):
    truth = TASK.truth(collate(read(root)))[0]
    empty = truth[:, 23] == 0
    assert int(empty.sum()) == 3
    assert not TASK._learnt(truth)[empty].any()


def test_the_constants_are_the_devkits():
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.constants import ATTRIBUTE_NAMES, DETECTION_NAMES
    from nuscenes.eval.detection.utils import detection_name_to_rel_attributes

    assert sorted(CLASSES) == sorted(DETECTION_NAMES)
    assert sorted(ATTRIBUTES) == sorted(ATTRIBUTE_NAMES)
    assert config_factory("detection_cvpr_2019").max_boxes_per_sample == nuscenes_score.MOST
    for kind, usual in zip(CLASSES, TASK._usual.tolist(), strict=True):
        known = [ATTRIBUTES.index(name) for name in detection_name_to_rel_attributes(kind)]
        assert set(usual) <= set(known or [-1])


def test_what_cannot_be_judged_is_told(root: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch):
    frame = read(root)[0]
    with pytest.raises(UsageError, match="no velocity or no place in a global frame"):
        TASK.truth(collate([replace(frame, boxes=replace(frame.boxes, surveys=()))]))
    survey = replace(frame.boxes.surveys[0], attributes=("vehicle.flying",) * len(frame.boxes))
    with pytest.raises(UsageError, match=r"is vehicle\.flying; attributes of the benchmark are pedestrian\.moving"):
        TASK.truth(collate([replace(frame, boxes=replace(frame.boxes, surveys=(survey,)))]))
    with pytest.raises(UsageError, match="boxes of kitti are of Car"):
        NuScenesDetection(load_card("kitti"))
    with pytest.raises(SettingError, match="found is 501; it must be from 1 to 500"):
        NuScenesDetection(CARD, found=501)
    with pytest.raises(UsageError, match="a frame has 501 answers"):
        NuScenesScore().update(torch.ones(1, 501, 12), torch.ones(1, 2, 24))
    table = scenes / "v1.0-mini" / "sample_annotation.json"
    records = json.loads(table.read_text())
    named = next(record for record in records if record["attribute_tokens"])
    named["attribute_tokens"] *= 2
    table.write_text(json.dumps(records))
    with pytest.raises(DataError, match="has several attributes; one at most"):
        read(scenes, "mini")
    monkeypatch.setattr(nuscenes_score.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"not installed.*pip install 'lidar2d\[nuscenes\]'"):
        NuScenesDetection(CARD)


def test_protocols_ask_for_it():
    for name in ("det3d-lp/nuscenes-nds@1", "det3d-ft/nuscenes-nds@1"):
        protocol = load_protocol(name)
        assert isinstance(protocol.task(CARD), NuScenesDetection)
        assert bool(protocol.tune) == ("-ft" in name)
