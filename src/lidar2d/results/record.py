"""One number of a table, with everything that says what it means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lidar2d.errors import DataError, UsageError

SCHEMA = 1  # goes up when a field changes its meaning

_LARGEST = 1e300  # of a number
_HALF = re.compile("[\ud800-\udfff]")  # half of a character, as a damaged escape leaves it: no file can have one
_NAME = re.compile(r"[^\W_][\w.+@-]{0,99}")
_DIGITS = 6  # of floats, so that files are the same on every machine that agrees so far
_FEW_DIGITS = 4  # of draws, which are many and spread out

Source = Literal["measured", "paper", "smoke"]

WEATHER = "weather-v1"  # the table of corruptions where none is named
CLEAR = "clear"  # the condition of frames that a corruption could be laid over, and is not
_NO_CORRUPTION = (CLEAR, "all")
_SPELT = re.compile(r"(.+)-([1-5])")


def spelt(corruption: str, severity: int) -> str:
    """Return the condition of frames under a corruption, such as ``fog-3``."""
    return f"{corruption}-{severity}"


def by_corruption(records: Iterable[Record], metric: str) -> dict[str, list[float]]:
    """Return a number of one evaluation's records at every severity of every corruption."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record.severity and metric in record.metrics:
            found.setdefault(record.condition, []).append(record.metrics[metric])
    return found


def severity_of(condition: str) -> tuple[str, int]:
    """Split a condition such as ``fog-3`` into the corruption and its severity; others have severity 0."""
    found = _SPELT.fullmatch(condition)
    return (found[1], int(found[2])) if found else (condition, 0)


def check_name(name: str, what: str) -> str:
    """Return a name that files can have.

    Raises:
        UsageError: if it is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} is {name[:40]!r}; give at most 100 letters, digits and . + - _ @, a letter or a digit first"
        )
    return name


@dataclass(frozen=True)
class Record:
    """What one cell of a suite came to.

    The first fields say which cell it is; no two records of a suite agree in all of them.
    """

    suite: str
    method: str
    data: str  # name of the card it was judged on
    condition: str  # of the frames it was judged on; "all" for all
    severity: int  # of a corruption, 1..5; 0 is none
    protocol: str  # such as seg3d-lp/slidr@1
    labels: int  # percent of the labels that heads were trained with
    seed: int
    metrics: dict[str, float] = field(default_factory=dict)  # by name, in the units of docs/evaluation.md
    draws: list[float] = field(default_factory=list)  # score, 0 to 1, of resampled scenes, the same for all methods
    source: Source = "measured"
    error: str = ""  # why there are no metrics; "" where there are
    teacher: str = ""
    backbone: str = ""
    backend: str = ""  # of sparse convolution
    uses_text_supervision: bool = False
    pretrain_frames: int = 0
    selection_rule: str = "last"  # which checkpoint, and which of several heads
    suite_version: int = 1
    frames: int = 0  # that were judged
    recipe: str = ""  # first 12 digits of SHA-256
    weights: str = ""
    data_list: str = ""  # of the frames' tokens
    weather: str = ""  # table of the corruption, with its version, such as weather-v1@1
    fingerprint: str = ""  # of what the sensors saw under the corruption: first 12 digits of SHA-256
    asked: str = ""  # of the protocol's file
    # how frames were read: image size, sweeps, cameras, range; what heads were chosen on; if a corruption reads labels
    shown: str = ""
    commit: str = ""
    version: str = ""
    devices: str = ""
    seconds: float = 0.0
    peak_gib: float = 0.0
    citation: str = ""  # of a published number
    schema: int = SCHEMA

    @property
    def cell(self) -> tuple[str | int, ...]:
        """What no other record of the suite has."""
        return (
            *(self.suite, self.method, self.data, self.condition, self.severity),
            *(self.protocol, self.labels, self.seed, self.source),
        )

    @property
    def judged_in(self) -> str:
        """The condition with its severity, such as ``fog-3``."""
        return spelt(self.condition, self.severity) if self.severity else self.condition

    @property
    def evaluation(self) -> tuple[str | int, ...]:
        """What records that were measured together share: they differ in the condition alone."""
        return (self.suite, self.method, self.data, self.protocol, self.labels, self.seed, self.source)

    def line(self) -> str:
        """Return the record as a line of JSON, keys in order; fields that say nothing are left out."""
        given = {each.name: rounded(getattr(self, each.name)) for each in fields(Record)}
        given["draws"] = [float(f"{value:.{_FEW_DIGITS}g}") for value in self.draws]
        empty = _empty()
        kept = {key: value for key, value in given.items() if key == "schema" or value != empty[key]}
        return json.dumps(kept, sort_keys=True, ensure_ascii=False, allow_nan=False)


def parse(line: str) -> Record:
    """Read a line of JSON.

    Raises:
        DataError: saying what is wrong with it.
    """
    try:
        given = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON: {error}") from None
    if not isinstance(given, dict):
        raise DataError(f"no record, but {type(given).__name__}")
    if given.get("schema") != SCHEMA:
        raise DataError(f"has schema {given.get('schema')}; this version reads {SCHEMA}")
    hints = get_type_hints(Record)
    if unknown := sorted(set(given) - set(hints)):
        raise DataError(f"unknown field '{unknown[0]}'")
    if missing := [each.name for each in fields(Record) if _default(each) is MISSING and each.name not in given]:
        raise DataError(f"missing field '{missing[0]}'")
    for key, value in given.items():
        if not _fits(value, hints[key]):
            raise DataError(f"{key} is {value!r:.60}")
        texts = value if isinstance(value, dict) else [value] if isinstance(value, str) else []
        if any(map(_HALF.search, texts)):
            raise DataError(f"{key} is {value!r:.60}; it holds half of a character")
    record = Record(**given)
    _must_mean_something(record)
    return record


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _must_mean_something(record: Record) -> None:
    """Refuse what no measurement gives.

    Raises:
        DataError: naming the field.
    """
    for name in ("suite", "method", "data", "condition", "protocol"):
        if not getattr(record, name):
            raise DataError(f"{name} is empty")
    if "/" not in record.protocol or "@" not in record.protocol:
        raise DataError(f"protocol '{record.protocol}' is not of the form task/name@version")
    if not 0 <= record.severity <= 5:
        raise DataError(f"severity is {record.severity}; it is 0 to 5")
    if record.severity and (record.condition in _NO_CORRUPTION or not _NAME.fullmatch(record.condition)):
        raise DataError(f"condition is {record.condition!r:.60}, which has no severity")
    if not 0 <= record.labels <= 100:
        raise DataError(f"labels is {record.labels}; it is a percentage")
    if bool(record.metrics) == bool(record.error):
        raise DataError("needs either metrics or an error")
    if (record.source == "paper") != bool(record.citation):
        raise DataError("published numbers have a citation, and no others")
    if any(not -_LARGEST <= value <= 1 for value in record.draws):
        raise DataError("draws has a score above 1, or no number")
    numbers = {f"metric {name}": value for name, value in record.metrics.items()}
    for name, value in {**numbers, "seconds": record.seconds, "peak_gib": record.peak_gib}.items():
        if not abs(value) <= _LARGEST:
            raise DataError(f"{name} is {value!s:.20}")


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(type(v) in (int, float) for v in value.values())
    if get_origin(hint) is list:
        return isinstance(value, list) and all(type(v) in (int, float) for v in value)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint


def rounded(value: Any) -> Any:
    """Return a float with as many digits as files of records have, or a mapping of such; all else as it is."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


@cache
def _empty() -> dict[str, Any]:
    """Return what fields say that say nothing."""
    return {each.name: _default(each) for each in fields(Record)}


def _default(each: Any) -> Any:
    return each.default_factory() if each.default_factory is not MISSING else each.default
