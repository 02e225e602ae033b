import jsonargparse
import pytest
import torch
import torch.nn.functional as F

from lidar2d.frame import Pairs
from lidar2d.nets.encoder import ImageEncoder, PointEncoder, read, whole_cells
from lidar2d.nets.small import SmallConv


def pairs_at(view: torch.Tensor, pixel: torch.Tensor) -> Pairs:
    return Pairs(torch.arange(len(view)), view, pixel, torch.ones(len(view)))


def random_pairs(views: int, height: int, width: int, count: int, seed: int = 0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    pixel = torch.rand(count, 2, generator=generator, dtype=torch.float64) * torch.tensor([width, height])
    return pairs_at(torch.randint(views, (count,), generator=generator), pixel)


@pytest.mark.parametrize(("cells", "image"), [((7, 13), (28, 52)), ((6, 15), (90, 160)), ((9, 4), (9, 4))])
def test_reading_equals_enlarging_then_indexing(cells, image):
    features = torch.randn(3, 5, *cells, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    large = F.interpolate(features, size=image, mode="bilinear", align_corners=False)
    view, row, column = (index.flatten() for index in torch.meshgrid(*map(torch.arange, (3, *image)), indexing="ij"))
    found = read(features, pairs_at(view, torch.stack([column, row], dim=1).double() + 0.5), image)
    torch.testing.assert_close(found, large[view, :, row, column], atol=1e-12, rtol=0)


def test_reading_equals_grid_sample_between_pixels_and_at_borders():
    features = torch.randn(4, 3, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pairs = random_pairs(4, 48, 72, 500)
    grid = pairs.pixel / torch.tensor([72, 48]) * 2 - 1
    expected = torch.stack(
        [
            F.grid_sample(features[v : v + 1], g.view(1, 1, 1, 2), align_corners=False, padding_mode="border").view(3)
            for v, g in zip(pairs.view, grid, strict=True)
        ]
    )
    torch.testing.assert_close(read(features, pairs, (48, 72)), expected, atol=1e-12, rtol=0)


def test_reading_has_right_gradients():
    features = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    pairs = random_pairs(2, 12, 16, 9)
    assert torch.autograd.gradcheck(lambda f: read(f, pairs, (12, 16)), (features,))


def test_reading_does_not_depend_on_memory_layout_and_keeps_the_features_dtype():
    features = torch.randn(2, 8, 5, 6)
    pairs = random_pairs(2, 20, 24, 30)
    inner = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(read(features, pairs, (20, 24)), read(inner, pairs, (20, 24)))
    assert read(features.bfloat16(), pairs, (20, 24)).dtype == torch.bfloat16


def test_reading_no_pair_gives_no_row():
    assert read(torch.randn(2, 8, 5, 6), random_pairs(2, 20, 24, 0), (20, 24)).shape == (0, 8)


def test_encoders_are_chosen_by_type_from_a_recipe():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--images", type=ImageEncoder)
    parser.add_argument("--points", type=PointEncoder)
    chosen = parser.parse_args(
        [
            *("--images", "lidar2d.nets.small.SmallConv", "--images.width", "16"),
            *("--points", "lidar2d.nets.minkunet.MinkUNet", "--points.channels", "8"),
        ]
    )
    built = parser.instantiate(chosen)
    assert isinstance(built.images, SmallConv)
    assert built.points.channels == 8
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args(["--images", "lidar2d.nets.minkunet.MinkUNet"])


def test_images_become_whole_cells_and_a_ramp_stays_in_place():
    ramp = ((torch.arange(101) + 0.5) / 101).expand(1, 3, 75, 101)
    found = whole_cells(ramp, 8)
    assert found.shape == (1, 3, 72, 104)
    expected = (torch.arange(104) + 0.5) / 104
    torch.testing.assert_close(found[0, 0, 40, 2:-2], expected[2:-2], atol=1e-4, rtol=0)
    assert whole_cells(found, 8) is found
    assert whole_cells(ramp[..., :3], 8).shape == (1, 3, 72, 8)
