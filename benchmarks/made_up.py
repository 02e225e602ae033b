"""Records that nobody measured, on which the leaderboard is tried; their citation, commit and devices say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lidar2d.results.measures import score
from lidar2d.results.record import CLEAR, Record

# what each method keeps of a score in the worst weather, from 0 (nothing) to 1, and what it has on clear days
STRENGTHS = {
    "teacher": (0.25, 0.52),
    "random": (0.1, 0.12),
    "collab": (0.7, 0.51),
    "photometric": (0.55, 0.505),
    "selfdistill": (0.3, 0.49),
    "ppkt": (0.5, 0.42),
    "slidr": (0.53, 0.43),
    "olivine": (0.6, 0.46),
    "hvdistill": (0.48, 0.41),
}
HARM = {
    **{"fog": 1.0, "rain": 0.7, "snow": 0.9, "wet_ground": 0.35, "night": 0.8, "spray": 0.5, "beam_loss": 0.6},
    **{"crosstalk": 0.4, "cross_sensor": 0.75, "motion_blur": 0.45, "exposure": 0.55, "jpeg": 0.3, "lens_dirt": 0.65},
    **{"camera_loss": 0.85},
}
DAYS = {"all": 2, "day": 0, "dusk": 1, "fog": 4, "night": 4, "rain": 2, "snow": 3}  # and what they harm, as a severity
WEATHER = ("fog", "rain", "snow", "wet_ground", "night")
CLASSES = ("car", "truck", "bus", "pedestrian", "bicycle", "motorcycle", "barrier", "vegetation", "sidewalk", "manmade")
PROTOCOLS = ("seg2d-lin/town@1", "depth-lin/town@1", "seg3d-lp/town@1", "det3d-lp/town@2")
DRAWS = 100
AGAINST = ("teacher", "random")  # rows that others are compared with
_ERROR = "CUDA out of memory. Tried to allocate 2.40 GiB; give a smaller --trainer.batch_size"


def weather(
    methods: Sequence[str] = tuple(STRENGTHS),
    protocols: Sequence[str] = PROTOCOLS,
    corruptions: Sequence[str] = WEATHER,
    severities: Sequence[int] = (1, 3, 5),
    seeds: Sequence[int] = (0, 1, 2),
) -> list[Record]:
    """Make records of a suite in bad weather; the last method's last seed fails under the last protocol."""
    conditions = [(CLEAR, 0), *((name, severity) for name in corruptions for severity in severities)]
    found = []
    for number, (method, protocol, seed) in enumerate((m, p, s) for m in methods for p in protocols for s in seeds):
        about = Record("weather", method, "synthetic", "all", 0, protocol, 100, seed, **_facts(method, number))
        if len(methods) > 1 and (method, protocol, seed) == (methods[-1], protocols[-1], seeds[-1]):
            found.append(replace(about, error=_ERROR))
            continue
        for condition, severity in conditions:
            value = _score(method, protocol, condition, severity, seed)
            judged = {"condition": condition, "severity": severity, "weather": "weather-v1@1"}
            numbers = _judged(protocol, value, condition, severity, seed)
            seen = {"fingerprint": f"{number % 997 + 9000 + severity:012x}"} if severity else {}
            found.append(replace(about, **judged, **numbers, **seen))
    return found


def clean(methods: Sequence[str] = ("collab", "photometric", "ppkt", "slidr", "olivine")) -> list[Record]:
    """Make records of a suite whose frames have conditions of their own."""
    found = []
    for number, (method, seed) in enumerate((method, seed) for method in methods for seed in range(3)):
        for condition, harm in DAYS.items():
            protocol = "seg2d-lin/town@1"
            value = _score(method, protocol, "fog" if harm else CLEAR, harm, seed)
            about = Record("clean", method, "synthetic", condition, 0, protocol, 100, seed, **_facts(method, number))
            found.append(replace(about, **_judged(protocol, value, condition, harm, seed)))
    return found


def papers() -> list[Record]:
    """Make records of numbers that stand in no paper, of several shares of the labels and in bad weather."""
    found = []
    teachers = ("ResNet-50 MoCoV2", "ViT-S/14 DINOv2")
    pairs = [(method, each) for method in ("random", "ppkt", "slidr", "seal", "superflow") for each in teachers]
    for number, (method, teacher) in enumerate(pairs):
        if method == "random" and number:
            continue
        name = method if teacher.startswith("ResNet") else f"{method}-dinov2-s"
        facts = {
            "source": "paper",
            "citation": "made up, in no paper: table 0",
            "backbone": "MinkUNet34",
            "teacher": "" if method == "random" else teacher,
            "uses_text_supervision": method == "seal",
            "selection_rule": "not told",
        }
        for labels in (1, 5, 10, 25, 100):
            metrics = {"miou": round(float(30 + 9 * np.log10(labels)) + number + 0.01 * labels, 2)}
            found.append(
                Record("published", name, "nuscenes", "all", 0, "seg3d-ft/superflow@1", labels, 0, metrics, **facts)
            )
        for condition, harm in (*HARM.items(), (CLEAR, 0.0)):
            where = ("published", name, "nuscenes", condition, 0, "seg3d-ft/superflow@1", 100, 0)
            metrics = {"miou": 70 + number - 30 * harm}
            found.append(Record(*where, metrics, weather="robo3d@1", **facts))
        where = ("published", name, "nuscenes", "corrupted", 0, "seg3d-ft/superflow@1", 100, 0)
        found.append(Record(*where, {"mce": 110.0 - number, "mrr": 70.0 + number}, weather="robo3d@1", **facts))
    return found


def everything() -> list[Record]:
    """Make records of every kind."""
    return [*weather(), *clean(), *papers()]


def many(count: int = 10_000) -> list[Record]:
    """Make at least so many records, as a suite of five severities has them."""
    corruptions, severities, seeds = tuple(HARM), (1, 2, 3, 4, 5), (0, 1, 2)
    each = (1 + len(corruptions) * len(severities)) * len(seeds) * len(PROTOCOLS)
    methods = [f"{name}-{number}" if number else name for number in range(9) for name in STRENGTHS]
    return weather(methods[: -(-count // each) + 1], PROTOCOLS, corruptions, severities, seeds)


def long(count: int = 10_000) -> list[Record]:
    """Make so many records of one table, each of a method of its own."""
    return [
        replace(record, method=f"{record.method}-{number}", seed=0)
        for number, record in enumerate(_endless(clean(), count))
        if record.condition == "all" or number < count
    ]


def _endless(records: Sequence[Record], count: int) -> Iterator[Record]:
    whole = [replace(record, condition="all") for record in records]
    return (whole[number % len(whole)] for number in range(count))


def _facts(method: str, number: int) -> dict[str, object]:
    image = method.partition("-")[0] in ("teacher", "random", "collab", "photometric", "selfdistill")
    return {
        "teacher": "" if method.startswith("random") else "SmallConv town-supervised",
        "backbone": "SmallConv" if image else "RangeView",
        "backend": "" if image else "torch",
        "pretrain_frames": 0 if method.startswith(("teacher", "random")) else 5040,
        "selection_rule": "last, rate 0.03 of 3 on val",
        "frames": 100,
        "recipe": f"{number % 89 + 7000:012x}",
        "weights": f"{number % 83 + 8000:012x}",
        "data_list": "ad80297802fb",
        "asked": "8335b879f960",
        "shown": "images as they are, chosen on tune",
        "commit": "made up",
        "version": "0.1.0",
        "devices": "no device: made up",
        "seconds": 200.0 + number % 40,
        "peak_gib": 1.2 + number % 7 / 10,
    }


def _score(method: str, protocol: str, condition: str, severity: int, seed: int) -> float:
    """Return a score from 0 to 1."""
    stem, _, copy = method.partition("-")
    kept, clear = STRENGTHS[stem]
    luck = np.random.default_rng([seed, len(method) + int(copy or 0), PROTOCOLS.index(protocol)]).normal(0, 0.006)
    harm = 0.75 * HARM.get(condition, 0.0) * (severity / 5) ** 0.8 * (1 - kept)
    return float(clear * (1 - harm) + luck)


def _judged(protocol: str, value: float, condition: str, severity: int, seed: int) -> dict[str, object]:
    """Return the numbers of a score, and its draws."""
    metrics = _metrics(protocol, value, seed)
    lucky = np.random.default_rng([severity, len(condition)]).normal(0, 0.012, DRAWS) + (score(metrics) or 0)
    return {"metrics": metrics, "draws": [float(f"{each:.4g}") for each in lucky]}


def _metrics(protocol: str, score: float, seed: int) -> dict[str, float]:
    if protocol.startswith("depth"):
        error = 1.15 * (1 - score) ** 2
        return {"abs_rel": error, "sq_rel": 6 * error, "rmse": 14 * error, "d1": score + 0.3, "d2": score / 2 + 0.6}
    if protocol.startswith("det3d"):
        return {"ap3d": 100 * score, "ap3d/car": 112 * score, "ap3d/pedestrian": 84 * score, "apbev": 104 * score}
    own = np.random.default_rng(seed).uniform(0.6, 1.3, len(CLASSES))
    ious = {f"iou/{name}": float(min(100.0, 100 * score * share)) for name, share in zip(CLASSES, own, strict=True)}
    return {"miou": 100 * score, "accuracy": 100 * min(1.0, score + 0.3), **ious}
