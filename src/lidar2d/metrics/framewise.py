"""What metrics keep that judge all frames at the end: boxes and answers, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric


@dataclass(frozen=True)
class Judged:
    """One frame."""

    facts: Tensor  # (K,) about it
    boxes: Tensor  # (M, ...)
    answers: Tensor  # (N, ...)

    @property
    def key(self) -> tuple[bytes, ...]:
        """What orders frames, however they came."""
        return tuple(part.numpy().tobytes() for part in (self.facts, self.boxes, self.answers))


class Framewise(Metric):
    """Keeps frames until all processes have shared them; they come back in an order of their own.

    Args:
        facts: numbers about a frame.
        box: numbers of a box.
        answer: numbers of an answer.
    """

    full_state_update = False

    def __init__(self, facts: int, box: int, answer: int) -> None:
        super().__init__()
        self.widths = {"frames": facts + 2, "boxes": box, "answers": answer}
        for name in self.widths:
            self.add_state(name, [], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        super().reset()
        for name, width in self.widths.items():
            # a process without a frame must share rows of the same width, or the others wait for ever
            setattr(self, name, [torch.zeros(0, width, dtype=torch.float64)])

    def keep(self, facts: Tensor, boxes: Tensor, answers: Tensor) -> None:
        """Add a frame: facts (K,), boxes (M, ...) and answers (N, ...)."""
        counts = facts.new_tensor([len(boxes), len(answers)])
        for name, rows in (("frames", torch.cat([facts, counts])[None]), ("boxes", boxes), ("answers", answers)):
            getattr(self, name).append(rows.detach().double().cpu())

    def kept(self) -> list[Judged]:
        """Return the frames of all processes, in the same order on each."""
        states = [getattr(self, name) for name in self.widths]
        # a list before processes have shared it, and then one tensor
        frames, boxes, answers = (torch.cat(state) if isinstance(state, list) else state for state in states)
        counts = frames[:, -2:].long().T.tolist()
        split = torch.split(boxes, counts[0]), torch.split(answers, counts[1])
        return sorted(map(Judged, frames[:, :-2], *split), key=lambda frame: frame.key)
