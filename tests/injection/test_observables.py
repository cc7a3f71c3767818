"""Observables: an arc is found where it was put, and a row depends on its own pixels alone."""

from __future__ import annotations

import numpy as np
import pytest

from lensctl.astro.lensing import Lens
from lensctl.astro.sersic import Sersic
from lensctl.injection.drawing import Geometry, Source
from lensctl.injection.observables import ARC_CENTRE, BLOCK, names, observe
from lensctl.injection.rendering import Renderer
from lensctl.io.cutouts import npz
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.surveys import ONE_BAND

PSFSIZE = np.array([1.4, 1.25, 1.2])
NOISE = np.array([0.003, 0.004, 0.01])


def galaxy(flux=(3.0, 8.0, 16.0), offset_px=0.0, psfsize=PSFSIZE) -> np.ndarray:
    """A red elliptical in the middle, (S, S, B)."""
    renderer = Renderer(LS_DR10, 101)
    part = Sersic(offset_px * 0.262 - 1.0, 0, 1.0, 0.8, 3.0)
    source = Source("sersic", ((part,),), (1.0,), (0.0,), (0.0, 0.0), 20.0)
    light = renderer.traced(Geometry(Lens(1.0), 0, 0, 1), source, lensed=False)
    return np.moveaxis(renderer.seen(light * np.reshape(flux, (3, 1, 1)), renderer.kernels(psfsize, 2.5)), 0, -1)


def ring(theta_e: float, mag_r: float, at: tuple[float, float] = (0.05, 0.0)) -> np.ndarray:
    renderer = Renderer(LS_DR10, 101)
    source = Source("sersic", ((Sersic(0, 0, 1.0, 0.2, 1.0),),), (1.0,), (0.0,), (0.2, 0.3), 20.0)
    light = renderer.traced(Geometry(Lens(theta_e, 0.9), *at, 4), source)
    flux = 10 ** (0.4 * (22.5 - mag_r - np.array([0.2, 0.0, -0.3])))
    light *= (flux / light.sum(axis=(1, 2)))[:, None, None]
    return np.moveaxis(renderer.seen(light, renderer.kernels(PSFSIZE, 2.5)), 0, -1)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    return (image + np.random.default_rng(seed).normal(0, NOISE, image.shape)).astype(np.float32)


def seen(*images: np.ndarray) -> dict[str, np.ndarray]:
    return observe(np.stack(images), np.tile(PSFSIZE, (len(images), 1)), LS_DR10)


@pytest.mark.parametrize("theta_e", [1.0, 1.4, 2.0, 2.6, 3.2])
def test_the_radius_of_a_ring_is_found(theta_e):
    found = seen(*(noisy(galaxy() + ring(theta_e, 20.0), seed) for seed in range(5)))
    assert found["obs_theta"] == pytest.approx(np.full(5, theta_e), abs=0.35)
    assert (found["obs_snr_g"] > 30).all()
    assert (found["obs_delta_g_minus_r"] < -0.1).all()


def test_brighter_arcs_have_more_signal_and_contrast_and_galaxies_alone_have_little():
    bright, faint, none = (seen(noisy(galaxy() + 10 ** (-0.4 * m) * ring(1.8, 20.0), 1)) for m in (0, 2, 99))
    assert bright["obs_snr_g"] > 3 * faint["obs_snr_g"]
    assert faint["obs_snr_g"] > none["obs_snr_g"]
    assert none["obs_snr_g"] < 8
    assert bright["obs_contrast"] > 3 * faint["obs_contrast"]


def test_one_image_to_a_side_is_asymmetric_and_a_ring_is_not():
    found = seen(noisy(galaxy() + ring(1.8, 20.0), 2), noisy(galaxy() + ring(1.8, 20.0, (1.2, 0.0)), 2))
    assert found["obs_asymmetry"][0] < 0.6 < found["obs_asymmetry"][1]


@pytest.mark.parametrize("level", [(0.01, 0.01, 0.01), (0.02, -0.01, 0.05)])
def test_a_level_of_the_sky_changes_nothing(level):
    image = noisy(galaxy() + ring(1.6, 21.5), 3)
    one, two = seen(image), seen((image + np.array(level, np.float32)).astype(np.float32))
    for name in names(LS_DR10):
        assert two[name] == pytest.approx(one[name], rel=2e-4, abs=2e-4), name


@pytest.mark.parametrize("turn", [lambda i: np.rot90(i), lambda i: i[::-1], lambda i: i.transpose(1, 0, 2)])
def test_a_cutout_turned_or_mirrored_looks_the_same(turn):
    image = noisy(galaxy() + ring(1.6, 20.5), 3)
    one, two = seen(image), seen(np.ascontiguousarray(turn(image)))
    for name in set(names(LS_DR10)) - set(ARC_CENTRE):
        assert two[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9), name


def test_the_place_of_arcs_is_where_they_were_put_and_turns_with_the_cutout():
    arc = ring(1.8, 20.0, (1.2, 0.0))
    images = [noisy(galaxy() + np.roll(arc, shift, axis=(0, 1)), 4) for shift in ((0, 0), (0, 2), (2, 0))]
    x, y = (seen(*images)[name] for name in ARC_CENTRE)
    assert x[0] > 4
    assert y[0] == pytest.approx(0, abs=0.6)
    assert x - x[0] == pytest.approx([0, 2, 0], abs=1)
    assert y - y[0] == pytest.approx([0, 0, 2], abs=1)
    turned = seen(*(np.ascontiguousarray(image.transpose(1, 0, 2)) for image in images))
    assert turned["obs_arc_x_px"] == pytest.approx(y, abs=1e-9)
    assert np.isnan(seen(noisy(galaxy(), 4))["obs_arc_x_px"]).all(), "a galaxy alone has no arcs"


def test_flux_and_noise_in_other_units_change_magnitudes_alone():
    image = noisy(galaxy() + ring(1.6, 20.5), 3)
    one, two = seen(image), seen(4 * image)
    for name in names(LS_DR10):
        expected = one[name]
        if name.startswith("obs_mag"):
            expected = expected - 2.5 * np.log10(4)
        elif name.startswith("art_noise"):
            expected = 4 * expected
        assert two[name] == pytest.approx(expected, rel=1e-5), name


def test_magnitudes_and_noise_are_those_put_in():
    found = seen(noisy(galaxy(), 4), noisy(galaxy(), 5))
    y, x = (np.mgrid[:101, :101] - 50) * 0.262
    within = galaxy()[..., 2][np.hypot(x, y) < 1.5].sum()
    assert 0.5 * 16 < within < 0.8 * 16
    assert found["obs_mag_z"][0] == pytest.approx(22.5 - 2.5 * np.log10(within), abs=0.01)
    for band, noise in zip("grz", NOISE, strict=True):
        assert found[f"art_noise_{band}"] == pytest.approx(np.full(2, noise), rel=0.1)
    assert set(found["art_nan_frac"]) == set(found["art_zero_frac"]) == {0.0}


@pytest.mark.parametrize(("off_px", "least", "most"), [(0.0, 0.0, 0.05), (1.0, 0.1, 0.2), (2.0, 0.2, 0.3)])
def test_the_centre_is_the_galaxys_and_hardly_its_arcs(off_px, least, most):
    host, arc = galaxy(offset_px=off_px), ring(1.2, 20.5, at=(0.9, 0.0))
    assert arc[..., 2].sum() > 0.2 * host[..., 2].sum()
    bare, lensing = seen(noisy(host, 4), noisy(host + arc, 5))["art_offset_px"]
    assert least <= bare <= most
    assert lensing == pytest.approx(bare, abs=0.08)


def test_a_broader_psf_is_less_sharp():
    sharp, broad = (noisy(galaxy(psfsize=factor * PSFSIZE), 6) for factor in (1.0, 1.3))
    found = seen(sharp, broad)
    assert found["art_sharpness_z"][1] < 0.95 * found["art_sharpness_z"][0]


def test_bands_of_unlike_psf_leave_no_ring_of_their_own():
    """Without smoothing to the broadest psfsize, the difference of the PSFs would be taken for an arc."""
    unlike = np.array([1.7, 1.3, 1.0])
    image = noisy(galaxy(flux=(6.0, 16.0, 32.0), psfsize=unlike), 8)
    alike = observe(image[None], unlike[None], LS_DR10)["obs_snr_g"][0]
    assert alike < 0.5 * observe(image[None], np.ones((1, 3)), LS_DR10)["obs_snr_g"][0]


def test_rows_do_not_depend_on_their_neighbours():
    images = [noisy(galaxy() + ring(1 + 0.02 * i, 20.0), i) for i in range(BLOCK + 3)]
    images[1][:] = np.nan
    images[2][40:44, 40:44] = np.nan
    images[3][..., 0] = 0
    together = seen(*images)
    for i in (0, 1, 2, 3, BLOCK, BLOCK + 2):
        alone = seen(images[i])
        assert all(np.array_equal(together[name][i], alone[name][0], equal_nan=True) for name in names(LS_DR10))


def test_pixels_without_data_leave_no_value_or_no_trace():
    empty = np.full((101, 101, 3), np.nan, np.float32)
    holed = noisy(galaxy() + ring(1.8, 20.0), 7)
    whole = seen(holed)
    holed[2:8, 2:8] = np.nan
    found = seen(empty, holed)
    measured = [name for name in names(LS_DR10) if name not in ("art_nan_frac", "art_zero_frac")]
    assert all(np.isnan(found[name][0]) for name in measured)
    assert found["art_nan_frac"] == pytest.approx([1, 36 / 101**2])
    assert found["obs_theta"][1] == whole["obs_theta"][0]
    assert found["obs_snr_g"][1] == pytest.approx(whole["obs_snr_g"][0], rel=0.02)


@pytest.mark.parametrize("place", [(30, 60), (50, 52), (85, 50)])
def test_infinite_pixels_are_no_data(place):
    image = noisy(galaxy() + ring(1.8, 20.0), 7)
    one, two = image.copy(), image.copy()
    at = tuple(slice(start, start + 3) for start in place)
    one[at], two[at] = np.nan, np.inf
    found = seen(one, two)
    for name in names(LS_DR10):
        assert np.array_equal(found[name][:1], found[name][1:], equal_nan=True), name


def test_another_galaxy_in_the_sky_and_holes_in_the_arc_change_little():
    image = noisy(galaxy() + ring(1.8, 20.0), 7)
    crowded, holed = image.copy(), image.copy()
    crowded[86:92, 46:52] += 1.0
    holed[:, 54::3] = np.nan
    one, two, three = seen(image), seen(crowded), seen(holed)
    for name in (*(f"art_noise_{band}" for band in "grz"), "obs_snr_g", "obs_theta"):
        assert two[name] == pytest.approx(one[name], rel=0.05), name
    assert three["obs_snr_g"] == pytest.approx(one["obs_snr_g"] * np.sqrt(5 / 6), rel=0.05)  # a sixth of the ring
    assert three["obs_delta_g_minus_r"] == pytest.approx(one["obs_delta_g_minus_r"], abs=0.02)
    assert three["obs_theta"] == pytest.approx(one["obs_theta"], abs=0.15)


@pytest.mark.parametrize("size", [np.nan, 0.0, -1.0])
def test_without_a_psfsize_nothing_is_seen_of_arcs_and_the_rest_is(size):
    image = noisy(galaxy() + ring(1.8, 20.0), 7)
    found = observe(image[None], np.array([[1.4, size, 1.2]]), LS_DR10)
    for name in names(LS_DR10):
        of_arcs = name.startswith("obs_") and not name.startswith("obs_mag")
        assert np.isnan(found[name][0]) == of_arcs, name


def test_cutouts_without_blank_sky_are_refused():
    assert np.isfinite(observe(np.ones((1, 64, 64, 3), np.float32), PSFSIZE[None], LS_DR10)["art_noise_g"]).all()
    with pytest.raises(InputError, match="cutouts of 51 px have no blank sky"):
        observe(np.ones((1, 51, 51, 3), np.float32), PSFSIZE[None], LS_DR10)


def test_one_band_alone_shows_no_arcs():
    image = noisy(galaxy(), 1)[None, ..., [1]]
    found = observe(image, np.full((1, 1), 1.3), ONE_BAND)
    assert np.isfinite(found["obs_mag_r"][0])
    assert np.isnan(found["obs_theta"][0])


def test_no_rows_and_other_bands_have_their_columns():
    assert tuple(observe(np.zeros((0, 101, 101, 3), np.float32), np.zeros((0, 3)), LS_DR10)) == names(LS_DR10)
    four = np.random.default_rng(0).normal(0, 0.01, (2, 101, 101, 4)).astype(np.float32)
    found = observe(four, np.full((2, 4), 1.3), LS_DR10_GRIZ)
    assert tuple(found) == names(LS_DR10_GRIZ)
    assert "obs_mag_i" in found


def test_real_cutouts_have_observables(real_data):
    files = sorted((real_data / "dr10-cutouts").glob("*.npz"))
    images = np.stack([npz.read_npz(file).cutout for file in files])
    found = observe(images, np.full((len(images), 3), 1.3), LS_DR10)
    assert all(np.isfinite(found[name]).all() for name in names(LS_DR10) if name.startswith("obs_mag"))
    assert ((found["obs_theta"] >= 0.6) & (found["obs_theta"] <= 4.2)).all()
    assert (found["art_noise_g"] < found["art_noise_z"]).all()
