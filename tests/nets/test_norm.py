"""The batch norm of points where there are too few to have a spread."""

import pytest
import torch
from torch import nn

from lidar2d.nets.norm import BatchNorm


def norm() -> BatchNorm:
    layer = BatchNorm(3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0, 1])
def test_a_point_alone_becomes_the_bias_and_is_not_remembered(count, dtype):
    layer, x = norm(), torch.randn(count, 3, dtype=dtype, requires_grad=True)
    before = {key: value.clone() for key, value in layer.named_buffers()}
    y = layer(x)
    assert y.dtype == dtype
    assert torch.equal(y, layer.bias.to(dtype).expand(count, 3))
    y.sum().backward()
    assert not x.grad.any()
    assert not layer.weight.grad.any()
    assert torch.equal(layer.bias.grad, torch.full((3,), float(count)))
    for key, value in layer.named_buffers():
        assert torch.equal(value, before[key]), key


def test_two_points_are_normalised_and_remembered_as_by_torch():
    layer, x = norm(), torch.randn(2, 3)
    reference = nn.BatchNorm1d(3)
    reference.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), reference(x))
    torch.testing.assert_close(layer.state_dict(), reference.state_dict())
    assert int(layer.num_batches_tracked) == 1


def test_in_evaluation_one_point_is_normalised_by_what_is_remembered():
    layer, x = norm().eval(), torch.randn(1, 3)
    layer.running_mean.normal_()
    wanted = (x - layer.running_mean) / (layer.running_var + layer.eps).sqrt() * layer.weight + layer.bias
    torch.testing.assert_close(layer(x), wanted)
