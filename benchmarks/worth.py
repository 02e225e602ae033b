"""What the LiDAR anchor is worth: Collaborative Distillation beside its baseline, its controls and its oracle.

    python benchmarks/worth.py --seeds 0 1 2 --out results/studies/foundation/collab.jsonl

Each line of the result is one run of ``lidar2d fit`` on the synthetic town, as its ``report.json`` has it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from running import HERE, call, judged, keep, machine, options

from lidar2d.data.card import load_card
from lidar2d.results.measures import written

VARIANTS = {
    "collab": "Collaborative Distillation",
    "minkunet": "the same, its 3D network MinkUNet, 500 steps of stage 1",
    "photometric": "photometric augmentation alone, no LiDAR",
    "selfdistill": "self-supervision continued on the same images (DINOv2+), no LiDAR",
    "fused": "features made consistent in space (after FiT3D), no 3D network",
    "shuffled": "collab, its 3D targets shuffled among the points of a frame",
    "untrained": "collab, its 3D network never trained",
    "undistorted": "collab, no image distorted photometrically",
    "undistorted-shuffled": "collab, no image distorted, its 3D targets shuffled",
    "oracle": "collab, its targets the teacher's features of the clear twin image, which only a simulator has",
}
BASELINES = ("photometric", "selfdistill", "fused")  # methods of their own
RANDOM = "random"  # a variant whose image network is never trained
OWN_STAGE_1 = ("collab", "minkunet", "untrained", RANDOM, *BASELINES)  # the others go on from collab's


def main() -> None:
    given = options(str(__doc__), "variants", [*VARIANTS, RANDOM], list(VARIANTS), Path("runs/worth"))
    for seed in given.seeds:
        for variant in given.variants:
            records = keep(given.out, run(variant, seed, given.runs, given.flags), ("variant", "seed"))
            print(table(records, "clear_probe"), table(records, "mixed_probe"), sep="\n\n", end="\n\n", flush=True)


def run(variant: str, seed: int, runs: Path, flags: list[str]) -> dict[str, Any]:
    """Train one variant with one seed; what an earlier call finished is read, not trained again."""
    folder = runs / f"{variant}-{seed}"
    if not (folder / "report.json").exists():
        runs.mkdir(parents=True, exist_ok=True)
        recipe = runs / f"{variant}.yaml"
        recipe.write_text(yaml.safe_dump(recipe_of(variant), sort_keys=False))
        shared = runs / f"collab-{seed}"
        words = ["fit", "--resume", str(folder)] if folder.exists() else new_run(recipe, seed, folder, flags)
        if variant not in OWN_STAGE_1 and (shared / "align-done.ckpt").exists() and not folder.exists():
            call([*words, "--print_config"], folder.with_suffix(".yaml"))
            folder.mkdir()
            shutil.move(folder.with_suffix(".yaml"), folder / "recipe.yaml")
            for name in ("start.ckpt", "align-done.ckpt", "align-losses.json"):
                shutil.copy(shared / name, folder / name)
            words = ["fit", "--resume", str(folder)]
        call(words)
    report = json.loads((folder / "report.json").read_text())
    return {
        "variant": variant,
        "seed": seed,
        "machine": machine(),
        "losses": report["losses"],
        "features": judged(report, "cosine"),
    }


def new_run(recipe: Path, seed: int, folder: Path, flags: list[str]) -> list[str]:
    return ["fit", "--method", str(recipe), "--seed", str(seed), "--run", str(folder), *flags]


def recipe_of(variant: str) -> dict[str, Any]:
    """Return the recipe of a variant: collab's own, with one thing changed."""
    name = variant if variant in BASELINES else "collab"
    recipe = yaml.safe_load((HERE.parent / "methods" / f"{name}.yaml").read_text())
    if variant.startswith("undistorted"):
        recipe["method"]["init_args"]["distorted"] = 0.0
    if variant.endswith("shuffled"):
        recipe["method"]["class_path"] = "controls.Shuffled"
    if variant == "oracle":
        recipe["method"]["class_path"] = "controls.Oracle"
    if variant == "minkunet":
        recipe["method"]["init_args"]["points"] = {"class_path": "lidar2d.nets.minkunet.MinkUNet", "init_args": {}}
        recipe["method"]["init_args"]["align"]["steps"] = 500  # a step takes ten times as long without a GPU
    if variant == RANDOM:
        recipe["method"]["init_args"]["images"]["init_args"]["weights"] = None
        recipe["method"]["init_args"]["anchor"]["steps"] = 0
    if variant in ("untrained", RANDOM):
        recipe["method"]["init_args"]["align"]["steps"] = 0
    return recipe


def table(records: list[dict[str, Any]], probe: str) -> str:
    """Put the teacher's mIoU and what each variant gains on it into a table in Markdown; means over the seeds."""
    card = load_card("synthetic")
    conditions = (*card.clear, *card.adverse)
    lines = [
        f"| | {' | '.join(conditions)} | adverse | seeds |",
        "|---|" + "---:|" * (len(conditions) + 2),
    ]

    def row(title: str, variant: str, sign: str, minus: str | None) -> str:
        mine = [record["features"] for record in records if record["variant"] == variant]

        def value(pick: Callable[[dict[str, Any]], float]) -> str:
            found = (pick(m["student" if minus else "teacher"]) - (pick(m[minus]) if minus else 0) for m in mine)
            return written(mean(found), 1, sign)

        by_condition = [value(lambda judged, c=c: judged[probe]["miou"][c]) for c in conditions]
        return f"| {' | '.join([title, *by_condition, value(lambda judged: judged[probe]['adverse'])])} | {len(mine)} |"

    first = next((r["variant"] for r in records if r["variant"] != RANDOM), RANDOM)
    lines.append(row("the teacher's mIoU", first, "", None))
    done = {record["variant"] for record in records}
    if RANDOM in done:
        lines.append(row("mIoU of random weights", RANDOM, "", None))
    lines += [row(title, variant, "+", "teacher") for variant, title in VARIANTS.items() if variant in done]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
