"""A window that slides over images: on whole cells, averaged where windows overlap."""

import pytest
import torch
from torch import nn

from lidar2d.errors import UsageError
from lidar2d.nets.encoder import ImageEncoder
from lidar2d.nets.images import TimmEncoder
from lidar2d.nets.sliding import Sliding


class Means(ImageEncoder):
    """The mean colour of each cell, and in a fourth channel the mean of the whole image that was seen."""

    channels, stride = 4, 4

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, images):
        self.sizes.append(tuple(images.shape[-2:]))
        cells = nn.functional.avg_pool2d(images, 4)
        whole = images.mean((1, 2, 3), keepdim=True).expand(-1, 1, *cells.shape[-2:])
        return torch.cat([cells, whole], 1)


def test_images_no_larger_than_the_window_are_seen_whole():
    net = Means()
    images = torch.rand(2, 3, 32, 40)
    assert torch.equal(Sliding(net, 40, 30)(images), net(images))
    assert net.sizes == [(32, 40)] * 2


def test_what_windows_say_of_a_cell_is_averaged():
    net = Means()
    images = torch.rand(2, 3, 32, 60)
    found = Sliding(net, 32, 20)(images)
    assert net.sizes == [(32, 32)] * 3  # from columns 0, 20 and 28
    torch.testing.assert_close(found[:, :3], nn.functional.avg_pool2d(images, 4))
    means = {left: images[..., left : left + 32].mean((1, 2, 3)) for left in (0, 20, 28)}
    for column, lefts in {0: (0,), 6: (0, 20), 7: (0, 20, 28), 12: (20, 28), 14: (28,)}.items():
        wanted = sum(means[left] for left in lefts) / len(lefts)
        torch.testing.assert_close(found[:, 3, :, column], wanted[:, None].expand(-1, 8))


def test_a_linear_head_says_of_them_what_it_says_of_the_windows_on_average():
    net, head = Means(), nn.Conv2d(4, 5, 1)
    images = torch.rand(1, 3, 48, 48)
    wanted = torch.zeros(1, 5, 12, 12)
    times = torch.zeros(12, 12)
    for top in (0, 4):
        for left in (0, 4):
            wanted[..., top : top + 8, left : left + 8] += head(
                net(images[..., 4 * top : 4 * top + 32, 4 * left : 4 * left + 32])
            )
            times[top : top + 8, left : left + 8] += 1
    torch.testing.assert_close(head(Sliding(net, 32, 16)(images)), wanted / times)


def test_windows_of_networks_with_several_strides_are_multiples_of_the_coarsest():
    net = TimmEncoder("resnet18", weights=None, level=(1, 4)).eval()
    assert (net.stride, net.multiple) == (4, 32)
    found = Sliding(net, 70, 40)(torch.rand(1, 3, 100, 150))
    assert found.shape == (1, net.channels, 24, 40)  # of 96 x 160 pixels


def test_a_step_beyond_the_window_would_leave_gaps():
    with pytest.raises(UsageError, match="step is 40; it must be at least 1 and at most the window, 32"):
        Sliding(Means(), 32, 40)
