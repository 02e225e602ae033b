"""The run folder: what a run leaves behind, written so that a kill at any moment leaves it usable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from lidar2d.errors import UsageError
from lidar2d.methods.base import Method
from lidar2d.nets.encoder import Encoder
from lidar2d.nets.lora import plain_state
from lidar2d.writing import write_atomically

TRAINED_ON = "trained-on.json"  # facts about the frames


@dataclass(frozen=True)
class RunFolder:
    """One run: its recipe, the state of each stage, the logs, and what came out."""

    path: Path

    @property
    def recipe(self) -> Path:
        """Every key of the run, resolved."""
        return self.path / "recipe.yaml"

    @property
    def start(self) -> Path:
        """The weights before the first step."""
        return self.path / "start.ckpt"

    @property
    def checkpoint(self) -> Path:
        """The weights after the last stage: what the run is for."""
        return self.path / "method.ckpt"

    @property
    def student(self) -> Path:
        """The encoder that was taught, alone: what other runs and programs start from."""
        return self.path / "student.safetensors"

    @property
    def report(self) -> Path:
        """What the features were judged to be worth, as facts."""
        return self.path / "report.json"

    @property
    def picture(self) -> Path:
        """Features before and after, as colours."""
        return self.path / "features.png"

    def last(self, stage: str) -> Path:
        """Where an unfinished stage goes on."""
        return self.path / f"{stage}-last.ckpt"

    def done(self, stage: str) -> Path:
        """The weights after a finished stage."""
        return self.path / f"{stage}-done.ckpt"

    def save_weights(self, path: Path, method: Method) -> None:
        """Write a method's weights, and the settings that those of its encoders depend on."""
        settings = {"points": method.points.settings(), "images": method.images.settings()}
        content = {"state_dict": method.state_dict(), "settings": settings}
        write_atomically(path, lambda unfinished: torch.save(content, unfinished))

    def save_student(self, encoder: Encoder) -> None:
        """Write the weights of one encoder, readable without pickle; low-rank updates are folded in."""
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in plain_state(encoder).items()}
        settings = {"settings": json.dumps(encoder.settings())}
        # save_file itself makes a file that nobody else may read
        write_atomically(self.student, lambda unfinished: unfinished.write_bytes(save(state, settings)))

    def load_json(self, name: str) -> Any:
        """Read facts back.

        Raises:
            UsageError: if the file is missing or unreadable.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path / name}: not readable ({error}); start the run again") from None

    def save_text(self, name: str, text: str) -> None:
        """Write words."""
        write_atomically(self.path / name, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))

    def save_json(self, name: str, content: Any) -> Path:
        """Write facts, keys sorted and floats to six digits, so that runs compare as text."""
        path = self.path / name
        text = json.dumps(_rounded(content), indent=1, sort_keys=True) + "\n"
        write_atomically(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
        return path


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
