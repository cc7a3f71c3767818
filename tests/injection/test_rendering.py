"""What is rendered has the flux, colours and PSF that it says, beside an independent renderer and a real PSF."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.io import fits

from lensctl.astro import moffat
from lensctl.astro.lensing import Lens
from lensctl.astro.moffat import Psf
from lensctl.astro.sersic import Sersic
from lensctl.injection import rendering
from lensctl.injection.drawing import Geometry, Source
from lensctl.injection.psf_images import kernels_of
from lensctl.injection.rendering import Renderer
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ

SIZES = np.array([1.38, 1.26, 1.20])


def plain(part: Sersic, colours: tuple[float, float] = (0.3, 0.5)) -> Source:
    return Source("sersic", ((part,),), (1.0,), (0.0,), colours, 21.0)


def clumpy() -> Source:
    clumps = (Sersic(0.2, 0.1, 0.4, 0.06, 0.5), Sersic(-0.1, 0.2, 0.6, 0.05, 0.5))
    return Source("clumpy", ((Sersic(0, 0, 1.0, 0.3, 1.0),), clumps), (0.7, 0.3), (0.0, 0.2), (0.3, 0.5), 21.0)


@pytest.mark.parametrize("seeds", np.arange(200).reshape(20, 10).tolist())
def test_a_sersic_profile_through_a_moffat_is_galsims_within_a_percent_of_the_peak(seeds):
    """Small ones too, wherever in a pixel: a cusp that is put at the centre of its pixel is off by 14 %."""
    import galsim

    for seed in seeds:
        rng = np.random.default_rng(seed)
        n, q, phi = rng.uniform(0.5, 3), 1.0 if seed < 5 else rng.uniform(0.4, 1), rng.uniform(0, np.pi)
        r_half, x = float(np.exp(rng.uniform(*np.log([0.02, 0.7])))), float(rng.uniform(0.7, 1.3))
        beta, psfsize = rng.uniform(2.2, 3.5), rng.uniform(1.0, 1.6)
        renderer = Renderer(LS_DR10, 101)
        part = Sersic(0, 0, 1.0, r_half, float(n), float(q), float(phi))
        image = renderer.traced(Geometry(Lens(x), 0, 0, 1), plain(part), lensed=False)
        ours = renderer.seen(image / image[0].sum(), renderer.kernels(np.full(3, psfsize), beta))[0]
        psf = Psf.of_psfsize(psfsize, beta, 0.262)
        galaxy = galsim.Sersic(n=n, half_light_radius=r_half * np.sqrt(q)).shear(q=q, beta=phi * galsim.radians)
        seen = galsim.Convolve(galaxy, galsim.Moffat(beta=beta, fwhm=psf.fwhm))
        theirs = seen.shift(x, 0.0).drawImage(nx=101, ny=101, scale=0.262).array
        assert np.abs(ours - theirs).max() < 0.01 * theirs.max(), seed
        assert ours.sum() == pytest.approx(theirs.sum(), rel=2e-3), seed


@pytest.mark.parametrize("beta", [2.2, 2.5, 3.5])
def test_a_star_through_the_kernel_has_the_noise_equivalent_area_of_psfsize(beta):
    renderer = Renderer(LS_DR10, 101)
    point = np.zeros((3, 61, 61))
    point[:, 30, 30] = 1.0
    for kernel, size in zip(renderer.kernels(SIZES, beta), SIZES, strict=True):
        psf = Psf.near_psfsize(float(size), beta, 0.262)
        assert psf.psfsize == pytest.approx(size, rel=2e-4)
        axis = np.arange(101, dtype=np.float32) - 50
        star = psf.on_pixels(axis[None, :], axis[:, None])
        expected = (size / (2.3548 * 0.262)) ** 2 * 4 * np.pi
        assert 1 / np.square(star, dtype=float).sum() == pytest.approx(expected, rel=0.005)
        assert 0.93 < moffat.nea_px(kernel) / expected < 0.99


def test_arcs_through_the_moffat_of_psfsize_have_the_peak_of_those_through_a_real_psf(real_data):
    """On the PSF of a DR9 coadd; a Moffat whose half-maximum width is psfsize makes arcs a fifth too faint or more."""
    with fits.open(real_data / "dr9-subbrick" / "copsf_59.1067_-30.4848.fits") as hdus:
        psfs = np.stack([np.asarray(hdu.data, np.float64) for hdu in hdus])
    renderer, rng = Renderer(LS_DR10, 101), np.random.default_rng(2)
    sizes = np.array([moffat.psfsize_arcsec(moffat.nea_px(psf), 0.262) for psf in psfs])
    sharp = kernels_of(psfs / psfs.sum(axis=(1, 2), keepdims=True))
    ratios, wrong = [], []
    for _ in range(30):
        lens = Lens(float(rng.uniform(0.8, 2.2)), float(rng.uniform(0.6, 0.95)), float(rng.uniform(0, 3)))
        part = Sersic(0, 0, 1.0, float(rng.uniform(0.1, 0.4)), 1.0)
        image = renderer.traced(Geometry(lens, float(rng.uniform(0.1, 0.5)), 0.1, 2), plain(part))
        peaks = renderer.seen(image, renderer.kernels(sizes, 2.5)).max(axis=(1, 2))
        real = renderer.seen(image, list(sharp)).max(axis=(1, 2))
        ratios.append(peaks / real)
        as_width = [Psf(size, 2.5, 0, 0, 0.262).kernel(65) for size in sizes]
        wrong.append(renderer.seen(image, as_width).max(axis=(1, 2)) / real)
    assert np.mean(ratios, axis=0) == pytest.approx(np.ones(3), abs=0.03)
    assert (np.mean(wrong, axis=0) < 0.85).all()


@pytest.mark.parametrize("source", [plain(Sersic(0, 0, 1.0, 0.3, 1.2, 0.6, 0.2)), clumpy()], ids=["sersic", "clumpy"])
def test_the_flux_of_a_source_is_one_in_each_band_and_lensing_multiplies_it(source):
    renderer = Renderer(LS_DR10, 101)
    geometry = Geometry(Lens(1.3, 0.8, 0.3), 0.2, 0.1, 4)
    assert renderer.shares(source).sum(axis=1) == pytest.approx(np.ones(3))
    alone = renderer.traced(geometry, source, lensed=False)
    assert alone.sum(axis=(1, 2)) == pytest.approx(np.ones(3), rel=2e-3)
    lensed = renderer.traced(geometry, source).sum(axis=(1, 2))
    assert (lensed > 3).all()
    seen = renderer.seen(renderer.traced(geometry, source), renderer.kernels(SIZES, 2.5))
    assert seen.sum(axis=(1, 2)) == pytest.approx(lensed, rel=5e-3)


def test_clumps_are_bluer_than_their_disc_and_leave_the_colour_of_the_whole():
    shares = Renderer(LS_DR10, 101).shares(clumpy())
    colour = -2.5 * np.log10(shares[0] / shares[1])  # g - r of each group, less that of the whole
    assert colour[0] - colour[1] == pytest.approx(0.2, abs=1e-9)


def test_magnitudes_follow_the_colours_and_other_bands_lie_between():
    assert rendering.magnitudes_of(LS_DR10, (0.3, 0.5)) == pytest.approx([0.3, 0.0, -0.5])
    griz = rendering.magnitudes_of(LS_DR10_GRIZ, (0.3, 0.5))
    assert griz[[0, 1, 3]] == pytest.approx([0.3, 0.0, -0.5])
    assert -0.5 < griz[2] < 0
    with pytest.raises(InputError, match="do not reach band i"):
        rendering.magnitudes_of(dataclasses.replace(LS_DR10_GRIZ, name="bare", imaging={}), (0.3, 0.5))


def test_a_ring_keeps_radial_profile_and_flux_and_has_no_direction():
    renderer = Renderer(LS_DR10, 101)
    image = renderer.traced(Geometry(Lens(1.6, 0.7, 0.4), 0.5, 0.2, 2), plain(Sersic(0, 0, 1.0, 0.3, 1.0)))
    ring = rendering.azimuthal_mean(image, 0.0, 0.0)
    assert ring.sum(axis=(1, 2)) == pytest.approx(image.sum(axis=(1, 2)))
    assert ring[0] == pytest.approx(np.rot90(ring[0]), rel=1e-6, abs=1e-12)
    axis = np.arange(61) - 30
    radius = np.hypot(axis[None, :], axis[:, None])
    for low, high in ((2, 5), (5, 8), (8, 12)):
        within = (radius >= low) & (radius < high)
        assert ring[0][within].sum() == pytest.approx(image[0][within].sum(), rel=0.12)


def test_the_centre_of_light_is_where_it_is():
    image = np.zeros((21, 21))
    image[12, 7] = 2.0
    assert rendering.centroid_px(image) == (-3.0, 2.0)


@pytest.mark.parametrize("size", [64, 101, 201])
def test_light_lies_on_the_middle_of_cutouts_of_any_size(size):
    renderer = Renderer(LS_DR10, size)
    point = np.zeros((3, 61, 61))
    point[:, 30, 30] = 1.0
    seen = renderer.seen(point, renderer.kernels(SIZES, 2.5))
    assert seen.shape == (3, size, size)
    middle = (size - 1) // 2
    assert np.unravel_index(np.argmax(seen[0]), seen[0].shape) == (middle, middle)


def test_pixels_are_divided_out_of_images_of_psfs():
    psf = Psf.of_psfsize(1.3, 2.5, 0.262)
    axis = np.arange(63, dtype=np.float32) - 31
    on_pixels = psf.on_pixels(axis[None, :], axis[:, None]).astype(float)
    found = kernels_of(np.stack([on_pixels, on_pixels]))[0]
    assert np.abs(found - psf.kernel(63)).max() < 0.01 * found.max()
