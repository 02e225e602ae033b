"""The worked example of methods/README.md works as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_is_a_method_once_its_three_files_are_there(tmp_path):
    text = (ROOT / "methods" / "README.md").read_text()
    files = re.findall(r"^### `(\S+)`\n.*?^```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [Path(name).suffix for name, _ in files] == [".py", ".yaml", ".py"]
    for folder in ("src/lidar2d", "methods", "datasets"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests" / "methods").mkdir(parents=True)
    for name in ("conftest.py", "plain.py"):
        shutil.copy(ROOT / "tests" / "methods" / name, tmp_path / "tests" / "methods")
    for name, content in files:
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(content)

    def run(*command: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "1 passed" in run("pytest", "-q", "-p", "no:cacheprovider", files[2][0])
    assert re.search(r"^symmetric +Symmetric PPKT", run("lidar2d.cli", "list", "methods"), re.MULTILINE)
    told = run("lidar2d.cli", "fit", "--method", "symmetric", "--help")
    assert re.search(r"--method\.back +0\.5 +weight of the direction from pixels to points", told)
