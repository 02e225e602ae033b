"""A wandb sweep as its agent reads it: every combination of a grid, and the command for each."""

import itertools
from pathlib import Path

import yaml


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def combinations(sweep: dict) -> list[dict]:
    """Every combination of listed values, with the lower ends of all distributions, and with the upper ones."""
    given = sweep["parameters"]
    lists = {name: each["values"] for name, each in given.items() if "values" in each}
    ends = {name: (each["min"], each["max"]) for name, each in given.items() if "values" not in each}
    sides = [{name: end[side] for name, end in ends.items()} for side in ((0, 1) if ends else (0,))]
    chosen = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    return [{**values, **side} for values in chosen for side in sides]


def words(sweep: dict, values: dict) -> list[str]:
    found = []
    for word in sweep["command"]:
        if word == "${args}":
            found += [f"--{name}={value}" for name, value in values.items()]
        else:
            found.append(sweep["program"] if word == "${program}" else word)
    return found
