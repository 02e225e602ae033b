"""What air does to a picture: light of the scene is lost on the way, light of the sky comes in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lidar2d.data.weather.corruption import View
from lidar2d.data.weather.light import brightness, displayed, enlarged, linear

_SMALL = 8  # pixels a side that one cell of the dark channel stands for
_PATCH = 3  # cells a side that the dark channel is the least of
_OPAQUE = 0.001  # share of the cells that are taken for air alone: He et al., CVPR 2009


@dataclass(frozen=True)
class Glass:
    """What stands between a scene and a camera: light J of the scene becomes ``kept`` J + ``added``.

    Args:
        kept: (h, w) share, in cells of the view.
        added: (3, h, w) light.
    """

    kept: Tensor
    added: Tensor

    def before(self, other: Glass) -> Glass:
        """Return both, the other one behind this one."""
        return Glass(self.kept * other.kept, self.kept * other.added + self.added)

    def seen(self, light: Tensor) -> Tensor:
        """Return what the camera sees of a scene's light (3, H, W)."""
        size = light.shape[-2], light.shape[-1]
        return torch.addcmul(enlarged(self.added, size), light, enlarged(self.kept, size))


def air_light(light: Tensor) -> Tensor:
    """Return the light (3, 1, 1) of endless air, judged by an image's light (3, H, W).

    As bright as the image is where its dark channel, the least of a patch's pixels and colours, is brightest: He et
    al., "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009. Grey, for drops and flakes scatter all colours
    alike.
    """
    small = F.avg_pool2d(light[None], _SMALL, ceil_mode=True)[0]
    least = -F.max_pool2d(-small.amin(0)[None, None], _PATCH, 1, _PATCH // 2).flatten()
    count = max(1, round(_OPAQUE * len(least)))
    # of equal cells the first, so that the answer does not depend on how they are sorted
    chosen = torch.sort(least, descending=True, stable=True).indices[:count]
    return brightness(small).flatten()[chosen].mean().expand(3, 1, 1)


def haze(through: Tensor, air: Tensor) -> Glass:
    """Return air that lets a share (h, w) of the light through: J t + A (1 - t), Koschmieder's law.

    Args:
        through: t.
        air: A (3, 1, 1), the light of endless air.
    """
    return Glass(through, air * (1 - through))


def veiled(view: View, through: Tensor) -> Tensor:
    """Return the image of a view through air that lets a share (h, w) of the light through."""
    light = linear(view.image)
    return displayed(haze(through, air_light(light)).seen(light))
