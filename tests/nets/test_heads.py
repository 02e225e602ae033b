import torch

from lidar2d.nets.heads import LinearHead, MLPHead


def test_a_head_on_a_map_is_the_head_on_each_cell():
    features = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    cells = features.permute(0, 2, 3, 1).reshape(-1, 5)
    for head in (LinearHead(5, 7).double(), MLPHead(5, 7, hidden=6).double()):
        mapped = head(features)
        assert mapped.shape == (2, 7, 3, 4)
        torch.testing.assert_close(mapped.permute(0, 2, 3, 1).reshape(-1, 7), head(cells), atol=1e-12, rtol=0)


def test_the_linear_head_is_affine_and_the_mlp_is_not():
    a, b = torch.randn(2, 4, 5, dtype=torch.float64)
    linear, mlp = LinearHead(5, 3).double(), MLPHead(5, 3, hidden=8).double()
    torch.testing.assert_close(linear((a + b) / 2), (linear(a) + linear(b)) / 2)
    assert not torch.allclose(mlp((a + b) / 2), (mlp(a) + mlp(b)) / 2, atol=1e-4)
