"""`lidar2d table`: files that say what the records say, and a check that names what does not."""

import csv
import io
import json

import pytest

from lidar2d.cli import main
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
    assert text.startswith("# A project\n\n<!-- leaderboard: weather -->\n\n|  | seg2d-lin miou ↑ |")
    assert text.endswith("<!-- end of the leaderboard -->\n\nMore.\n")
    assert "| collab | 50.0 → 41.6 |" in text
    assert "old" not in text


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
    assert run(results, "--suite", "weather", "--sort", "fog-5") == 0
    assert not (results / "weather.md").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--suite", "wether"], "did you mean 'weather'?"),
        (["--suite", "weather", "--sort", "fgo"], "did you mean 'fog'?"),
        (["--suite", "weather", "--against", "colab"], "did you mean 'collab'?"),
        (["--sort", "fog"], "--sort belongs to one suite's tables"),
        (["--check", "--suite", "weather"], "give one of --check and --suite NAME"),
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


def test_wrong_folders_are_told(tmp_path, results, capsys):
    assert run(tmp_path / "nowhere") == 2
    assert "there is no folder" in capsys.readouterr().err
    for path in (results / "weather").glob("*.jsonl"):
        path.unlink()
    assert run(results, "--check") == 2
    assert "shows a leaderboard of weather, which has no records" in capsys.readouterr().err
    assert Store(results).suites() == []


def test_what_the_suite_compares_is_compared(results, capsys):
    assert run(results, "--suite", "weather") == 0
    told = capsys.readouterr().out
    assert "Compared with teacher, on the same draws" in told
    assert "Compared with photometric, on the same draws" in told
    assert "Compared with random" not in told  # no record of it
