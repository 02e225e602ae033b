"""KITTI's 3D object benchmark over the frames of a split."""

from __future__ import annotations

from torch import Tensor

from lidar2d.metrics.framewise import Framewise
from lidar2d.metrics.kitti import LEVELS, OVERLAP, Found, Truth, curves


class KittiPrecision(Framewise):
    """Average precision of cars, pedestrians and cyclists, in space and from above, at each level, in percent.

    It is the official one: precision is taken at the scores at which recall comes nearest to 0, 1/40, ..., 1. Where
    fewer boxes than places count, perfect answers stay below 100.
    """

    def __init__(self) -> None:
        super().__init__(facts=0, box=9, answer=10)

    def update(self, answers: Tensor, truth: Tensor) -> None:
        """Add frames.

        Args:
            answers: (B, N, 10) x y z l w h yaw, class as a place in :data:`OVERLAP` (-1 is none), score, and height in
                the image in pixels, which excuses small ones.
            truth: (B, M, 9) x y z l w h yaw, class (-1 is none), level.
        """
        for named, boxes in zip(answers, truth, strict=True):
            self.keep(boxes.new_zeros(0), boxes[boxes[:, 7] >= 0], named[named[:, 7] >= 0])

    def compute(self) -> dict[str, float]:
        """Return ``ap3d/CLASS/LEVEL`` and ``apbev/CLASS/LEVEL`` over 40 places of recall, and with ``-r11`` over 11.

        Without a class it is the mean over the three; ``ap3d/moderate`` is what papers call 3D mAP.
        """
        frames = self.kept()
        boxes, answers = [frame.boxes for frame in frames], [frame.answers for frame in frames]
        truth = [Truth(own[:, :7], own[:, 7].long(), own[:, 8].long()) for own in boxes]
        found = [Found(own[:, :7], own[:, 7].long(), own[:, 8], own[:, 9]) for own in answers]
        made = curves(truth, found, list(OVERLAP.values()))
        numbers: dict[str, float] = {}
        for kind in ("3d", "bev"):
            for level, name in enumerate(LEVELS):
                own = [made[row, kind][level] for row in range(len(OVERLAP))]
                numbers |= _named(f"ap{kind}", name, [curve.r40 for curve in own])
                numbers |= _named(f"ap{kind}-r11", name, [curve.r11 for curve in own])
        return numbers


def _named(title: str, level: str, values: list[float]) -> dict[str, float]:
    found = {f"{title}/{name}/{level}": value for name, value in zip(OVERLAP, values, strict=True)}
    return {f"{title}/{level}": sum(values) / len(values), **found}
