"""What the methods that teach a 3D network from images are worth on the synthetic town, and what they cost.

    python benchmarks/family.py --seeds 0 1 2 --out results/studies/town/points.jsonl

Each line of the result is one run of ``lidar2d fit``, as its ``report.json`` has it, with its time and memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from running import call, judged, keep, machine, options

from lidar2d.results.measures import written
from lidar2d.writing import write_atomically

METHODS = ("ppkt", "slidr", "scalr", "olivine", "hvdistill")


def main() -> None:
    given = options(str(__doc__), "methods", list(METHODS), list(METHODS), Path("runs/family"))
    for seed in given.seeds:
        for method in given.methods:
            records = keep(given.out, run(method, seed, given.runs, given.flags), ("method", "seed"))
            print(table(records), end="\n\n", flush=True)


def run(method: str, seed: int, runs: Path, flags: list[str]) -> dict[str, Any]:
    """Train one method with one seed; what an earlier call finished is read, not trained again."""
    folder = runs / f"{method}-{seed}"
    kept = folder / "record.json"
    if not kept.exists():
        resumed = folder.exists()
        words = (
            ["--resume", str(folder)] if resumed else ["--method", method, "--seed", str(seed), "--run", str(folder)]
        )
        cost = call(["fit", *words, *flags])
        report = json.loads((folder / "report.json").read_text())
        record = {
            "method": method,
            "seed": seed,
            "machine": machine(),
            "losses": report["losses"],
            "features": judged(report),
            # of a run that was cut off the whole time is not known
            "seconds": None if resumed else round(cost.seconds),
            "gigabytes": round(cost.gigabytes, 2),
        }
        write_atomically(kept, lambda unfinished: unfinished.write_text(json.dumps(record)))
    record: dict[str, Any] = json.loads(kept.read_text())
    return record


def table(records: list[dict[str, Any]]) -> str:
    """Put mIoU of the linear probe, by method, into a table in Markdown: mean and deviation over the seeds."""
    lines = [
        "| | clear | adverse | gain, clear | gain, adverse | minutes | GB | seeds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    methods = [method for method in METHODS if any(record["method"] == method for record in records)]
    for method in methods:
        mine = [record for record in records if record["method"] == method]
        probes = [
            [record["features"][features]["clear_probe"] for record in mine] for features in ("distilled", "untrained")
        ]
        cells = [_spread([probe[key] for probe in probes[0]]) for key in ("clear", "adverse")]
        cells += [
            _spread([after[key] - before[key] for after, before in zip(*probes, strict=True)], "+")
            for key in ("clear", "adverse")
        ]
        times = [record["seconds"] / 60 for record in mine if record["seconds"] is not None]
        cells.append(f"{max(times):.0f}" if times else "")
        cells.append(f"{max(record['gigabytes'] for record in mine):.1f}")
        lines.append(f"| {' | '.join([method, *cells, str(len(mine))])} |")
    untrained = [record["features"]["untrained"]["clear_probe"] for record in records]
    cells = [_spread([probe[key] for probe in untrained]) for key in ("clear", "adverse")]
    lines.append(f"| {' | '.join(['untrained', *cells, '', '', '', '', ''])} |")
    return "\n".join(lines)


def _spread(values: list[float], sign: str = "") -> str:
    return written(mean(values), 1, sign) + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
