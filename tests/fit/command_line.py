import os
import subprocess
import sys
from pathlib import Path

import tiny_source

SMALL = [
    "--method.points.width", "8", "--method.points.columns", "64", "--method.points.hidden", "16",
    "--method.images.width", "16", "--method.images.weights", "null", "--method.images.channels", "16",
]  # fmt: skip


class CommandLine:
    """Runs ``lidar2d`` in a process of its own, on the tiny data set."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "tiny.yaml").write_text(tiny_source.CARD)
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def logged_out(self) -> "CommandLine":
        """As on a machine where nobody has logged in anywhere."""
        for name in [name for name in self.environment if name.startswith("WANDB_") or name == "NETRC"]:
            del self.environment[name]
        (self.folder / "home").mkdir()
        # but with matplotlib's fonts, which take long to find
        kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self.environment |= {"HOME": str(self.folder / "home"), "XDG_CACHE_HOME": str(kept)}
        return self

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "lidar2d.cli", *words],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that a kill reaches the processes that it starts
        )

    def run(self, *words: str, status: int = 0) -> str:
        process = self.start(*words)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == status, output
        return output

    def fit(self, method: str, run: str, *words: str, status: int = 0) -> str:
        return self.run("fit", "--method", method, "--data", "./tiny.yaml", "--run", run, *SMALL, *words, status=status)
