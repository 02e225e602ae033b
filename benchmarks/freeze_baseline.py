"""Freezes the scores of one row as the baseline that corruption errors (mCE) of its protocol are ratios to.

    python benchmarks/freeze_baseline.py weather seg2d-lin/town@1 teacher --name town-seg2d-weather-v1

It reads results/SUITE and writes benchmarks/baselines/NAME.json, means over seeds. A file that is there already is left
alone: numbers that were published beside it would change their meaning. Raise its version by hand, and say why.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean
from typing import Any

from lidar2d.errors import UsageError
from lidar2d.leaderboard.board import Row, Table, tables
from lidar2d.results.measures import score
from lidar2d.results.record import CLEAR, spelt
from lidar2d.results.store import Store
from lidar2d.writing import write_atomically

FOLDER = Path(__file__).parent / "baselines"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("protocol")
    parser.add_argument("method")
    parser.add_argument("--name", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    path = FOLDER / f"{given.name}.json"
    if path.exists():
        parser.error(f"{path} is frozen already")
    table, row = _found(given.results, given.suite, given.protocol, given.method)
    text = json.dumps(frozen(given.name, table, row), indent=2) + "\n"
    write_atomically(path, lambda unfinished: unfinished.write_text(text))
    print(path)


def _found(results: Path, suite: str, protocol: str, method: str) -> tuple[Table, Row]:
    for table in tables(Store(results).read(suite)):
        row = table.row(method)
        fits = table.kind.protocol == protocol and table.kind.weather and table.kind.whole
        if fits and row is not None and table.judged[method] is not None:
            return table, row
    raise UsageError(f"{results / suite} has no {method} in all bad weather under {protocol}, with all labels")


def frozen(name: str, table: Table, row: Row) -> dict[str, Any]:
    """Return what the file says."""

    def mean(condition: str) -> float:
        found = [score(record.metrics) for record in row.by_condition[condition]]
        return round(fmean(value for value in found if value is not None), 6)

    scores = {c: [mean(spelt(c, severity)) for severity in table.severities] for c in table.corruptions}
    severities = ", ".join(map(str, table.severities))
    return {
        "version": 1,
        "name": name,
        "network": f"{row.method}: {row.about.backbone}",
        "citation": "measured by lidar2d",
        "table": f"results/{table.kind.suite}, severities {severities}, means over {row.seeds} seeds",
        "score": table.metric if table.metric != "abs_rel" else "1 - DEE",
        "unit": "share",
        "severities": len(table.severities),
        "clear": mean(CLEAR),
        "scores": scores,
        "data": table.kind.data,
        "protocol": table.kind.protocol,
        "weather": table.kind.weather,
        "method": row.method,
        "judged": table.severities,
    }


if __name__ == "__main__":
    main()
