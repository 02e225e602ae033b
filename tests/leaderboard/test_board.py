"""The board: means and deviations over seeds, what weather takes, and intervals of differences."""

import re
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from lidar2d.errors import DataError
from lidar2d.leaderboard.board import resilience, tables
from lidar2d.leaderboard.intervals import over_seeds
from lidar2d.leaderboard.markdown import document
from lidar2d.results.baseline import Baseline
from lidar2d.results.robustness import summary

FROZEN = Baseline(
    *("frozen", 1, "a network", "here", "a table", "miou", 3, 0.5),
    scores={"fog": (0.4, 0.3, 0.1), "rain": (0.45, 0.4, 0.3)},
    digest="123456789abc",
    data="synthetic",
    protocol="seg2d-lin/town@1",
    weather="weather-v1@1",
    judged=(1, 3, 5),
    method="teacher",
)


def by_hand(records, method, seed):
    """Scores of one run, by corruption."""
    own = [r for r in records if (r.method, r.seed) == (method, seed)]
    bad = {
        name: [r.metrics["miou"] / 100 for r in sorted(own, key=lambda r: r.severity) if r.condition == name]
        for name in ("fog", "rain")
    }
    return bad, next(r.metrics["miou"] for r in own if r.condition == "clear") / 100


@pytest.mark.parametrize(
    "lost",
    [
        lambda r: (r.condition, r.severity) == ("fog", 5),
        lambda r: r.condition == "fog",
        lambda r: (r.condition, r.seed) == ("fog", 2),
    ],
)
def test_what_lacks_a_severity_or_a_seed_has_no_mean_over_the_rest(records, lost):
    (table,) = tables([r for r in records if r.method != "collab" or not lost(r)])
    row = table.row("collab")
    assert table.weather(row, "fog", "miou") is None
    assert table.weather(row, "rain", "miou") is not None
    assert table.bad(row, "miou") is None
    assert resilience(table, row) is None
    assert resilience(table, table.row("teacher")) is not None


def test_a_table_says_means_and_deviations_over_seeds_and_its_best_row_stands_first(records):
    (table,) = tables(records)
    assert (table.metric, table.corruptions, table.severities) == ("miou", ["fog", "rain"], [1, 3, 5])
    assert [row.method for row in table.rows] == ["collab", "photometric", "teacher"]
    row = table.row("collab")
    clear = [by_hand(records, "collab", seed)[1] * 100 for seed in range(3)]
    fog = [fmean(by_hand(records, "collab", seed)[0]["fog"]) * 100 for seed in range(3)]
    bad = [fmean(map(fmean, by_hand(records, "collab", seed)[0].values())) * 100 for seed in range(3)]
    for found, wanted in (
        (row.spread("clear", "miou"), clear),
        (table.weather(row, "fog", "miou"), fog),
        (table.bad(row, "miou"), bad),
    ):
        assert (found.mean, found.deviation, found.count) == pytest.approx((fmean(wanted), stdev(wanted), 3))
    assert row.spread("clear", "rmse") is None
    assert row.spread("fog-1", "miou").mean > row.spread("fog-5", "miou").mean


def test_resilience_is_that_of_scores_averaged_over_seeds(records):
    (table,) = tables(records, [FROZEN])
    for method in ("collab", "teacher"):
        runs = [by_hand(records, method, seed) for seed in range(3)]
        bad = {name: [fmean(each) for each in zip(*(run[0][name] for run in runs), strict=True)] for name in runs[0][0]}
        wanted = summary(bad, fmean(run[1] for run in runs), FROZEN.scores)
        found = resilience(table, table.row(method))
        for name in ("clear", "mean", "worst", "gap", "mrr", "mce"):
            each = getattr(found, name)
            assert each.value == pytest.approx(getattr(wanted, name))
            assert each.low <= each.value <= each.high
            assert each.high - each.low > 0.1 or name == "gap"  # the same scenes are lucky in all weather


def test_luck_that_two_methods_share_is_no_difference(records):
    (table,) = tables(records)
    collab, teacher = table.row("collab"), table.row("teacher")
    alone, apart = resilience(table, collab).mean, resilience(table, collab, teacher).mean
    assert apart.value == pytest.approx(alone.value - resilience(table, teacher).mean.value)
    assert apart.high - apart.low < 0.1 * (alone.high - alone.low)
    same = resilience(table, collab, collab)
    assert (same.mean.low, same.mean.value, same.mean.high) == (0, 0, 0)


def test_without_draws_there_are_numbers_and_no_intervals(records):
    (table,) = tables([replace(record, draws=[]) for record in records])
    found = resilience(table, table.row("collab"))
    assert found.mean.value > 0
    assert found.mean.low is None
    assert found.mce is None
    assert over_seeds([[0.1, 0.2], []]) is None


def test_a_method_that_was_not_judged_in_all_weather_has_no_resilience(records):
    (table,) = tables([r for r in records if not (r.method == "teacher" and r.judged_in == "rain-5")])
    assert resilience(table, table.row("teacher")) is None
    assert resilience(table, table.row("collab"), table.row("teacher")) is None
    assert [row.method for row in table.rows][:2] == ["collab", "photometric"]


def test_what_failed_stands_beside_what_did_not(records):
    failed = replace(records[0], method="ppkt", condition="all", metrics={}, draws=[], weather="", asked="", error="no")
    (table,) = tables([*records, failed])
    assert table.rows[-1].method == "ppkt"
    assert (table.rows[-1].seeds, table.rows[0].seeds) == (0, 3)
    (alone,) = tables([failed])
    assert alone.metric == ""


@pytest.mark.parametrize(("name", "value"), [("suite_version", 2), ("asked", "another"), ("data_list", "others")])
def test_records_that_do_not_compare_are_refused(records, name, value):
    with pytest.raises(DataError, match=rf"mixes records of {name} .* \(collab, seed 0\).* they do not compare"):
        tables([*records[1:], replace(records[0], **{name: value}, method="other")])


def test_of_nothing_nothing_is_left_and_no_rate_is_told(records):
    nothing = [replace(r, metrics={"miou": 0.0}, draws=[0.0] * 100) for r in records if r.method == "teacher"]
    lucky = [  # a draw of clear air is nothing
        replace(r, draws=[0.0, *r.draws[1:]]) if r.judged_in == "clear" else r for r in records if r.method == "collab"
    ]
    (table,) = tables([*nothing, *lucky])
    none, some = (resilience(table, table.row(name)) for name in ("teacher", "collab"))
    assert (none.mrr, none.gap.value) == (None, 0)
    assert (some.mrr.low, some.gap.low is None) == (None, False)
    assert resilience(table, table.row("collab"), table.row("teacher")).mrr is None
    assert "| teacher | 0.0 [0.0, 0.0] |" in (text := document("s", [table]))
    assert re.search(r"\| teacher .* \| – \|$", text, re.MULTILINE)


def test_rows_of_other_draws_have_no_interval_of_their_difference(records):
    (table,) = tables([replace(r, draws=r.draws[:7]) if r.method == "teacher" else r for r in records])
    apart = resilience(table, table.row("collab"), table.row("teacher"))
    assert apart.mean.value > 0
    assert (apart.mean.low, apart.mean.high) == (None, None)
    (mixed,) = tables([replace(r, draws=r.draws[:7]) if r.judged_in == "clear" else r for r in records])
    assert resilience(mixed, mixed.row("collab")).mean.low is None
