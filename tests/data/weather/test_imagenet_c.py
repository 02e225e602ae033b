"""imagenet-c-compat: slow, obvious twins of what each corruption does, and what all of them have in common."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from scipy.stats import chisquare, poisson
from skimage.feature import canny

from lidar2d.data.card import load_card
from lidar2d.data.weather.corruption import View
from lidar2d.data.weather.frames import Bad, corrupt, fingerprint
from lidar2d.data.weather.imagenet_c import blur, colour, digital, noise, outdoors, water
from lidar2d.data.weather.table import load_table
from lidar2d.errors import UsageError

CARD = load_card("synthetic")
TABLE = load_table("imagenet-c-compat")
NAMES = list(TABLE.corruptions)
WITHOUT_LUCK = {"brightness", "contrast", "saturate", "color_quant", "defocus_blur", "zoom_blur", "pixelate", "jpeg"}
NOT_IN_ORDER = {"saturate", "snow", "glass_blur"}  # as published: paler, then stronger; fewer flakes; fewer rounds


def rng(seed=0):
    return np.random.default_rng(seed)


def unseen():
    raise AssertionError("distance was looked for")


def view(image):
    return View(image, unseen, torch.eye(3), torch.eye(4), None, 0)


def photograph(height=60, width=90, seed=0):
    """Return smooth colours with edges and a little noise."""
    own, (v, u) = rng(seed), np.mgrid[:height, :width]
    planes = [np.sin(u / 9 + k) * np.cos(v / 7 - k) + ((u // 17 + v // 13 + k) % 3 - 1) for k in range(3)]
    shown = 128 + 55 * np.stack(planes) + own.normal(0, 4, (3, height, width))
    return torch.from_numpy(shown.clip(0, 255).astype(np.uint8))


def done(corruption, image, seed=0):
    return corruption.picture(view(image), rng(seed))


def close(found, expected):
    """Compare with float64 shares of white that are rounded down; a little less than whole may be either."""
    apart = np.abs(found.numpy().astype(int) - np.floor(np.clip(expected, 0, 1) * 255 + 1e-5).astype(int))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


# ---- all of them


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_the_pictures_alone_repeats_to_the_bit_and_asks_for_no_distance(day, name):
    token = fingerprint(day)
    for severity in (1, 3, 5):
        bad = Bad(TABLE, name, severity)
        assert bad.corruption.cameras
        assert not bad.corruption.lidar
        found = corrupt(day, bad, CARD)
        assert torch.equal(found.points, day.points)
        assert found.images.shape == day.images.shape
        assert torch.equal(found.images * 255, (found.images * 255).round())
        assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
        assert fingerprint(corrupt(day, bad, CARD)) == fingerprint(found)
    assert fingerprint(day) == token
    image = photograph()
    assert torch.equal(done(bad.corruption, image, 1), done(bad.corruption, image, 2)) == (name in WITHOUT_LUCK)


@pytest.mark.parametrize("name", NAMES)
def test_more_severity_changes_more(name):
    image = photograph(240, 320)
    change = [float((done(level, image).float() - image).abs().mean()) for level in TABLE.corruptions[name]]
    assert len(change) == 5
    assert min(change) > 0
    if name not in NOT_IN_ORDER:
        assert change == sorted(change)


@pytest.fixture(scope="module")
def large():
    return photograph(900, 1600)


@pytest.mark.parametrize("name", NAMES)
def test_it_works_at_the_camera_resolution_and_leaves_its_input(name, large):
    before = large.clone()
    found = done(TABLE.at(name, 4), large)
    assert found.shape == large.shape
    assert found.dtype == torch.uint8
    assert torch.equal(large, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_pictures_are_no_trouble(name, value):
    image = torch.full((3, 61, 47), value, dtype=torch.uint8)
    found = done(TABLE.at(name, 5), image)
    assert found.shape == image.shape
    still = {"contrast", "defocus_blur", "zoom_blur", "pixelate", "jpeg", "elastic", "glass_blur", "motion_blur"}
    if name in still:
        assert torch.equal(found, image)


# ---- colour


def through_hsv(image, change):
    expected = np.empty(image.shape)
    for row, column in np.ndindex(*image.shape[1:]):
        hue, pure, value = colorsys.rgb_to_hsv(*(image[:, row, column].numpy() / 255))
        expected[:, row, column] = colorsys.hsv_to_rgb(hue, *(min(each, 1) for each in change(pure, value)))
    return expected


def coloured():
    image = photograph(20, 30)
    image[:, :3, :3] = 0
    image[:, 4:6, 4:6] = 90  # grey has no hue
    return image


def test_brightness_is_v_of_hsv():
    image = coloured()
    close(done(colour.Brightness(0.3), image), through_hsv(image, lambda s, v: (s, v + 0.3)))


@pytest.mark.parametrize(("times", "more"), [(0.3, 0.0), (2.0, 0.0), (20.0, 0.2)])
def test_saturation_is_s_of_hsv(times, more):
    image = coloured()
    close(done(colour.Saturate(times, more), image), through_hsv(image, lambda s, v: (s * times + more, v)))


def test_contrast_is_about_the_mean_of_each_colour():
    image = photograph()
    mean = image.double().mean((1, 2), keepdim=True)
    close(done(colour.Contrast(0.3), image), ((image - mean) * 0.3 + mean).numpy() / 255)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_fewer_bits_are_pillows_posters(bits):
    image = photograph()
    expected = ImageOps.posterize(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()), bits)
    assert torch.equal(done(colour.ColourDepth(bits), image).permute(1, 2, 0), torch.from_numpy(np.array(expected)))


# ---- noise


def test_photons_are_those_of_poissons_law():
    grey = torch.full((3, 200, 300), 77, dtype=torch.uint8)
    found = done(noise.ShotNoise(12), grey).flatten().numpy()
    steps = np.floor(np.arange(13) / 12 * 255 + 1e-6)
    expected = poisson(12 * 77 / 255).pmf(np.arange(13))
    expected[-1] = 1 - expected[:-1].sum()
    seen = np.array([(found == step).sum() for step in steps])
    assert seen.sum() == len(found)
    assert chisquare(seen, expected * len(found)).pvalue > 1e-3
    assert not done(noise.ShotNoise(3), torch.zeros(3, 8, 8, dtype=torch.uint8)).any()


def test_noise_has_its_standard_deviation():
    grey = torch.full((3, 200, 300), 128, dtype=torch.uint8)
    for made, spread in (
        (noise.GaussianNoise(0.08), 0.08 * 255),
        (noise.SpeckleNoise(0.15), 0.15 * 128),
        (noise.IsoNoise(400, 0.06), np.hypot(0.06 * 255, np.sqrt(128 / 255 / 400) * 255)),
    ):
        found = done(made, grey).double()
        assert float(found.std()) == pytest.approx(spread, rel=0.02)
        assert float(found.mean()) == pytest.approx(127.5, abs=0.5)  # rounded down
    assert not done(noise.SpeckleNoise(0.6), torch.zeros(3, 8, 8, dtype=torch.uint8)).any()


def test_low_light_falls_with_the_square():
    image = torch.zeros(3, 100, 300, dtype=torch.uint8)
    image[:, :, 100:200], image[:, :, 200:] = 100, 200
    found = done(noise.Dark(0.4, 9000, 0.001), image).double()
    means = [float(found[:, :, start : start + 100].mean()) for start in (0, 100, 200)]
    assert means == pytest.approx([0, 0.4 * 255 / 4, 0.4 * 255], abs=1)


def test_impulses_are_as_often_black_as_white():
    grey = torch.full((3, 200, 300), 128, dtype=torch.uint8)
    found = done(noise.ImpulseNoise(0.2), grey)
    shares = [float((found == value).double().mean()) for value in (0, 128, 255)]
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.005)


# ---- blur


def test_folding_is_convolution():
    image = photograph() / 255
    kernel = rng().random((7, 11))
    kernel /= kernel.sum()
    for edge, mode in (("reflect", "mirror"), ("replicate", "nearest")):
        expected = np.stack([ndimage.convolve(plane.double().numpy(), kernel, mode=mode) for plane in image])
        np.testing.assert_allclose(blur.folded(image, kernel, edge), expected, atol=1e-5)


@pytest.mark.parametrize(("radius", "soft"), [(3, 0.1), (6, 0.5), (10, 0.5)])
def test_out_of_focus_is_a_disc(radius, soft):
    kernel = blur.disc(radius, soft)
    assert kernel.shape[0] == kernel.shape[1] == 2 * max(radius, 8) + 1
    assert kernel.sum() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1])
    middle = len(kernel) // 2
    assert kernel[middle, middle + radius + 3 :].sum() == 0
    assert kernel[middle, middle] == pytest.approx(1 / (np.pi * radius**2), rel=0.1)
    image = photograph()
    expected = np.stack([ndimage.correlate(plane.double().numpy() / 255, kernel, mode="mirror") for plane in image])
    close(done(blur.Defocus(radius, soft), image), expected)


def test_motion_is_half_a_bell_along_a_way():
    image, angle = photograph(), np.radians(rng().uniform(-45, 45))
    weight = np.exp(-0.5 * (np.arange(21) / 3) ** 2)
    expected = np.zeros(image.shape)
    for place, share in enumerate(weight / weight.sum()):
        down, right = -int(np.ceil(place * np.sin(angle) - 0.5)), -int(np.ceil(place * np.cos(angle) - 0.5))
        rows = np.clip(np.arange(60) - down, 0, 59)
        columns = np.clip(np.arange(90) - right, 0, 89)
        expected += share * image.numpy()[:, rows[:, None], columns] / 255
    close(done(blur.Motion(10, 3), image), expected)


def test_zoom_is_the_mean_of_larger_middles():
    image = photograph()
    expected = image.double().numpy() / 255
    factors = np.arange(1, 1.21, 0.02)
    for factor in factors:
        height, width = (int(np.ceil(size / factor)) for size in image.shape[1:])
        top, left = (60 - height) // 2, (90 - width) // 2
        middle = image.double().numpy()[:, top : top + height, left : left + width] / 255
        expected = expected + ndimage.zoom(middle, (1, factor, factor), order=1)[:, :60, :90]
    wanted = np.floor(expected / (len(factors) + 1) * 255 + 1e-5)
    apart = done(blur.Zoom(1.21, 0.02), image).numpy() - wanted
    assert np.abs(apart).max() <= 1  # each of the larger ones has eight bits, too
    assert (apart != 0).mean() < 0.1
    assert abs(apart.mean()) < 0.06


@pytest.mark.parametrize(
    ("height", "width", "reach", "rounds"), [(14, 19, 2, 2), (9, 30, 1, 1), (31, 13, 4, 2), (37, 53, 3, 3)]
)
def test_pixels_are_scattered_as_the_loop_has_it(height, width, reach, rounds):
    own, expected = rng(3), np.arange(height * width).reshape(height, width)
    for _ in range(rounds):
        shape = (height - 2 * reach, width - 2 * reach)
        drawn = own.integers(4 * reach**2, size=shape, dtype=np.uint8).astype(int)
        down, right = drawn // (2 * reach) - reach, drawn % (2 * reach) - reach
        for i, row in enumerate(range(height - reach, reach, -1)):
            for j, column in enumerate(range(width - reach, reach, -1)):
                expected[row, column] = expected[row + down[i, j], column + right[i, j]]
    found = blur.scattered((height, width), reach, rounds, rng(3))
    np.testing.assert_array_equal(found.reshape(height, width), expected)


def test_an_image_smaller_than_the_scatter_is_left():
    np.testing.assert_array_equal(blur.scattered((4, 4), 2, 1, rng()), np.arange(16))


# ---- pixels and rubber


def test_pixels_are_means_over_squares():
    image = photograph()
    found = done(digital.Pixelate(0.5), image).double()
    means = image.double().unfold(1, 2, 2).unfold(2, 2, 2).mean((-2, -1))
    expected = means.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert float((found - expected).abs().max()) <= 1  # Pillow rounds after rows and after columns


def test_rubber_moves_what_is_near_together():
    size = 120
    ramp = torch.arange(size, dtype=torch.uint8).expand(3, size, size).contiguous()
    assert torch.equal(done(digital.Elastic(0.0), ramp), ramp)
    moved = done(digital.Elastic(60.0), ramp).double()[0] - ramp[0]
    inside = moved[10:-10, 10:-10]
    assert 0.5 < float(inside.std()) < 5
    assert float((inside[:, 1:] - inside[:, :-1]).abs().mean()) < 0.7 * float(inside.std())
    by_hand = 60.0 * 0.005 * size * ndimage.gaussian_filter(2 * rng().random((2, size, size)) - 1, (0, 1.2, 1.2))[0]
    assert float(inside.std()) == pytest.approx(by_hand[10:-10, 10:-10].std(), rel=0.2)


# ---- outdoors


def test_clouds_are_diamonds_and_squares():
    side, smooth, own = 8, 1.7, rng(5)
    expected, step, wild = np.zeros((side, side)), side, 100.0
    while step > 1:
        half, count = step // 2, side // step
        square, across, down = (own.random((count, count), dtype=np.float32) * 2 - 1 for _ in range(3))
        each = [(i * step, j * step) for i in range(count) for j in range(count)]

        def at(row, column):
            return expected[row % side, column % side]

        for i, j in each:
            corners = at(i, j) + at(i + step, j) + at(i, j + step) + at(i + step, j + step)
            expected[i + half, j + half] = corners / 4 + wild**2 * square[i // step, j // step]
        for i, j in each:
            around = at(i, j) + at(i, j + step) + at(i - half, j + half) + at(i + half, j + half)
            expected[i, j + half] = around / 4 + wild**2 * across[i // step, j // step]
            around = at(i, j) + at(i + step, j) + at(i + half, j - half) + at(i + half, j + half)
            expected[i + half, j] = around / 4 + wild**2 * down[i // step, j // step]
        step, wild = half, wild / smooth
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(outdoors.plasma((6, 8), smooth, rng(5)), expected[:6], atol=1e-5)


def test_fog_leaves_the_brightest_as_bright():
    image = photograph()
    found = done(outdoors.PlasmaFog(2.0, 2.0), image) / 255
    clouds = outdoors.plasma((60, 90), 2.0, rng())
    close((found * 255).byte(), (image.double().numpy() / 255 + 2 * clouds) / (1 + 2 / (int(image.max()) / 255)))


def test_snow_is_paler_and_the_same_upside_down():
    grey = torch.full((3, 80, 120), 60, dtype=torch.uint8)
    found = done(TABLE.at("snow", 3), grey)
    least = 0.7 * 60 / 255 + 0.3 * (1.5 * 60 / 255 + 0.5)
    assert int(found.min()) == int(least * 255)
    assert torch.equal(found, found.flip(-2, -1))
    assert float((found > found.min()).double().mean()) > 0.1
    streaks = found[0].double()
    along, across = (float((streaks.diff(dim=axis)).abs().mean()) for axis in (0, 1))
    assert along < across  # they fall


def test_water_brightens_and_mud_is_brown():
    grey = torch.full((3, 200, 300), 120, dtype=torch.uint8)
    water = done(TABLE.at("spatter", 2), grey)
    assert int(water.min()) == 120
    assert 0.05 < float((water[2] > 120).double().mean()) < 0.3
    assert float((water[2] - water[0].double()).mean()) > 0  # turquoise
    mud = done(TABLE.at("spatter", 4), grey)
    covered = mud[0] < 100
    assert 0.02 < float(covered.double().mean()) < 0.5
    thickest = mud.flatten(1)[:, int(mud[0].flatten().argmin())].tolist()
    assert thickest == pytest.approx([63, 42, 20], abs=8)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_rims_are_those_of_canny(level):
    spatter = TABLE.at("spatter", level)
    liquid = ndimage.gaussian_filter(rng().normal(spatter.mean, spatter.spread, (90, 130)), spatter.soft)
    thickness = np.floor(255 * np.where(liquid < spatter.least, 0, liquid))
    expected = canny(thickness, sigma=1e-3, low_threshold=50, high_threshold=150)
    assert 20 < expected.sum() < 4000
    np.testing.assert_array_equal(water.rims(torch.from_numpy(thickness)), expected)


def test_nothing_has_no_rim_and_does_not_glitter():
    nothing = torch.zeros(20, 30)
    assert not water.rims(nothing).any()
    assert not water.glitter(nothing).any()


def test_distance_to_the_rim_is_euclids():
    rim = rng().random((70, 110)) < 0.002
    expected = ndimage.distance_transform_edt(~rim).clip(max=20)
    np.testing.assert_allclose(water.from_rim(rim), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: colour.Brightness(2), "more is 2"),
        (lambda: colour.Contrast(-1), "kept is -1"),
        (lambda: colour.Saturate(-1, 0), "times is -1"),
        (lambda: colour.ColourDepth(0), "bits is 0"),
        (lambda: noise.GaussianNoise(-1), "spread is -1"),
        (lambda: noise.SpeckleNoise(-1), "spread is -1"),
        (lambda: noise.ShotNoise(0), "photons is 0"),
        (lambda: noise.IsoNoise(25, -1), "spread is -1"),
        (lambda: noise.Dark(2, 60, 0.1), "light is 2"),
        (lambda: noise.ImpulseNoise(1.5), r"share is 1\.5"),
        (lambda: blur.Defocus(0, 0.5), "radius is 0"),
        (lambda: blur.Glass(1, 0, 1), "reach is 0"),
        (lambda: blur.Motion(10, 0), "soft is 0"),
        (lambda: blur.Zoom(0.5, 0.1), r"most is 0\.5"),
        (lambda: digital.Pixelate(0), "kept is 0"),
        (lambda: digital.Elastic(-1), "strength is -1"),
        (lambda: outdoors.PlasmaFog(1, 0), "smooth is 0"),
        (lambda: outdoors.StreakSnow(0, 0, 0.5, 0, 1, 1, 1), r"zoom is 0\.5"),
        (lambda: outdoors.Spatter(0, 0, 0, 0, 1, False), "soft is 0"),
    ],
)
def test_values_without_meaning_are_told(build, told):
    with pytest.raises(UsageError, match=told):
        build()
