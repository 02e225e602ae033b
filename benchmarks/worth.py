"""What the LiDAR anchor is worth: Collaborative Distillation beside its baseline, its controls and its oracle.

    python benchmarks/worth.py --seeds 0 1 2 --out results/foundation/collab.jsonl

Each line of the result is one run of ``lidar2d fit`` on the synthetic town, as its ``report.json`` has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean

import yaml

HERE = Path(__file__).resolve().parent
VARIANTS = ("collab", "photometric", "shuffled", "untrained", "oracle")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--runs", type=Path, default=Path("runs/worth"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("flags", nargs="*", help="further flags of `lidar2d fit`, after --")
    given = parser.parse_args()
    records = []
    for seed in given.seeds:
        for variant in given.variants:
            records.append(run(variant, seed, given.runs, given.flags))
            given.out.parent.mkdir(parents=True, exist_ok=True)
            lines = sorted(json.dumps(record, sort_keys=True) for record in records)
            unfinished = given.out.with_name(f".{given.out.name}")
            unfinished.write_text("\n".join(lines) + "\n")
            unfinished.replace(given.out)
            print(table(records), flush=True)


def run(variant: str, seed: int, runs: Path, flags: list[str]) -> dict[str, object]:
    """Train one variant with one seed; what an earlier call finished is read, not trained again."""
    folder = runs / f"{variant}-{seed}"
    if not (folder / "report.json").exists():
        runs.mkdir(parents=True, exist_ok=True)
        recipe = runs / f"{variant}.yaml"
        recipe.write_text(yaml.safe_dump(recipe_of(variant), sort_keys=False))
        shared = runs / f"collab-{seed}"
        words = ["fit", "--resume", str(folder)] if folder.exists() else new_run(recipe, seed, folder, flags)
        if variant in ("shuffled", "oracle") and (shared / "align-done.ckpt").exists() and not folder.exists():
            call([*words, "--print_config"], folder.with_suffix(".yaml"))
            folder.mkdir()
            shutil.move(folder.with_suffix(".yaml"), folder / "recipe.yaml")
            for name in ("start.ckpt", "align-done.ckpt", "align-losses.json"):  # stage 1 is the same
                shutil.copy(shared / name, folder / name)
            words = ["fit", "--resume", str(folder)]
        begun = time.monotonic()
        call(words)
        (folder / "seconds").write_text(str(time.monotonic() - begun))
    report = json.loads((folder / "report.json").read_text())
    return {
        "variant": variant,
        "seed": seed,
        "seconds": round(float((folder / "seconds").read_text())),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "losses": report["losses"],
        "features": {
            name: {
                "cosine": features["cosine"],
                "clear_probe": {key: features["clear_probe"][key] for key in ("miou", "clear", "adverse")},
                "mixed_probe": {key: features["mixed_probe"][key] for key in ("miou", "clear", "adverse")},
            }
            for name, features in report["features"].items()
        },
    }


def new_run(recipe: Path, seed: int, folder: Path, flags: list[str]) -> list[str]:
    return ["fit", "--method", str(recipe), "--seed", str(seed), "--run", str(folder), *flags]


def recipe_of(variant: str) -> dict[str, object]:
    """Return the recipe of a variant: collab's own, with one thing changed."""
    name = "photometric" if variant == "photometric" else "collab"
    recipe = yaml.safe_load((HERE.parent / "methods" / f"{name}.yaml").read_text())
    if variant in ("shuffled", "oracle"):
        recipe["method"]["class_path"] = f"controls.{variant.capitalize()}"
    if variant == "untrained":
        recipe["method"]["init_args"]["align"]["steps"] = 0
    return recipe


def call(words: list[str], out: Path | None = None) -> None:
    paths = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "lidar2d.cli", *words],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE if out else None,
        check=True,
    )
    if out:
        out.write_bytes(done.stdout)


def table(records: list[dict[str, object]]) -> str:
    """Print student minus teacher in points of mIoU, mean over seeds: clear probe, then mixed probe."""
    lines = []
    for probe in ("clear_probe", "mixed_probe"):
        for variant in dict.fromkeys(record["variant"] for record in records):
            mine = [record["features"] for record in records if record["variant"] == variant]
            conditions = list(mine[0]["teacher"][probe]["miou"])
            gains = {
                c: mean(m["student"][probe]["miou"][c] - m["teacher"][probe]["miou"][c] for m in mine)
                for c in conditions
            }
            adverse = mean(m["student"][probe]["adverse"] - m["teacher"][probe]["adverse"] for m in mine)
            shown = "  ".join(f"{c} {gain:+5.1f}" for c, gain in gains.items())
            lines.append(f"{probe:12} {variant:12} {len(mine)} seeds  {shown}  adverse {adverse:+5.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
