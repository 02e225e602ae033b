"""The picture shows what geometry says, and `check` counts what is bad."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from rich.console import Console

from lidar2d import check, view
from lidar2d.data.card import Card
from lidar2d.data.source import Problem
from lidar2d.data.weather.source import Weather
from lidar2d.errors import UsageError
from lidar2d.frame import Boxes, Frame

INTRINSICS = torch.tensor([[40.0, 0, 40], [0, 40, 20], [0, 0, 1]], dtype=torch.float64)
AHEAD = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)


def facing(degrees: float) -> torch.Tensor:
    """A camera at the LiDAR's origin that looks to the left by an angle."""
    angle = torch.deg2rad(torch.tensor(-degrees, dtype=torch.float64))
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return AHEAD @ turn


def card(**changes: object) -> Card:
    facts: dict[str, object] = dict.fromkeys(
        ("name", "title", "reader", "licence", "citation", "homepage", "get", "layout"), "toy"
    )
    facts |= {"classes": ("road", "car"), "box_classes": ("car",), "cameras": ("CAM_FRONT",), "splits": {"train": 1}}
    facts |= {"train": "train", "clear": ("day",), "adverse": (), "intensity_scale": 1.0}
    return Card(**{**facts, **changes})  # type: ignore[arg-type]


def frame(cameras: int = 1, points: int = 500, **changes: object) -> Frame:
    rng = np.random.default_rng(0)
    yaws = np.linspace(0, 360, cameras, endpoint=False)
    cloud = rng.uniform([2, -8, -2, 0], [30, 8, 2, 1], (points, 4))
    given: dict[str, object] = {
        "points": torch.from_numpy(cloud).float(),
        "images": torch.zeros(cameras, 3, 40, 80),
        "intrinsics": INTRINSICS.expand(cameras, 3, 3),
        "cam_from_lidar": torch.stack([facing(yaw) for yaw in yaws]) if cameras else torch.zeros(0, 4, 4).double(),
        "boxes": Boxes(torch.tensor([[10.0, 0, 0, 4, 2, 1.5, 0.3]]), torch.tensor([0])),
        "token": "toy-0",
        "condition": "day",
    }
    return Frame(**{**given, **changes})  # type: ignore[arg-type]


def test_cameras_stand_as_one_would_see_them():
    rig = frame(6, cam_from_lidar=torch.stack([facing(yaw) for yaw in (0, -55, -110, 180, 110, 55)]))
    assert view.camera_rows(rig) == [[5, 0, 1], [4, 3, 2]]
    assert view.camera_rows(frame(1)) == [[0]]
    assert view.camera_rows(frame(0)) == []


def test_a_wireframe_is_where_a_hand_worked_box_is_seen():
    # a cube of side 2 m, its near face at 9 m and its far face at 11 m; the camera's focal length is 40 px
    lines = view.wireframe(torch.tensor([10.0, 0, 0, 2, 2, 2, 0]), INTRINSICS, AHEAD)
    assert lines.shape == (12, 2, 2)
    ends = {(round(u, 6), round(v, 6)) for u, v in lines.reshape(-1, 2).tolist()}
    near, far = 40 / 9, 40 / 11
    assert ends == {(round(40 + a * d, 6), round(20 + b * d, 6)) for d in (near, far) for a in (-1, 1) for b in (-1, 1)}


def test_a_wireframe_ends_where_the_camera_stops_seeing():
    # the box reaches from 3 m behind the camera to 5 m ahead of it, beside and below it
    box = torch.tensor([1.0, 2, -2, 8, 1, 1, 0])
    lines = view.wireframe(box, INTRINSICS, AHEAD)
    assert len(lines) == 8  # the far face's four edges and the four that lead to it
    depth_of = {round(40 - 40 * y / view.NEAR, 3) for y in (1.5, 2.5)} | {round(40 - 40 * y / 5, 3) for y in (1.5, 2.5)}
    assert {round(u, 3) for u in lines[:, :, 0].ravel().tolist()} == depth_of
    behind = view.wireframe(torch.tensor([-10.0, 0, 0, 2, 2, 2, 0]), INTRINSICS, AHEAD)
    assert len(behind) == 0


def coloured_pixels(path: Path) -> int:
    image = matplotlib.image.imread(path)[..., :3]
    return int((image.max(-1) - image.min(-1) > 0.3).sum())


@pytest.mark.parametrize("cameras", [0, 1, 6])
def test_a_picture_is_drawn_for_any_number_of_cameras(tmp_path: Path, cameras: int):
    out = tmp_path / "view.png"
    view.view(card(), frame(cameras), out)
    full = coloured_pixels(out)
    assert full > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["view.png"]
    view.view(card(), frame(cameras, boxes=None), out)
    assert coloured_pixels(out) < full


def test_a_frame_without_points_still_shows_its_cameras(tmp_path: Path):
    view.view(card(), frame(2, points=0, images=torch.ones(2, 3, 40, 80)), tmp_path / "view.png")
    assert matplotlib.image.imread(tmp_path / "view.png")[..., :3].min(-1).max() == 1


def test_points_are_painted_by_class(tmp_path: Path):
    colours = ((255, 0, 0), (0, 0, 255))
    labels = torch.zeros(500, dtype=torch.int64)
    for label, channel in ((0, 0), (1, 2)):
        out = tmp_path / f"{label}.png"
        view.view(card(colours=colours), frame(1, labels=labels + label, boxes=None), out, colour="class")
        image = matplotlib.image.imread(out)[..., :3]
        strong = image[image.max(-1) - image.min(-1) > 0.5]
        assert len(strong) > 500
        assert (strong.argmax(-1) == channel).all()


def test_what_cannot_be_drawn_is_refused_before_drawing(tmp_path: Path):
    with pytest.raises(UsageError, match="no labels in frame toy-0; use --colour depth"):
        view.view(card(), frame(), tmp_path / "a.png", colour="class")
    with pytest.raises(UsageError, match=r"use \.png"):
        view.view(card(), frame(), tmp_path / "a.docx")
    with pytest.raises(UsageError, match="no folder"):
        view.view(card(), frame(), tmp_path / "nowhere" / "a.png")
    assert not list(tmp_path.iterdir())


class Broken:
    """Three frames; the second has two bad files."""

    card = card()
    tokens = ("a", "b", "c")
    conditions = ("day", "night", "day")
    problems = (Problem(Path("b.bin"), "truncated: 17 bytes"), Problem(Path("[b].png"), "missing"))

    def __init__(self, **_: object) -> None: ...

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Frame:
        return frame(1, token=self.tokens[index], images=torch.linspace(0.2, 0.8, 80).repeat(1, 3, 40, 1))

    def check(self) -> Iterator[tuple[str, list[Problem]]]:
        yield from (("a", []), ("b", list(self.problems)), ("c", []))


@pytest.mark.parametrize("terminal", [True, False])
def test_check_names_every_bad_file_once_and_counts_them(terminal: bool):
    out = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    assert check.report(card(), "train", Broken(), out, Console(file=io.StringIO())) == 2
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("b.bin") == 1
    assert text.count("[b].png") == 1
    assert "truncated: 17 bytes" in text
    assert "3 frames, 2 bad files" in text


def test_check_says_when_all_is_well(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Broken, "problems", ())
    out = Console(file=io.StringIO())
    assert check.report(card(), "train", Broken(), out, Console(file=io.StringIO())) == 0
    assert "3 frames, every file is there and readable" in out.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def broken_card(tmp_path: Path) -> str:
    lines = [f"{key}: toy" for key in ("name", "title", "licence", "citation", "homepage", "get", "layout")]
    lines += [
        f"reader: {__name__}.Broken",
        "classes: []",
        "box_classes: [car]",
        "cameras: [left]",
        "splits: {train: 3}",
    ]
    lines += ["train: train", "clear: [day]", "adverse: [night]", "intensity_scale: 1.0"]
    path = tmp_path / "toy.yaml"
    path.write_text("\n".join(lines))
    return str(path)


def test_an_index_counts_within_a_condition(broken_card: str):
    assert view.choose(broken_card, index=1)[1].token == "b"
    assert view.choose(broken_card, index=1, condition="day")[1].token == "c"
    with pytest.raises(UsageError, match="toy train has 2 day frames, counted from 0"):
        view.choose(broken_card, index=2, condition="day")
    with pytest.raises(UsageError, match="has 3 frames"):
        view.choose(broken_card, index=-1)
    with pytest.raises(UsageError, match=r"no condition 'nigt'; did you mean 'night'\?"):
        view.choose(broken_card, condition="nigt")


def test_frames_are_seen_in_the_weather_that_is_asked_for(broken_card: str):
    one, two = (Weather(corruptions=("fog",), severities=severities) for severities in ((3,), (1, 3)))
    card_, seen = view.choose(broken_card, index=1, weather=one)
    assert (seen.token, seen.condition) == ("c-fog-3", "fog-3")
    assert not torch.equal(seen.images, view.choose(broken_card, index=2)[1].images)
    assert card_.name == "toy"
    assert view.choose(broken_card, index=1, weather=one, condition="clear")[1].token == "c-clear"
    assert [view.choose(broken_card, index=at, weather=two)[1].token for at in (1, 2)] == ["c-clear", "a-fog-1"]
    small = view.choose(broken_card, index=0, weather=one, image_size=(20, 40))[1]
    assert small.images.shape[-2:] == (20, 40)
    with pytest.raises(UsageError, match="toy train has 2 fog-3 frames, counted from 0"):
        view.choose(broken_card, index=2, weather=one)


def test_check_and_view_through_the_command_line(broken_card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from lidar2d.cli import main

    assert main(["check", "--data", broken_card]) == 1
    assert "b.bin: truncated: 17 bytes (frame b)" in capsys.readouterr().out
    out = tmp_path / "seen.png"
    assert main(["view", "--data", broken_card, "--index", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: frame c\n"
    assert coloured_pixels(out) > 1000
    fog = ["--data.weather.corruptions", "[fog]", "--data.weather.severities", "[3]"]
    assert main(["view", "--data", broken_card, "--index", "1", *fog, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: frame c-fog-3\n"
    assert main(["view", "--data", broken_card, "--data.weather.severities", "3"]) == 2
    assert "--data.weather.severities: expected a list" in capsys.readouterr().err
    assert main(["view", "--data", broken_card, "--data.augment.rotate", "1"]) == 2
    assert "no setting --data.augment.rotate; data has: cameras, card, image_size" in capsys.readouterr().err


def test_pixels_are_painted_where_there_are_no_points(tmp_path: Path):
    whole = frame(1, points=0)
    labels = torch.full((1, *whole.images.shape[-2:]), -1)
    labels[..., :20] = 1
    plain, classes, depths = (tmp_path / f"{name}.png" for name in ("plain", "class", "depth"))
    view.view(card(), whole, plain)
    view.view(card(), replace(whole, pixel_labels=labels), classes, "class")
    view.view(card(), replace(whole, depth=torch.where(labels > 0, 8.0, 0.0)), depths)
    pictures = [matplotlib.image.imread(path)[60:200] for path in (plain, classes, depths)]
    left, right = np.s_[:, 100:150], np.s_[:, -150:-100]
    for painted in pictures[1:]:
        assert np.abs(painted[left] - pictures[0][left]).mean() > 0.05
        assert np.abs(painted[right] - pictures[0][right]).mean() < 0.01
