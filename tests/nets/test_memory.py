"""What a step of the published network takes, measured by the benchmark that users run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "speed" / "memory.py"


@pytest.mark.slow
@pytest.mark.parametrize("voxels", ["cylindrical", "Cartesian"])
def test_a_step_of_minkunet34c_takes_less_than_1500_megabytes(voxels, tmp_path):
    name, out = f"MinkUNet34C, {voxels}", tmp_path / "memory.json"
    subprocess.run([sys.executable, BENCHMARK, "--network", name, "--out", out], check=True)
    found = json.loads(out.read_text())["MB"][name]
    # PyTorch itself, which is larger where it is built for CUDA, is not counted
    assert found["growth"] + found["weights"] < 1500
    assert found["growth"] > found["weights"]
