"""What the numbers of a run's report are called, in tables of runs and in wandb. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

HEADLINES = ("clear_probe/adverse", "clear_probe/clear")  # the first that a run has
_PROBES = ("clear_probe", "mixed_probe")
_BEFORE = ("teacher", "untrained")
_AFTER = ("student", "distilled")
_GROUPS = (*_PROBES, "cosine", "start", "gain")


def numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """Name what ``report.json`` says of features; of a run that was not judged, nothing.

    ``clear_probe/adverse`` is the taught network's mIoU in percent of the probe fitted on clear scenes, the mean over
    adverse conditions, and ``clear_probe/miou/fog`` that of one; ``start/clear_probe/adverse`` is that of the network
    before it was taught, and ``gain/clear_probe/adverse`` the difference. IoUs of classes stay in the report.
    """
    features = report.get("features") or {}
    before, after = (dict(_flat(_one(features, names))) for names in (_BEFORE, _AFTER))
    gains = {name: round(value - before[name], 6) for name, value in after.items() if name in before}
    return (
        after
        | {f"start/{name}": value for name, value in before.items()}
        | {f"gain/{name}": value for name, value in gains.items()}
    )


def from_report(name: str) -> bool:
    """Tell whether a number is the report's, where more is better, or a loss."""
    return name.partition("/")[0] in _GROUPS


def _one(features: Mapping[str, Any], names: tuple[str, str]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next((features[name] for name in names if name in features), {})
    return found


def _flat(judged: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for probe in _PROBES:
        given = judged.get(probe) or {}
        for name in ("clear", "adverse"):
            yield from _known(f"{probe}/{name}", given.get(name))
        for condition, value in (given.get("miou") or {}).items():
            yield from _known(f"{probe}/miou/{condition}", value)
    for condition, value in (judged.get("cosine") or {}).items():
        yield from _known(f"cosine/{condition}", value)


def _known(name: str, value: float | None) -> Iterator[tuple[str, float]]:
    if value is not None and math.isfinite(value):  # a split may lack a condition, or a condition its labels
        yield name, float(value)
