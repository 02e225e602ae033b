"""Errors of depth, of each image first and then averaged, as the papers on monocular depth report them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from lidar2d.results.robustness import depth_error

NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "silog", "d1", "d2", "d3")

Crop = Literal["none", "garg", "eigen"]
# rows and columns that count: of Garg et al. (KITTI), as shares of the image
_GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
_EIGEN = (45, 471, 41, 601)  # of Eigen et al. (NYUv2), in pixels of its 480x640 images


def errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the errors (9,), in the order of ``NAMES``, of depths (P,) in metres against measured ones (P,).

    ``silog`` is 100 times the standard deviation of the error of log-depth: it forgives a wrong scale.
    """
    prediction, target = prediction.double(), target.double()
    apart, log = prediction - target, prediction.log() - target.log()
    ratio = torch.maximum(prediction / target, target / prediction)
    within = [(ratio < 1.25**power).double().mean() for power in (1, 2, 3)]
    return torch.stack(
        [
            (apart.abs() / target).mean(),
            (apart.square() / target).mean(),
            apart.square().mean().sqrt(),
            log.square().mean().sqrt(),
            log.abs().mean() / torch.log(torch.tensor(10.0, dtype=torch.float64)),
            100 * log.var(unbiased=False).sqrt(),
            *within,
        ]
    )


def crop_mask(crop: Crop, height: int, width: int) -> Tensor:
    """Return which pixels (H, W) of an image count.

    Raises:
        ValueError: if Eigen's crop is asked of images of another size than NYUv2's.
    """
    mask = torch.ones(height, width, dtype=torch.bool)
    if crop == "none":
        return mask
    if crop == "garg":
        top, bottom = int(_GARG[0] * height), int(_GARG[1] * height)
        left, right = int(_GARG[2] * width), int(_GARG[3] * width)
    else:
        if (height, width) != (480, 640):
            raise ValueError(f"Eigen's crop is of 480x640 pixels, not {height}x{width}")
        top, bottom, left, right = _EIGEN
    mask = torch.zeros_like(mask)
    mask[top:bottom, left:right] = True
    return mask


class DepthErrors(Metric):
    """Errors of each image, averaged over images; the same whatever their order and the number of processes.

    Args:
        low: metres: nearer pixels do not count, and predictions are raised to it.
        high: metres: farther pixels do not count, and predictions are lowered to it.
        crop: which pixels of an image count.
    """

    full_state_update = False

    def __init__(self, low: float, high: float, crop: Crop = "none") -> None:
        super().__init__()
        self.low, self.high, self.crop = low, high, crop
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.rows: list[Tensor] | Tensor
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        # a process without an image must share rows of the same width, or the others wait for ever
        self.rows = [torch.zeros(0, len(NAMES), dtype=torch.float64, device=self.device)]

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add images: depths (V, H, W) in metres, predicted and measured; 0 is unmeasured.

        Images without a pixel that counts are left out.
        """
        kept = crop_mask(self.crop, *target.shape[-2:]).to(target.device)
        for guess, true in zip(prediction, target, strict=True):
            valid = kept & (true > self.low) & (true < self.high)
            if valid.any():
                assert isinstance(self.rows, list)
                self.rows.append(errors(guess[valid].clamp(self.low, self.high), true[valid])[None])

    def compute(self) -> dict[str, float]:
        """Return each error, NaN where no pixel counted."""
        found = torch.cat(self.rows) if isinstance(self.rows, list) else self.rows
        if not len(found):
            return dict.fromkeys(NAMES, float("nan"))
        ordered = found.cpu().sort(0).values  # sums of floats depend on their order
        return dict(zip(NAMES, ordered.mean(0).tolist(), strict=True))

    def scores(self, scenes: Sequence[DepthErrors], times: Tensor) -> Tensor:
        """Return 1 less the depth estimation error (R,) of S scenes that count so often (R, S)."""
        rows = [torch.cat(scene.rows) if isinstance(scene.rows, list) else scene.rows for scene in scenes]
        sums, counts = torch.stack([own.sum(0) for own in rows]), times.new_tensor([len(own) for own in rows])
        abs_rel, d1 = (times @ sums[:, NAMES.index(name)] / (times @ counts) for name in ("abs_rel", "d1"))
        return times.new_tensor([1 - depth_error(*each) for each in zip(abs_rel.tolist(), d1.tolist(), strict=True)])
