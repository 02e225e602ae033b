"""The page without a browser: what it says is what the board says, it needs no other file, and no name can break it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import made_up
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from lidar2d.bench.gallery import Gallery
from lidar2d.data.card import load_card
from lidar2d.errors import UsageError
from lidar2d.frame import Frame
from lidar2d.leaderboard import titles
from lidar2d.leaderboard.board import resilience, tables
from lidar2d.leaderboard.page import write, write_page
from lidar2d.results.baseline import Baseline
from lidar2d.results.measures import measure
from lidar2d.tasks.segmentation import PixelSegmentation

CELL = ("method", "condition", "severity", "protocol", "seed")
HOSTILE = "</script><img src=x onerror=alert(1)>{{script}} & 'quoted' \u2028"
STATIC = Path(write.__file__).parent / "static"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.data = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = tag == "script" and ("id", "data") in attrs

    def handle_data(self, data):
        if self._inside:
            self.data += data

    def handle_endtag(self, _):
        self._inside = False


def content(page):
    return json.loads(Tags(page.read_text(encoding="utf-8")).data)


def told(column, row):
    """Read a column of records as the page's script does."""
    return column["of"][column["at"][row] if column["at"] else 0]


def section(given, **wanted):
    (found,) = [each for each in given["sections"] if all(each[key] == value for key, value in wanted.items())]
    return found


def column(given, key):
    (found,) = [each for each in given["columns"] if each["key"] == key]
    return found


@pytest.fixture(scope="module")
def records():
    return made_up.everything()


@pytest.fixture(scope="module")
def page(records, tmp_path_factory):
    return write_page(tables(records, against=made_up.AGAINST), tmp_path_factory.mktemp("page"))


def test_means_and_deviations_are_those_of_the_board(page, records):
    given = content(page)
    for table in (each for each in tables(records) if each.kind.weather and each.kind.source == "measured"):
        shown = section(given, protocol=table.kind.protocol, source="measured", weather=table.kind.weather)
        assert [row["method"] for row in shown["rows"]] == [row.method for row in table.rows]
        names = [metric["name"] for metric in shown["metrics"]]
        assert names[0] == table.metric
        for place, row in enumerate(table.rows):
            for name in (table.metric, names[-1]):
                for key, wanted in (
                    *((each, row.spread(each, name)) for each in table.conditions),
                    *((each, table.weather(row, each, name)) for each in table.corruptions),
                ):
                    cell = column(shown, key)["cells"][place]
                    assert cell["mean"][names.index(name)] == pytest.approx(wanted.mean, rel=1e-5)
                    assert cell["deviation"][names.index(name)] == pytest.approx(wanted.deviation, rel=1e-5)


def test_intervals_and_differences_are_those_of_the_board(records, tmp_path):
    (table,) = tables(
        [r for r in records if r.suite == "weather" and r.protocol == "seg2d-lin/town@1"], [FROZEN], made_up.AGAINST
    )
    shown = content(write_page([table], tmp_path))["sections"][0]
    assert shown["references"] == ["photometric", "teacher", "random"]
    for place, row in enumerate(table.rows):
        own, less = resilience(table, row), resilience(table, row, table.row("teacher"))
        for name in ("mean", "worst", "gap", "mrr", "mce"):
            cell = column(shown, f"~{name}")["cells"][place]
            for told, wanted in ((cell["value"], getattr(own, name)), (cell["less"][1], getattr(less, name))):
                assert told == pytest.approx([wanted.value, wanted.low, wanted.high], rel=1e-4, abs=1e-9)
        fog = [table.weather(each, "fog", "miou").mean for each in (row, table.row("random"))]
        assert column(shown, "fog")["cells"][place]["less"][2][0] == pytest.approx(fog[0] - fog[1], abs=1e-4)
    assert any("frozen@1" in note for note in shown["notes"])


FROZEN = Baseline(
    *("frozen", 1, "a network", "here", "a table", "miou", 3, 0.5),
    scores={name: (0.4, 0.3, 0.1) for name in made_up.WEATHER},
    digest="123456789abc",
    data="synthetic",
    protocol="seg2d-lin/town@1",
    weather="weather-v1@1",
    judged=(1, 3, 5),
    method="photometric",
)


def test_every_number_leads_to_the_records_it_is_made_of(page, records):
    given = content(page)
    ledger = given["records"]
    assert len(set(ledger["ids"])) == ledger["count"] == len(records)

    def said(row, name):
        return told(ledger["fields"][name], row)

    shown = section(given, protocol="seg3d-lp/town@1")
    for place, row in enumerate(shown["rows"]):
        for key, severities in (("fog", {1, 3, 5}), ("fog-3", {3})):
            rows = column(shown, key)["cells"][place]["records"]
            assert {(said(each, "severity"), said(each, "seed")) for each in rows} == {
                (severity, seed) for severity in severities for seed in (0, 1, 2)
            }
            assert {(said(each, "method"), said(each, "condition")) for each in rows} == {(row["method"], "fog")}
    wanted = next(record for record in records if record.method == "olivine" and record.judged_in == "snow-5")
    (found,) = [row for row in range(ledger["count"]) if all(said(row, name) == getattr(wanted, name) for name in CELL)]
    for name in ("recipe", "commit", "seconds", "peak_gib", "devices", "fingerprint", "shown", "weights"):
        assert said(found, name) == pytest.approx(getattr(wanted, name))
    metrics = dict(zip(told(ledger["metrics"], found), ledger["values"][found], strict=True))
    assert metrics == pytest.approx(wanted.metrics, rel=1e-5)


def test_a_link_survives_a_new_measurement(records, tmp_path):
    again = [replace(record, seconds=record.seconds + 1, commit="another") for record in records[:40]]
    before, after = (content(write_page(tables(each), tmp_path)) for each in (records[:40], again))
    assert before["records"]["ids"] == after["records"]["ids"]
    assert before != after


def test_what_failed_says_why(page):
    given = content(page)
    (row,) = [row for row in section(given, protocol="det3d-lp/town@2")["rows"] if row["failed"]]
    assert (row["method"], row["seeds"]) == ("hvdistill", 2)
    assert [told(given["records"]["fields"]["error"], each) for each in row["failed"]] == [made_up._ERROR]
    assert sum(len(each["failed"]) for shown in given["sections"] for each in shown["rows"]) == 1


def test_what_was_measured_and_what_papers_say_never_share_a_table(page):
    sources = [shown["source"] for shown in content(page)["sections"]]
    assert sources == sorted(sources, key=("measured", "smoke", "paper").index)
    assert {"measured", "paper"} == set(sources)


def test_shares_of_the_labels_stand_side_by_side_as_papers_print_them(page):
    shown = section(content(page), source="paper", weather="")
    assert [each["label"] for each in shown["columns"]] == [f"{share} % labels" for share in (1, 5, 10, 25, 100)]
    assert all(cell["records"] for each in shown["columns"] for cell in each["cells"])


def test_numbers_that_papers_print_beside_their_columns_have_columns_of_their_own(page, records):
    shown = section(content(page), source="paper", weather="robo3d@1")
    fixed = {each["key"]: each for each in shown["columns"] if each["fixed"] is not None}
    assert set(fixed) == {"corrupted:mce", "corrupted:mrr"}
    assert [shown["metrics"][each["fixed"]]["better"] for each in fixed.values()] == [-1, 1]
    printed = {record.method: record.metrics["mce"] for record in records if record.condition == "corrupted"}
    shown = zip(shown["rows"], fixed["corrupted:mce"]["cells"], strict=True)
    assert {row["method"]: cell["mean"] for row, cell in shown} == {name: [value] for name, value in printed.items()}


@pytest.mark.parametrize("name", ["method", "teacher", "shown", "citation", "error", "data", "weather"])
def test_no_name_ends_the_script_or_is_read_as_the_page(records, tmp_path, name):
    first = replace(records[0], **{name: HOSTILE})
    if name == "error":
        first = replace(first, metrics={}, draws=[], condition="all")
    if name == "citation":
        first = replace(first, source="paper")
    path = write_page(tables([first, *records[1:40]]), tmp_path)
    tags = Tags(path.read_text(encoding="utf-8"))
    assert [tag for tag, _ in tags.found if tag in ("script", "img")] == ["script", "script"]
    given = json.loads(tags.data)
    assert HOSTILE in [*given["records"]["fields"][name]["of"]]


def test_the_same_records_give_the_same_bytes(records, tmp_path):
    one, other = (write_page(tables(records), tmp_path / name).read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_page_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    assert [each.name for each in page.parent.iterdir()] == ["index.html"]
    markup = [attrs for tag, attrs in Tags(text).found if tag not in ("option",)]
    links = [value for attrs in markup for key, value in attrs.items() if key in ("src", "href", "action", "srcset")]
    assert links == ["data:,", "#main"]
    assert "@import" not in text
    assert not re.search(r"url\(|fetch\(|XMLHttpRequest|import\(|innerHTML|eval\(", text)
    (policy,) = [attrs["content"] for attrs in markup if attrs.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_draws_stay_in_the_records(page):
    assert '"draws"' not in page.read_text(encoding="utf-8")


def test_every_style_and_script_is_in_the_page():
    there = {path.name for path in STATIC.iterdir()}
    used = {f"{name}.css" for name in write.STYLES} | {f"{name}.js" for name in (*write.SCRIPTS, "main")}
    assert there == used | {"page.html"}


def test_without_records_there_is_a_page_that_has_none(tmp_path):
    given = content(write_page([], tmp_path / "new" / "folder"))
    assert (given["sections"], given["records"]["count"]) == ([], 0)


def test_a_table_where_everything_failed_is_shown(records, tmp_path):
    failed = [record for record in records if record.error]
    (shown,) = content(write_page(tables(failed), tmp_path))["sections"]
    assert (shown["metrics"], shown["columns"]) == ([], [])
    assert shown["rows"][0]["failed"] == [0]


def test_a_page_is_written_whole_or_not_at_all(records, tmp_path, monkeypatch):
    path = write_page(tables(records[:20]), tmp_path)
    before = path.read_bytes()

    def full(self, *_, **__):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device; name another folder"):
        write_page(tables(records), tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        write_page([], tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


def test_tasks_and_numbers_have_names():
    assert (titles.task("seg3d-lp/slidr@1"), titles.probe("seg3d-lp/slidr@1")) == ("3D segmentation", "linear probe")
    assert (titles.task("aware-match/lidar2d@1"), titles.probe("aware-match/lidar2d@1")) == ("Correspondence", "")
    assert (titles.task("det3d/robo3d@1"), titles.task("own-thing/x@1")) == ("3D detection", "own-thing")
    assert titles.metric("iou/driveable_surface") == "IoU driveable surface"
    assert titles.metric("ap3d/car") == "AP in space, car"
    assert titles.metric("recall/10px/5-15deg") == "recall within 10 px, 5-15°"
    assert [titles.metric(name) for name in ("recall/10px", "within/22.5deg")] == [
        "recall within 10 px",
        "within 22.5°",
    ]
    assert [titles.unit(name) for name in ("miou", "abs_rel", "mean_angle")] == ["%", "", "°"]


def test_which_way_a_number_is_better_is_that_of_its_measure(page):
    for shown in content(page)["sections"]:
        for metric in shown["metrics"]:
            known = measure(metric["name"])
            assert metric["better"] == known.better
            assert metric["digits"] == known.digits or shown["source"] == "paper"


def test_published_numbers_are_as_long_as_they_were_printed_and_measured_ones_are_not(page):
    given = content(page)
    of = {
        (each["source"], each["weather"]): {m["name"]: m["digits"] for m in each["metrics"]}
        for each in given["sections"]
    }
    assert of["paper", ""] == {"miou": 2}
    assert of["paper", "robo3d@1"] == {"miou": 1, "mce": 0, "mrr": 0}
    assert of["measured", ""]["miou"] == 1
    (note,) = section(given, weather="robo3d@1")["notes"]
    assert note.startswith("mCE is as it was printed")


def test_numbers_of_bad_weather_are_not_made_of_the_pool_of_all_frames(records, tmp_path):
    own = [r for r in records if (r.suite, r.protocol) == ("weather", "seg2d-lin/town@1")]
    pools = [replace(r, condition="all", draws=[]) for r in own if r.condition == "clear"]
    given = content(write_page(tables([*own, *pools]), tmp_path))
    assert given["records"]["count"] == len(own)
    assert "all" not in given["records"]["fields"]["condition"]["of"]


@pytest.mark.parametrize("name", ["gallery", "somebody"])
def test_a_page_that_is_no_leaderboard_is_left_alone(gallery, tmp_path, name):
    own = tmp_path / "somebody"
    own.mkdir()
    (own / "index.html").write_text("<title>mine</title>")
    folder = gallery if name == "gallery" else own
    before = {path: path.read_bytes() for path in folder.rglob("*")}
    with pytest.raises(UsageError, match=r"index\.html is no leaderboard and would be lost; name another folder"):
        write_page([], folder, [gallery])
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    write_page([], tmp_path / "site", [gallery])
    write_page([], tmp_path / "site", [gallery])  # one's own is written anew


# Machado, Oliveira and Fernandes 2009, severity 1, of linear RGB
COLOUR_BLIND = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lines_and_ground(place):
    """Return the linear RGB of the colours of lines, and of both kinds of cards, in light (0) or dark (1)."""
    text = (STATIC / "colours.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"--(c\d|card|paper): light-dark\((#\w{6}, #\w{6})\)", text))
    given = {name: pair.split(", ")[place] for name, pair in found.items()}
    linear = {}
    for name, value in given.items():
        part = np.array([int(value[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear[name] = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    ground = np.array([linear.pop("card"), linear.pop("paper")])
    assert len(linear) == 8
    return np.array(list(linear.values())), ground


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("eyes", COLOUR_BLIND)
def test_lines_keep_their_colours_apart_for_all_eyes(place, eyes):
    linear, _ = lines_and_ground(place)
    seen = np.clip(linear @ np.array(COLOUR_BLIND[eyes]).T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)[None])[0]
    apart = deltaE_ciede2000(lab[:, None], lab[None])
    assert apart[~np.eye(8, dtype=bool)].min() > 10


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_lines_stand_out_from_the_card(place):
    linear, ground = lines_and_ground(place)
    weights = [0.2126, 0.7152, 0.0722]
    light, behind = (linear @ weights)[:, None], ground @ weights
    assert ((np.maximum(light, behind) + 0.05) / (np.minimum(light, behind) + 0.05)).min() >= 3


# galleries


CARD = load_card("synthetic")


@pytest.fixture
def gallery(tmp_path):
    """A gallery as evaluations write it, of two conditions, one with a name that means something in HTML."""
    found = Gallery(tmp_path / "pictures", CARD, "collab & co: seg2d-lin/town@1", each=1)
    eye = torch.eye(4, dtype=torch.float64)[None]
    for condition in ("day", "wet & cold"):
        images = torch.full((1, 3, 16, 24), 0.5)
        frame = Frame(torch.rand(5, 4), images, eye[:, :3, :3], eye, condition=condition, token="1-2")
        truth = torch.full((1, 16, 24), 3)
        found(PixelSegmentation(CARD), frame, truth, truth)
    found.write()
    return tmp_path / "pictures"


def test_pictures_of_a_gallery_are_copied_with_their_words(gallery, tmp_path):
    path = write_page([], tmp_path / "site", [gallery])
    (shown,) = content(path)["galleries"]
    assert shown["title"] == "collab & co: seg2d-lin/town@1"
    assert shown["about"][0].startswith("Columns: the image")
    assert [name.strip() for _, name in shown["colours"]] == list(CARD.classes)
    assert [each["caption"] for each in shown["pictures"]] == ["day: 1-2", "wet & cold: 1-2"]
    assert [each["condition"] for each in shown["pictures"]] == ["day", "wet & cold"]
    for picture, name in zip(shown["pictures"], ("day-0.png", "wet & cold-0.png"), strict=True):
        copied = path.parent / "gallery" / "1" / name
        assert picture["file"] == "gallery/1/" + name.replace(" ", "%20").replace("&", "%26")
        assert picture["size"] == list(Image.open(copied).size)
        assert np.array_equal(Image.open(copied), Image.open(gallery / name))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "index.html").unlink(), "it has no index.html"),
        (lambda folder: (folder / "day-0.png").unlink(), "day-0.png cannot be read"),
        (lambda folder: (folder / "day-0.png").write_bytes(b"GIF89a"), "day-0.png is no PNG picture"),
        (lambda folder: (folder / "index.html").write_text("<title>mine</title>"), "its page shows no picture"),
        (lambda folder: (folder / "index.html").write_text('<img src="../x.png">'), "is no PNG file of the folder"),
        (lambda folder: (folder / "index.html").write_text('<img src="/etc/passwd">'), "is no PNG file of the folder"),
    ],
)
def test_what_is_no_gallery_is_refused_and_nothing_is_written(gallery, tmp_path, harm, said):
    harm(gallery)
    with pytest.raises(UsageError, match=re.escape(said)):
        write_page([], tmp_path / "site", [gallery])
    assert not (tmp_path / "site").exists()
