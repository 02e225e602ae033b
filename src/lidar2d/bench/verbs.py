"""``lidar2d eval`` and ``lidar2d bench``: their words. Imports torch only for words that are right."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lidar2d import recipe, runs, words
from lidar2d.bench.suite import UNREAD, Cell, Suite, done, load_suite, shard
from lidar2d.errors import UsageError, nearest
from lidar2d.paths import expanded, writable
from lidar2d.results.record import check_name
from lidar2d.results.store import Store

if TYPE_CHECKING:
    from lidar2d.fit.saved import Saved

EVAL_HEADS = ("checkpoint", "method", "protocol", "data", "labels", "seed", "results", "device", "save-images", "name")

_OF_FIT = ("--method.", "--trainer.")  # settings of bench that are those of fit
BENCH_HEADS = ("suite", "method", "only", "shard", "again", "retry", "results", "runs", "root", "device", "trainer")


def evaluate(argv: Sequence[str]) -> str:
    """Judge the networks of a run, or of a recipe as it begins, and return what was found.

    Raises:
        UsageError: for what the user can mend.
    """
    words.check_heads("eval", argv, EVAL_HEADS)
    checkpoint, rest = words.take(argv, "--checkpoint")
    method, rest = words.take(rest, "--method")
    protocol, rest = words.take(rest, "--protocol")
    results, rest = words.take(rest, "--results")
    name, rest = words.take(rest, "--name")
    images, rest = words.take(rest, "--save-images")
    if (checkpoint is None) == (method is None):
        raise UsageError("eval needs --checkpoint RUN, or --method NAME for networks that have not been taught")
    if protocol is None:
        raise UsageError("eval needs a protocol: --protocol ID; `lidar2d list protocols` names them")
    recipe.find("protocols", protocol)
    if method is not None:
        recipe.find("methods", method)
    else:
        assert checkpoint is not None
        runs.saved_recipe(runs.folder_of(expanded(checkpoint)))
    card, rest = words.spell_data(rest)
    _check_read(rest)
    if name is not None:
        check_name(name, "--name")
    folder, pictures = (None if each is None else writable(expanded(each)) for each in (results, images))
    rest, networks = _passed_on(rest)
    if checkpoint is not None and networks:
        raise UsageError(f"{networks[0].partition('=')[0]}: the networks of a run are what they are; leave it out")

    from lidar2d.bench.command import judge_one
    from lidar2d.fit.saved import restore, untrained

    saved: Saved = untrained(method, networks) if method is not None else restore(expanded(str(checkpoint)))
    return judge_one(saved, name or saved.name, protocol, card, rest, folder, pictures)


def _check_read(argv: Sequence[str]) -> None:
    """Refuse settings that eval would not read, and those that stand twice.

    Raises:
        UsageError: naming the first.
    """
    given = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for flag in given:
        if flag.startswith("--data.") and flag.split(".")[1] in UNREAD:
            raise UsageError(f"{flag} belongs to training and says nothing to eval; leave it out")
        if given.count(flag) > 1:
            raise UsageError(f"{flag} is given twice")


def bench(argv: Sequence[str]) -> int:
    """Evaluate what is missing of a suite and return how many cells failed.

    Raises:
        UsageError: for what the user can mend.
    """
    words.check_heads("bench", argv, BENCH_HEADS)
    again, retry = "--again" in argv, "--retry" in argv
    rest, passed = _passed_on([word for word in argv if word not in ("--again", "--retry")])
    name, rest = words.take(rest, "--suite")
    own_shard, rest = words.take(rest, "--shard")
    results, rest = words.take(rest, "--results")
    folder, rest = words.take(rest, "--runs")
    device, rest = words.take(rest, "--device")
    methods, rest = words.several(rest, "--method")
    only, rest = words.several(rest, "--only")
    roots, rest = words.several(rest, "--root")
    if rest:
        raise UsageError(f"bench takes no word '{rest[0]}'")
    if name is None:
        raise UsageError(f"bench needs a suite: --suite NAME; {nearest('', recipe.names('suites'))}")
    suite = load_suite(name)
    places = _pairs(roots)
    cells = _chosen(suite, methods, only)
    cells = cells if own_shard is None else shard(cells, own_shard)
    store = Store(writable(expanded(results or "results")))
    place = writable(expanded(folder) if folder is not None else runs.RUNS / "bench" / suite.name)
    ready = {} if again else done(suite, cells, store.read(suite.name))
    missing = [cell for cell in cells if cell not in ready or (retry and ready[cell])]
    before = sum(ready[cell] for cell in ready if cell not in missing)
    where = f"records  {store.folder / suite.name}"
    if not cells:
        _tell(f"shard {own_shard} has no run: there are fewer than shards")
        return 0
    if not missing:
        failed = f"; {before} of them failed, --retry tries them again" if before else ""
        _tell(f"{len(cells)} cells, all done{failed}\n{where}")
        return before
    _tell(f"{len(cells)} cells, {len(missing)} {'to be judged again' if again else 'missing'}")

    from rich.console import Console

    from lidar2d.bench.command import device_named
    from lidar2d.bench.run import Bench

    placed = Bench(suite, store, place, places, passed, device_named(device or "auto"), Console(stderr=True))
    failures, left = placed.run(missing)
    _tell(
        f"{len(missing) - failures - left} cells done"
        + (f", {failures} failed; --retry tries them again" if failures else "")
        + (f", {left} left to another process" if left else "")
    )
    _tell(where)
    return failures + before


def _chosen(suite: Suite, methods: Sequence[str], only: Sequence[str]) -> list[Cell]:
    """Return the cells of some methods and protocols, or all.

    Raises:
        UsageError: if the suite has no such method or protocol.
    """
    cells = suite.cells()
    for method in methods:
        if method not in suite.methods:
            raise UsageError(f"suite {suite.name} has no method '{method}'; {nearest(method, suite.methods)}")
    protocols = {cell.protocol for cell in cells}
    for each in only:
        if not any(protocol.startswith(each) for protocol in protocols):
            raise UsageError(f"suite {suite.name} has no protocol '{each}'; {nearest(each, protocols)}")
    return [
        cell
        for cell in cells
        if (not methods or cell.method in methods) and (not only or cell.protocol.startswith(tuple(only)))
    ]


def _passed_on(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the words into those of bench, and the settings that every training is given beside the suite's."""
    own: list[str] = []
    passed: list[str] = []
    taking = own
    for word in argv:
        if word.startswith("--"):
            taking = passed if word.startswith(_OF_FIT) else own
        taking.append(word)
    return own, passed


def _pairs(roots: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=FOLDER``.

    Raises:
        UsageError: if one is something else, or there is no such data set or folder.
    """
    found = {}
    for word in roots:
        name, equals, folder = word.partition("=")
        if not equals or not folder:
            raise UsageError(f"--root {word}: give the data set and its folder: --root nuscenes=FOLDER")
        recipe.find("datasets", name)
        if not expanded(folder).is_dir():
            raise UsageError(f"--root {word}: there is no folder {expanded(folder).absolute()}")
        found[name] = folder
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
