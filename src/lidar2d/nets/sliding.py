"""An image encoder that looks through a window which slides over images too large for it."""

from __future__ import annotations

from torch import Tensor

from lidar2d.errors import SettingError, within
from lidar2d.nets.encoder import ImageEncoder, whole_cells


class Sliding(ImageEncoder):
    """Features of overlapping windows, averaged where they overlap; windows lie on whole cells of the map.

    What a linear head says of these features is the mean of what it says of the windows, as sliding-window inference
    has it. Images no larger than the window are seen whole.

    Args:
        encoder: looks through the window.
        window: pixels: its height and its width.
        step: pixels from one window to the next.
    """

    def __init__(self, encoder: ImageEncoder, window: int = 512, step: int = 341) -> None:
        super().__init__()
        within(8, 8192, window=window)
        if not 1 <= step <= window:
            raise SettingError("step", step, f"it must be at least 1 and at most the window, {window}")
        self.encoder, self.channels, self.stride = encoder, encoder.channels, encoder.stride
        whole = encoder.multiple
        self.window, self.step = (max(1, round(pixels / whole)) * whole // self.stride for pixels in (window, step))

    @property
    def multiple(self) -> int:
        """That of the encoder, pixels."""
        return self.encoder.multiple

    def forward(self, images: Tensor) -> Tensor:
        """Return maps (V, channels, H/stride, W/stride) for images (V, 3, H, W), RGB 0..1."""
        images = whole_cells(images, self.multiple)
        cells = [pixels // self.stride for pixels in images.shape[-2:]]
        size = [min(self.window, each) for each in cells]
        total: Tensor | None = None
        seen = images.new_zeros(1, 1, *cells)
        for top in _starts(cells[0], size[0], self.step):
            for left in _starts(cells[1], size[1], self.step):
                place = (..., slice(top, top + size[0]), slice(left, left + size[1]))
                rows, columns = (slice(at.start * self.stride, at.stop * self.stride) for at in place[1:])
                found = self.encoder(images[..., rows, columns])
                total = found.new_zeros(len(images), self.channels, *cells) if total is None else total
                total[place] += found
                seen[place] += 1
        assert total is not None
        return total / seen


def _starts(cells: int, size: int, step: int) -> list[int]:
    """Return where windows begin along one side; the last one ends with the image."""
    return [*range(0, cells - size, step), cells - size]
