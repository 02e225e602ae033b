"""The import law: a layer imports only downward, siblings leave each other alone, and the light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "lidar2d"
# from the ground up; what stands on one line are siblings
LAYERS: list[set[str]] = [
    {"errors", "processes", "docstrings", "writing", "manual", "progress", "environment"},
    {"paths", "wandb_login"},
    {"recipe"},
    {"results", "frame"},
    {"geometry", "runs", "listing", "optimisation"},
    {"complaints"},
    {"words", "arguments"},
    {"nets", "losses", "metrics", "data"},
    {"tasks"},
    {"methods"},
    {"fit"},
    {"bench"},
    {"check", "view", "exchange", "compare", "leaderboard"},
    {"cli"},
]
LIGHT = [
    "errors",
    "writing",
    "paths",
    "manual",
    "environment",
    "wandb_login",
    "recipe",
    "runs",
    "listing",
    "docstrings",
    "words",
    "complaints",
    "arguments",
    "bench.suite",
    "bench.verbs",
    "leaderboard.verbs",
    "compare.verb",
    "compare.plot",
    "cli",
]
SPARSE = {"spconv", "MinkowskiEngine", "torchsparse"}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each imported module's dotted name, and whether it is imported only for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the module in full"
            yield from ((f"{node.module}.{alias.name}", node in guarded) for alias in node.names)


def own(path: Path) -> Iterator[str]:
    """Yield what is imported of this project, without its name: ``data.card.Card``."""
    for name, _ in imports(path):
        if name.startswith("lidar2d."):
            yield name.removeprefix("lidar2d.")


def layer(name: str) -> int:
    found = [level for level, names in enumerate(LAYERS) if name in names]
    assert len(found) == 1, f"'{name}' stands on {len(found)} lines of LAYERS; put each module on one"
    return found[0]


def breach(importer: str, imported: str) -> str:
    """Say which rule an import breaks; an empty text means none."""
    if importer == imported:
        return ""
    if layer(imported) > layer(importer):
        return f"{importer} imports {imported}, which stands above it"
    if layer(imported) == layer(importer):
        return f"{importer} imports its sibling {imported}"
    return ""


def test_a_layer_imports_only_downward_and_siblings_do_not_import_each_other():
    found = []
    for path in modules():
        importer = path.relative_to(SOURCE).with_suffix("").parts[0]
        if importer == "__init__":
            continue
        for name in own(path):
            imported = name.split(".")[0]
            if imported == "__version__":
                continue
            if reason := breach(importer, imported):
                found.append(f"{path.relative_to(SOURCE)}: {reason}")
    assert not found, "\n".join(found)


def test_the_law_itself_tells_up_from_down():
    assert "above" in breach("data", "methods")
    assert "above" in breach("geometry", "nets")
    assert "sibling" in breach("nets", "data")
    assert "sibling" in breach("view", "check")
    assert breach("fit", "methods") == ""
    assert breach("methods", "nets") == ""


def test_methods_do_not_import_each_other():
    for path in (SOURCE / "methods").glob("*.py"):
        others = {name.split(".")[1] for name in own(path) if name.startswith("methods.")}
        assert others <= {"base", "family", "selftaught"}, (
            f"{path.name} imports {others}: move what they share to losses/"
        )


def test_processes_talk_in_one_place():
    for path in modules():
        text = path.read_text(encoding="utf-8")
        named = any(name.startswith("torch.distributed") for name, _ in imports(path))
        if path.name != "processes.py" or path.parent != SOURCE:
            assert not named, f"{path} imports torch.distributed; use lidar2d.processes"
            assert "torch.distributed." not in ast.unparse(ast.parse(text)), f"{path} calls torch.distributed"


def test_sparse_backends_stay_inside_nets_sparse():
    for path in modules():
        used = {name.split(".")[0] for name, _ in imports(path)} & SPARSE
        assert not used or SOURCE / "nets" / "sparse" in path.parents, f"{path} imports {used}"


@pytest.mark.parametrize("name", LIGHT)
def test_what_answers_before_training_imports_no_torch(name: str):
    code = f"import sys, lidar2d.{name}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
