"""A decoder read at pixels is the decoder read as a whole, in a fraction of the memory."""

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lidar2d.frame import Pairs
from lidar2d.nets.decoder import Decoder

SIZE = (224, 416)


def some_pairs(count: int, views: int) -> Pairs:
    generator = torch.Generator().manual_seed(0)
    row, column = (torch.randint(pixels, (count,), generator=generator) for pixels in SIZE)
    view = torch.randint(views, (count,), generator=generator)
    pixel = torch.stack([column, row], 1) + 0.5
    return Pairs(torch.arange(count), view, pixel, torch.ones(count))


def allocated(work) -> int:
    """Return the most bytes that were held at once, from the events of the allocator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    held = most = 0
    for event in sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(56, 104), (7, 13), (1, 1)])
@pytest.mark.parametrize("frozen", [False, True])
def test_reading_at_pixels_equals_gathering_from_the_whole_map(align_corners, shape, frozen):
    torch.manual_seed(0)
    decoder = Decoder(32, 16, align_corners)
    maps, pairs = torch.randn(6, 32, *shape, requires_grad=not frozen), some_pairs(4096, 6)
    whole: Tensor = decoder(maps, SIZE)
    column, row = (pairs.pixel - 0.5).long().unbind(1)
    wanted = whole[pairs.view, :, row, column]
    assert (decoder.at(maps, pairs, SIZE) - wanted).abs().max() / wanted.abs().max() < 1e-6


# a frozen ResNet-50 of stride 4, of stride 32, a ViT, and an image network that trains
@pytest.mark.parametrize(
    ("channels", "shape", "frozen"),
    [(2048, (56, 104), True), (2048, (7, 13), True), (384, (16, 29), True), (64, (14, 26), False)],
)
def test_reading_at_pixels_needs_a_twentieth_of_the_memory(channels, shape, frozen):
    decoder = Decoder(channels, 64).requires_grad_(False)
    maps, pairs = torch.randn(6, channels, *shape, requires_grad=not frozen), some_pairs(4096, 6)
    whole = allocated(lambda: decoder(maps, SIZE))
    assert allocated(lambda: decoder.at(maps, pairs, SIZE)) < whole / 20


def test_means_of_segments_are_made_in_full_precision_whatever_the_rest_is():
    decoder = Decoder(8, 16)
    maps = torch.randn(2, 8, 6, 9, generator=torch.Generator().manual_seed(5))
    segment = (torch.arange(24)[:, None] // 8 * 5 + torch.arange(36) // 8).expand(2, -1, -1)
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder.pooled(maps, segment, 15)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, decoder.pooled(maps, segment, 15), atol=2e-2, rtol=0)
