"""The gain planted in planes is read back, and added light gets the noise that it says."""

from __future__ import annotations

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from scipy.stats import theilslopes

from lensctl.astro import photon_noise


def planes(
    rng: np.random.Generator, sky: float, gain: float, side: int = 201, step: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Image and invvar of a few bright sources, as a coadd of one sky has them; exposures step in the middle."""
    light = np.zeros((side, side))
    for flux in (30, 60, 200, 400):
        y, x = rng.integers(30, side - 30, 2)
        light[y, x] += flux
    light = gaussian_filter(light, 4)
    gains = np.full((side, side), float(gain))
    gains[:, side // 2 :] *= step
    image = light + rng.standard_normal(light.shape) * np.sqrt((sky + light) / gains)
    return image.astype(np.float32), (gains / (sky + image)).astype(np.float32)


@pytest.mark.parametrize(("sky", "gain"), [(0.11, 12_000), (0.23, 15_000), (2.4, 23_000), (0.11, 3_000)])
@pytest.mark.parametrize("step", [1.0, 1.4])
def test_the_skys_brightness_is_the_planted_one_though_exposures_step(sky, gain, step):
    image, invvar = planes(np.random.default_rng(1), sky, gain, step=step)
    found = photon_noise.sky_of(photon_noise.sample_of(image, invvar))
    assert found.nanomaggy == pytest.approx(sky, rel=0.03)
    assert found.error < 0.05 * sky
    assert found.pixels >= 30


def test_invvar_of_the_sky_alone_tells_no_gain():
    image, _ = planes(np.random.default_rng(2), 0.11, 12_000)
    rng = np.random.default_rng(3)
    invvar = (1e5 * (1 + 0.01 * rng.standard_normal(image.shape))).astype(np.float32)
    found = photon_noise.sky_of(photon_noise.sample_of(image, invvar))
    assert found is None or found.nanomaggy > 30 * 0.11


def test_pixels_with_bits_and_without_data_do_not_count():
    image, invvar = planes(np.random.default_rng(4), 0.11, 12_000)
    clean = photon_noise.sky_of(photon_noise.sample_of(image, invvar)).nanomaggy
    bits = np.zeros(image.shape, np.int32)
    bits[60:90] = 2
    image[60:90] *= 3
    invvar[100:110] = 0
    image[100:105] = np.nan
    assert photon_noise.sky_of(photon_noise.sample_of(image, invvar, bits)).nanomaggy == pytest.approx(clean, rel=0.05)


def test_an_image_without_bright_or_without_blank_pixels_tells_nothing():
    rng = np.random.default_rng(5)
    blank = (0.003 * rng.standard_normal((101, 101))).astype(np.float32)
    weight = np.full((101, 101), 1e5, np.float32)
    assert photon_noise.sky_of(photon_noise.sample_of(blank, weight)) is None
    assert photon_noise.sky_of(photon_noise.sample_of(blank + 1, weight)) is None
    assert photon_noise.sky_of(photon_noise.sample_of(blank, 0 * weight)) is None


@pytest.mark.parametrize(("place", "band", "gain"), [(0, "g", 32_000), (1, "r", 40_000), (2, "z", 32_000)])
def test_the_gain_of_a_real_dr9_coadd_is_the_known_one(real_data, place, band, gain):
    hdus = fits.open(real_data / "dr9-subbrick" / "cutout_59.1067_-30.4848.fits")
    image, invvar = (np.asarray(hdus[1 + 2 * place + i].data, np.float32) for i in (0, 1))
    found = photon_noise.sky_of(photon_noise.sample_of(image, invvar))
    middle = slice(78, 179)
    blank = photon_noise.blank_variance(image[None, middle, middle, None], invvar[None, middle, middle, None])
    assert found.nanomaggy == pytest.approx({"g": 0.111, "r": 0.225, "z": 2.3}[band], rel=0.1)
    assert found.nanomaggy / blank[0, 0] == pytest.approx(gain, rel=0.15)


def test_the_estimator_gives_the_known_value_on_a_real_dr6_coadd(real_data):
    """8,400 e-/nanomaggy in g: resampled from other pixels, so no gain of a camera; the value of this estimator."""
    files = [real_data / "dr6-coadd" / f"legacysurvey-0959p805-{kind}-g.fits.fz" for kind in ("image", "invvar")]
    image, invvar = (fitsio.read(str(file), ext=1) for file in files)
    rows, columns = np.nonzero(invvar > 0)
    rng = np.random.default_rng(0)
    samples = []
    for i in rng.integers(0, len(rows), 60):
        y, x = max(rows[i] - 50, 0), max(columns[i] - 50, 0)
        samples.append(photon_noise.sample_of(image[y : y + 101, x : x + 101], invvar[y : y + 101, x : x + 101]))
    found = photon_noise.sky_of(photon_noise.joined(samples))
    blank = np.median(1 / invvar[(invvar > 0) & (abs(image) * np.sqrt(np.maximum(invvar, 0)) < 3)])
    assert found.nanomaggy / blank == pytest.approx(8_400, rel=0.15)


@pytest.mark.parametrize("radius", [0, 12, 30])
def test_the_nearest_blank_pixels_are_as_near_as_those_of_a_tree(radius):
    """Within a galaxy of some radius there are none; equally near ones are as good as each other."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[-40:41, -50:51]
    blank = (np.hypot(y, x) > radius) & (rng.random(y.shape) < 0.7)
    places = np.array([[40, 50], [0, 0], [80, 100], [20, 90], [41, 60]])
    found = photon_noise._nearest(blank, places)
    assert blank.ravel()[found].all()
    assert all(len(set(row)) == photon_noise.NEIGHBOURS for row in found.tolist())
    rows, columns = np.divmod(found, blank.shape[1])
    away = np.sort(np.hypot(rows - places[:, :1], columns - places[:, 1:]), axis=1)
    expected, _ = cKDTree(np.argwhere(blank)).query(places, photon_noise.NEIGHBOURS)
    assert away == pytest.approx(expected)


@pytest.mark.parametrize("decimals", [(9, 9), (0, 9), (9, 0), (0, 0)])
@pytest.mark.parametrize("count", [2, 3, 31, 60])
def test_the_slope_and_its_error_are_those_of_scipy(count, decimals):
    """With ties too, in either coordinate."""
    x, scatter = np.random.default_rng(count).normal(size=(2, count))
    x, y = x.round(decimals[0]), (2 * x + scatter).round(decimals[1])
    slope, error = photon_noise.theil_sen(x, y)
    theirs = theilslopes(y, x, alpha=0.68)
    assert slope == pytest.approx(theirs.slope)
    assert error == pytest.approx((theirs.high_slope - theirs.low_slope) / 2)


def test_points_in_a_column_have_no_slope():
    assert np.isnan(photon_noise.theil_sen(np.ones(5), np.arange(5.0))).all()


@pytest.mark.parametrize("share", [1.0, 0.9, 0.8, 0.7])
def test_noise_of_light_has_its_variance_in_blocks_and_its_share_in_pixels(share):
    gain, flux = 30_000.0, 0.5
    light = np.full((96, 96), flux)
    kernel = photon_noise.kernel_of_share(share)
    assert sum(kernel) == pytest.approx(1)
    rng = np.random.default_rng(1)
    draws = np.stack([photon_noise.noise_of(light, gain, rng, kernel) for _ in range(300)])[:, 8:-8, 8:-8]
    assert draws.var() == pytest.approx(share * flux / gain, rel=0.02)
    blocks = draws.reshape(300, 10, 8, 10, 8).sum(axis=(2, 4))
    spill = (1 - (1 - share**0.5) * 0.35) ** 2  # of the blocks' rims, which share noise with their neighbours
    assert blocks.var() == pytest.approx(64 * flux / gain, rel=0.02 + (1 - spill))
    whole = np.stack([photon_noise.noise_of(light, gain, rng, kernel) for _ in range(400)]).sum(axis=(1, 2))
    assert whole.var() == pytest.approx(light.size * flux / gain, rel=0.2)


def test_blank_pixels_get_no_noise():
    light = np.zeros((60, 60))
    light[30, 30] = 1.0
    noise = photon_noise.noise_of(light, 100.0, np.random.default_rng(1), photon_noise.kernel_of_share(0.8))
    assert (noise[:28] == 0).all()
    assert noise[30, 30] != 0


@pytest.mark.parametrize("share", [1.0, 0.85])
def test_the_share_of_a_pixel_is_measured_from_blank_sky(share):
    rng = np.random.default_rng(1)
    from scipy.ndimage import convolve1d

    white = rng.standard_normal((4, 101, 101, 2)).astype(np.float32)
    kernel = photon_noise.kernel_of_share(share)
    noise = convolve1d(convolve1d(white, kernel, 1, mode="wrap"), kernel, 2, mode="wrap")
    found = photon_noise.share_in_pixel(noise, np.ones_like(noise), 20)
    assert found.mean() == pytest.approx(share, rel=0.03)


def test_the_variance_of_blank_sky_is_the_median_where_nothing_shines():
    image, invvar = planes(np.random.default_rng(7), 0.11, 12_000, side=101)
    found = photon_noise.blank_variance(image[None, ..., None], invvar[None, ..., None])
    assert found == pytest.approx(np.array([[0.11 / 12_000]]), rel=0.03)
    assert np.isnan(photon_noise.blank_variance(image[None, ..., None], 0 * invvar[None, ..., None])).all()
