"""`lidar2d table`: files that say what the records say, and a check that names what does not."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lidar2d.cli import main
from lidar2d.leaderboard.board import digits, network, tables
from lidar2d.leaderboard.markdown import document, sections
from lidar2d.leaderboard.verbs import _sorted
from lidar2d.results.record import Record
from lidar2d.results.store import Store


def run(results, *words):
    return main(["table", "--results", str(results), *words])


def test_files_are_written_once_and_checked(results, capsys):
    assert run(results, "--check") == 1
    assert "weather.md is missing" in capsys.readouterr().err
    assert run(results) == 0
    wrote = capsys.readouterr().err
    assert all(name in wrote for name in ("weather.md", "weather.csv", "README.md"))
    assert run(results) == 0
    assert capsys.readouterr().err == ""
    assert run(results, "--check") == 0
    assert "3 files: as the records say" in capsys.readouterr().err


def test_the_readme_keeps_all_but_its_leaderboard(results):
    run(results)
    text = (results.parent / "README.md").read_text()
    assert text.startswith("# A project\n\n<!-- leaderboard: weather -->\n\n|  | 2D segmentation: mIoU ↑ |")
    assert text.endswith("<!-- end of the leaderboard -->\n\nMore.\n")
    assert "| collab | 50.0 → 41.6 |" in text
    assert "old" not in text


def test_the_leaderboard_names_tasks_and_tells_two_of_one_apart(results, records):
    more = ("seg3d-lp/town@1", "seg2d-lin/other@1", "aware-match/lidar2d@1")
    Store(results).add(replace(each, protocol=name) for name in more for each in records if each.method == "teacher")
    run(results)
    head = (results.parent / "README.md").read_text().split("\n")[4]
    both = [f"2D segmentation: mIoU (seg2d-lin/{name}@1 on synthetic, weather-v1@1) ↑" for name in ("other", "town")]
    shown = ["", "", *both, "Correspondence: mIoU ↑", "3D segmentation: mIoU ↑", ""]
    assert [each.strip() for each in head.split("|")] == shown


def test_the_sheet_has_every_number_of_every_record(results, records):
    run(results)
    rows = list(csv.DictReader(io.StringIO((results / "weather.csv").read_text())))
    assert len(rows) == len(records)
    told = {(row["method"], row["condition"], row["severity"], row["seed"]): float(row["miou"]) for row in rows}
    for record in records:
        key = (record.method, record.condition, str(record.severity), str(record.seed))
        assert told[key] == pytest.approx(record.metrics["miou"], abs=1e-4)


def edit(results, change):
    """Change the first record of collab's file, and return what it says."""
    path = results / "weather" / "collab.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines))


def raised(lines):
    lines[0]["metrics"]["miou"] += 1


def doubled(lines):
    lines.append(lines[0])


def out_of_range(lines):
    lines[0]["metrics"]["miou"] = 101.5


def other_suite_version(lines):
    lines[0]["suite_version"] = 2


def other_weather(lines):
    lines[0]["weather"] = "weather-v1@2"


def another_commit(lines):
    lines[0]["commit"] = "0123456789"


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (raised, 1, "weather.csv: method collab, protocol seg2d-lin/town@1, data synthetic"),
        (another_commit, 1, "weather.csv: method collab"),
        (doubled, 2, "line 22: stands already in line 1"),
        (out_of_range, 2, "miou is 101.5, which lies between 0 and 100"),
        (other_suite_version, 2, "weather mixes versions of the suite: "),
        (other_weather, 2, "weather mixes versions of the weather-v1: "),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_changed_record_is_named(results, capsys, change, status, said):
    run(results)
    edit(results, change)
    capsys.readouterr()
    assert run(results, "--check") == status
    assert said in capsys.readouterr().err


def test_a_table_that_was_edited_by_hand_is_named(results, capsys):
    run(results)
    for name, old, new in (
        ("weather.md", "50.0", "59.0"),
        ("weather.csv", "town-supervised", "town-imagined"),
        ("../README.md", "41.6", "42.6"),
    ):
        path = results / name
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))
        capsys.readouterr()
        assert run(results, "--check") == 1
        told = capsys.readouterr().err
        assert path.name in told
        assert "1 differences" in told
        path.write_text(before)
    assert run(results, "--check") == 0


def test_a_table_whose_records_are_gone_is_named(results, capsys):
    run(results)
    (results / "old.md").write_text("# old\n")
    assert run(results, "--check") == 1
    assert "old.md is of no suite that has records; remove it" in capsys.readouterr().err


def test_one_suite_is_printed_sorted_and_compared(results, capsys):
    assert run(results, "--suite", "weather", "--sort", "method", "--against", "photometric") == 0
    told = capsys.readouterr().out
    assert told.index("\n| collab |") < told.index("\n| photometric |") < told.index("\n| teacher |")
    assert "Compared with photometric, on the same draws of scenes and seeds" in told
    assert run(results, "--suite", "weather", "--sort", "fog") == 0
    assert not (results / "weather.md").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--suite", "wether"], "did you mean 'weather'?"),
        (["--suite", "weather", "--sort", "fgo"], "did you mean 'fog'?"),
        (["--suite", "weather", "--sort", "fog-5"], "did you mean 'fog'?"),  # is in no column that is shown
        (["--suite", "weather", "--against", "colab"], "did you mean 'collab'?"),
        (["--sort", "fog"], "--sort belongs to one suite's tables"),
        (["--check", "--suite", "weather"], "give one of --check, --suite NAME and --html DIR"),
        (["--gallery", "x"], "--gallery belongs to the page"),
        (["--chek"], "did you mean"),
        (["more"], "table takes no word 'more'"),
        (["--readme", "nowhere.md"], "nowhere.md cannot be read"),
    ],
)
def test_wrong_words_are_told_in_a_line(results, capsys, given, said):
    assert run(results, *given) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) <= 3


def test_wrong_folders_are_told(tmp_path, results, records, capsys):
    assert run(tmp_path / "nowhere") == 2
    assert "there is no folder" in capsys.readouterr().err
    for path in (results / "weather").glob("*.jsonl"):
        path.unlink()
    assert Store(results).suites() == []
    assert run(results, "--check") == 2
    assert "there are no records below" in capsys.readouterr().err
    Store(results).add([replace(records[0], suite="other")])
    assert run(results, "--check") == 2
    assert "shows a leaderboard of weather, which has no records" in capsys.readouterr().err


def test_what_the_suite_compares_is_compared(results, capsys):
    assert run(results, "--suite", "weather") == 0
    told = capsys.readouterr().out
    assert "Compared with teacher, on the same draws" in told
    assert "Compared with photometric, on the same draws" in told
    assert "Compared with random" not in told  # no record of it


START, END = "<!-- leaderboard: weather -->\n", "<!-- end of the leaderboard -->\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{START}old\nIMPORTANT\n{START}x\n{END}", 1),
        (f"{START}x\n{END}IMPORTANT\n{START}old\n", 5),
        (f"IMPORTANT\n{END}\n{START}", 2),
        (f"IMPORTANT\n<!--leaderboard: weather-->\n{END}", 2),
        (f"IMPORTANT\n<!-- Leaderboard weather -->\nold\n{END}", 2),
    ],
)
@pytest.mark.parametrize("words", [[], ["--check"]])
def test_half_a_leaderboard_is_refused_and_nothing_is_lost(results, capsys, text, line, words):
    readme = results.parent / "README.md"
    readme.write_text(text)
    assert run(results, *words) == 2
    assert f"README.md, line {line}: " in (said := capsys.readouterr().err)
    assert "is half a leaderboard" in said
    assert readme.read_text() == text


def test_ends_of_lines_stay_as_they_are(results):
    readme = results.parent / "README.md"
    readme.write_bytes(b"# hi\r\nx\r\n")
    run(results)
    assert readme.read_bytes() == b"# hi\r\nx\r\n"
    readme.write_bytes(f"# hi\r\n{START}{END}\nx\n".replace("\n", "\r\n").replace("\r\r", "\r").encode())
    run(results)
    text = readme.read_bytes()
    assert b"| collab | 50.0" in text
    assert text.count(b"\r\n") == text.count(b"\n")
    assert text.startswith(b"# hi\r\n<!-- leaderboard: weather -->\r\n\r\n|")
    assert run(results, "--check") == 0


@pytest.mark.parametrize("name", ["weather.md", "weather.csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.removesuffix(b"\n"),
        lambda text: text.replace(b"\n", b"\f"),
        lambda text: text + b"x" * 200_000 + b"\n",  # more than csv takes in a field
    ],
    ids=["windows", "last", "form feeds", "long"],
)
def test_what_would_be_written_anew_is_named(results, capsys, name, change):
    run(results)
    path = results / name
    path.write_bytes(change(path.read_bytes()))
    capsys.readouterr()
    assert run(results, "--check") > 0
    assert f"{name}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["weather.md", "README.md"])
def test_a_file_that_cannot_be_written_is_named(results, capsys, monkeypatch, name):
    replaced = os.replace

    def denied(source, target):
        if target.name == name:
            raise PermissionError(13, "Permission denied")
        replaced(source, target)

    monkeypatch.setattr("os.replace", denied)
    assert run(results) == 2
    assert f"{name}: Permission denied; " in capsys.readouterr().err


@pytest.mark.parametrize("unread", ["weather", "."])
def test_a_folder_that_cannot_be_read_is_named(results, capsys, monkeypatch, unread):
    listed = Path.iterdir

    def denied(folder):
        if folder == results / unread:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", denied)
    for words in ([], ["--check"]):
        assert run(results, *words) == 2
        assert f"{results / unread} cannot be read: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suite", "text", "said"),
    [
        ("mine", "", "mine has files without a record; remove them"),
        ("README", "x", "README: a suite called README has its table in README.md; rename it"),
        ("my suite", "x", "give at most 100 letters"),
    ],
)
def test_suites_that_can_have_no_table_are_refused(results, capsys, suite, text, said):
    (results / suite).mkdir()
    (results / suite / "m.jsonl").write_text(text)
    (results / "README.md").write_text("mine")
    for words in ([], ["--check"], ["--html", str(results / "page")]):
        assert run(results, *words) == 2
        assert said in capsys.readouterr().err
    assert (results / "README.md").read_text() == "mine"


def published(method, condition="all", labels=100, weather="", **metrics):
    """Make a record of a number that stands in no paper."""
    about = {"source": "paper", "citation": "made up | in <b>no</b>\npaper", "weather": weather}
    return Record("s", method, "cards", condition, 0, "seg3d-ft/own@1", labels, 0, metrics, **about)


def test_text_of_records_is_text_in_tables(records):
    odd = {"teacher": "a | b\nc", "backbone": "<script>x</script>"}
    failed = replace(
        records[0], method="failed", condition="all", metrics={}, draws=[], error="no\n<b>space</b> | left"
    )
    text = document("s", tables([*(replace(each, **odd) for each in records), failed, published("own", miou=50.0)]))
    assert not re.search(r"<[a-z/]", text)
    assert "- failed, seed 0: no &lt;b>space&lt;/b> &#124; left" in text
    assert "| a &#124; b c | &lt;script>x&lt;/script> | no |" in text
    assert "\\[1\\] made up &#124; in &lt;b>no&lt;/b> paper" in text
    lines = [line for line in text.split("\n") if line.startswith("|")]
    assert {line.count("|") for line in lines if "photometric" in line} == {7, 9}


def test_each_source_says_what_it_is_before_its_own_tables(results, records, capsys):
    text = document(
        "s", tables([*records, published("own", miou=50.0), *(replace(r, source="smoke") for r in records)])
    )
    places = [text.index(said) for said in ("Measured by lidar2d.", "Published numbers", "Quick runs that prove")]
    assert places == sorted(places)
    assert [text.count("## ", *pair) for pair in pairwise(places)] == [1, 1]
    run(results, "--suite", "weather")
    assert capsys.readouterr().out.startswith("Measured by lidar2d.")


def test_published_numbers_have_the_digits_of_the_longest(records):
    found = tables([published("a", miou=53.0), published("b", miou=41.25), published("b", labels=10, miou=9.5)])
    assert digits(found, "miou") == 2
    (text,) = sections(found)[1:]
    assert "| b | 9.50 | 41.25 |" in text
    assert "| a | – | 53.00 |" in text
    assert text.index("| a |") < text.index("| b |")  # by the largest share of the labels, as on the page
    assert digits(tables(records), "miou") == 1


def test_a_published_mce_stands_first_and_ranks():
    numbers = {"good": (90.0, 50.25), "poor": (110.5, 60.0)}
    judged = [published(name, "beam", weather="w@1", miou=score) for name, (_, score) in numbers.items()]
    found = tables([*judged, *(published(n, "corrupted", weather="w@1", mce=e) for n, (e, _) in numbers.items())])
    (text,) = sections(found)[1:]
    assert "| method | mce ↓ | beam |" in text
    assert text.index("| good | 90.0 | 50.25 |") < text.index("| poor | 110.5 | 60.00 |")
    assert "miou ↑ in each condition." in text
    assert "mCE is as it was printed" in text
    assert [row.method for row in _sorted(found[0], "mce").rows] == ["good", "poor"]
    assert [row.method for row in _sorted(found[0], "beam").rows] == ["poor", "good"]


@pytest.mark.parametrize(
    ("label", "shown"), [("MinkUNet student.safetensors", "MinkUNet"), ("SmallConv town-supervised", None), ("", None)]
)
def test_a_file_is_no_part_of_a_networks_name(label, shown):
    assert network(label) == (label if shown is None else shown)
