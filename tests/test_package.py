"""What a person installs is complete, and what CI runs is what the README says."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import lidar2d

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_recipes_cards_and_suites_where_the_code_looks_for_them():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for kind in ("methods", "datasets", "benchmarks"):
        assert (ROOT / kind).is_dir()
        assert included[kind] == f"lidar2d/shipped/{kind}"
    code = (ROOT / "src/lidar2d/recipe.py").read_text()
    assert '"shipped" / place' in code


def test_every_dependency_has_the_reason_for_its_bound():
    block = re.search(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    lines = block[1].strip().splitlines()
    assert len(lines) == len(PROJECT["project"]["dependencies"])
    for line in lines:
        assert re.search(r'",\s+# \S', line), line


def test_every_package_that_is_imported_is_declared():
    declared = {re.split(r"[\[<>=]", word)[0] for word in PROJECT["project"]["dependencies"]}
    extras = {
        re.split(r"[\[<>=]", word)[0]
        for group in PROJECT["project"]["optional-dependencies"].values()
        for word in group
    }
    named = {
        "yaml": "pyyaml",
        "PIL": "pillow",
        "skimage": "scikit-image",
        "nuscenes": "nuscenes-devkit",
        "tensorboard": "lightning",
    }
    # sparse backends that people bring themselves, and what comes with torch where it runs
    optional = {"spconv", "MinkowskiEngine", "MinkowskiEngineBackend", "triton"}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for module in {name.split(".")[0] for name in imported} - sys.stdlib_module_names - optional - {"lidar2d"}:
                assert named.get(module, module) in declared | extras, f"{path.name} imports {module}"


def test_ci_runs_the_command_that_the_readme_gives():
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^ +(pip install .*)$", readme, re.MULTILINE)
    assert commands == ["pip install -e . && lidar2d fit --method collab", "pip install -e '.[dev]' && pytest"]
    ci = (ROOT / ".ci/run").read_text()
    assert f"(\n  {commands[1]}\n)" in ci  # in a subshell: `set -e` overlooks a failure on the left of &&
    assert "set -euo pipefail" in ci
    for check in ("ruff check", "ruff format --check", "mypy"):
        assert re.search(rf"^\s*{check}", ci, re.MULTILINE), check
    assert ".ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()


def test_the_readme_points_at_files_that_exist():
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text) + re.findall(r'<img[^>]* src="([^"]+)"', text):
            if not target.startswith("http"):
                assert ((ROOT / page).parent / target).exists(), f"{page} points at {target}"


def test_the_changelog_has_an_open_section_and_the_version_is_one_place():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", lidar2d.__version__)
