"""Mock measurement: the catalogue values a Tractor fit would give for an object, with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.astro import sersic
from lensctl.astro.moffat import nea_px
from lensctl.sky.catalogs import infrared_bands, optical_bands
from lensctl.sky.coadds import release
from lensctl.sky.objects import spectra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lensctl.astro.moffat import Psf
    from lensctl.rules.survey import Survey
    from lensctl.sky.dirt import Planes
    from lensctl.sky.objects.population import Table
    from lensctl.sky.pointings import Pointing

MISTYPED_EARLY = {"EXP": 0.02, "PSF": 0.012}
"""Fraction of early-type galaxies, lenses or not, fitted with another type."""

EXTINCTION_PER_EBV = {
    "g": (0.472, 3.214),
    "r": (0.642, 2.165),
    "i": (0.784, 1.592),
    "z": (0.926, 1.211),
    "w1": (3.35, 0.184),
    "w2": (4.60, 0.113),
    "w3": (11.56, 0.0241),
    "w4": (22.09, 0.00910),
}
"""Effective wavelength (micrometres) and A/E(B-V), from the Legacy Surveys catalogue page."""

INDEX_OF_TYPE = {"PSF": 0.0, "REX": 1.0, "EXP": 1.0, "DEV": 4.0}
APERTURES_ARCSEC = (0.5, 0.75, 1.0, 1.5, 2.0, 3.5, 5.0, 7.0)
_GAUSSIAN_HALF = 1.1774  # half-light radius of a round Gaussian in sigmas
DEPTH_GALAXY_ARCSEC = 0.45
"""Half-light radius of the round exponential galaxy that galdepth is about (legacysurvey.org/dr10/catalogs)."""

Z_PHOT_SCATTER, Z_PHOT_OUTLIERS, Z_PHOT_RANGE = 0.025, 0.03, (0.01, 1.2)
"""Errors of photometric redshifts: scatter in units of 1 + z, and the share of those drawn anywhere in a range."""

_WISE_FROM_UM = (0.926, 0.642)  # WISE fluxes follow from those in the bands nearest to z and r


def extinction(band: str, survey: Survey) -> float:
    """A/E(B-V) in a band: listed, or for other bands between those listed, by the logarithms of both numbers."""
    if band in EXTINCTION_PER_EBV:
        return EXTINCTION_PER_EBV[band][1]
    wavelengths, coefficients = np.log(list(EXTINCTION_PER_EBV.values())).T
    return float(np.exp(np.interp(np.log(survey.imaging[band].wavelength_um), wavelengths, coefficients)))


def mistype(rng: np.random.Generator, types: NDArray[np.str_], kind: NDArray[np.str_]) -> NDArray[np.str_]:
    """Fitted types: some early-type galaxies become EXP or PSF."""
    draw = rng.random(len(types))
    fitted = types.copy()
    below = 0.0
    for name, share in MISTYPED_EARLY.items():
        fitted[(kind == "early") & (draw >= below) & (draw < below + share)] = name
        below += share
    return fitted


def measure(
    rng: np.random.Generator,
    pointing: Pointing,
    true: Table,
    types: NDArray[np.str_],
    planes: Planes,
    psfs: Sequence[Psf],
) -> dict[str, NDArray[Any]]:
    """Catalogue columns of objects, with DR10 names and units; all other columns are zero in the files.

    Parameters
    ----------
    true : mapping of (N,) float64
        x, y (window pixels, shifted by the effect of arcs), flux_BAND of each band (including absorbed arcs), redshift
        (NaN for stars), r_half, n, q, phi; mag_r of stars, NaN for galaxies.
    types : (N,) text
        Fitted types.
    """
    count, survey = len(types), pointing.survey
    scale = survey.pixel_scale_arcsec
    is_point = types == "PSF"
    column, row = (np.clip(np.rint(true[name]).astype(int), 0, pointing.size - 1) for name in ("x", "y"))
    size_px = np.where(is_point, 0, true["r_half"] / _GAUSSIAN_HALF / scale)
    out: dict[str, NDArray[Any]] = {
        "release": np.full(count, release(survey)),
        "brickid": np.full(count, pointing.brick.id),
        "brickname": np.full(count, pointing.brick.name),
        "brick_primary": np.ones(count, bool),
        "maskbits": planes.maskbits[row, column],
        "type": types,
        "ebv": np.full(count, pointing.ebv),
        "mjd_min": np.full(count, 56900.0 + pointing.index),
        "mjd_max": np.full(count, 58100.0 + pointing.index),
        "z_phot": _z_phot(rng, true["redshift"]),
    }
    for band in (*optical_bands(survey), *infrared_bands(survey)):
        out[f"mw_transmission_{band}"] = np.full(count, 10 ** (-0.4 * extinction(band, survey) * pointing.ebv))
    scatter = 1 + rng.normal(0, 0.02, count)
    best = np.ones(count)
    for i, band in enumerate(survey.bands):
        nexp = planes.nexp[i, row, column]
        area, of_galaxy = psfs[i].nea_px, depth_nea_px(psfs[i])
        per_px = nexp / pointing.noise[i] ** 2
        extended = area + 4 * np.pi * size_px**2 * true["q"]
        photons = np.maximum(true[f"flux_{band}"], 0) / pointing.sky[i]  # of the source, over those of the sky a pixel
        ivar = per_px / (extended + photons)
        error = np.where(ivar > 0, 1 / np.sqrt(np.maximum(ivar, 1e-12)), 0)
        flux = true[f"flux_{band}"] * scatter * (1 + rng.normal(0, 0.01, count)) + error * rng.normal(0, 1, count)
        flux = np.where(nexp > 0, flux, 0)
        best = np.maximum(best, np.abs(flux) * np.sqrt(ivar))
        out |= {
            f"flux_{band}": flux,
            f"flux_ivar_{band}": ivar,
            f"nobs_{band}": nexp,
            f"ngood_{band}": nexp,
            f"psfsize_{band}": np.where(nexp > 0, pointing.psfsize[i], 0),
            f"psfdepth_{band}": per_px / area,
            f"galdepth_{band}": per_px / of_galaxy,
            f"nea_{band}": extended * scale**2,
            f"blob_nea_{band}": extended * scale**2,
            f"rchisq_{band}": np.where(nexp > 0, 1 + np.abs(rng.normal(0, 0.05, count)), 0),
            f"fracflux_{band}": np.abs(rng.normal(0, 0.03, count)),
            f"fracin_{band}": np.full(count, 0.99),
        }
        out |= _apertures(band, flux, ivar, psfs[i], np.where(is_point, 0, true["r_half"]))
    wise = _infrared(rng, *(out[f"flux_{spectra.nearest(survey, wavelength)}"] for wavelength in _WISE_FROM_UM))
    out |= {name: values for name, values in wise.items() if name.endswith(infrared_bands(survey))}
    detected = psfs[survey.bands.index(survey.detection_band)]
    return out | _place(rng, pointing, true, detected.fwhm, best) | _shape(rng, true, types, best)


def depth_nea_px(psf: Psf) -> float:
    """Noise-equivalent area, pixels, of the galaxy that galdepth is about, as seen through a PSF."""
    from scipy.signal import fftconvolve

    shape = sersic.Shapes(*(np.array([v]) for v in (DEPTH_GALAXY_ARCSEC, 1.0, 1.0, 0.0)))
    centre = np.zeros(1)
    side = 2 * int(np.ceil(8 * DEPTH_GALAXY_ARCSEC / psf.pixel_scale)) + 1
    galaxy = sersic.stamps(shape, centre, centre, size=side, pixel_scale=psf.pixel_scale)[0]
    return nea_px(fftconvolve(galaxy, psf.kernel(side), mode="full"))


def _z_phot(rng: np.random.Generator, redshift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Photometric redshifts; NaN where there is no redshift, as for stars."""
    z = redshift + Z_PHOT_SCATTER * (1 + redshift) * rng.normal(0, 1, len(redshift))
    lost = (rng.random(len(z)) < Z_PHOT_OUTLIERS) & np.isfinite(z)
    return np.where(lost, rng.uniform(*Z_PHOT_RANGE, len(z)), np.maximum(z, Z_PHOT_RANGE[0]))


def _place(
    rng: np.random.Generator, pointing: Pointing, true: Table, fwhm: float, snr: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Positions with an error of 0.02 arcsec and 0.45 FWHM/SNR in quadrature, the same for every object."""
    scale = pointing.survey.pixel_scale_arcsec
    error_px = np.hypot(0.02, 0.45 * fwhm / snr) / scale
    x, y = (true[name] + error_px * rng.normal(0, 1, len(snr)) for name in ("x", "y"))
    ra, dec = pointing.wcs().all_pix2world(x, y, 0)
    ivar = 1 / (error_px * scale / 3600) ** 2
    return {"ra": np.asarray(ra) % 360, "dec": np.asarray(dec), "bx": x, "by": y, "ra_ivar": ivar, "dec_ivar": ivar}


def _shape(
    rng: np.random.Generator, true: Table, types: NDArray[np.str_], snr: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    error = np.hypot(0.03, 1.2 / snr)
    count = len(types)
    is_point, is_round, is_free = types == "PSF", types == "REX", types == "SER"
    r_half = np.where(is_point, 0, true["r_half"] * np.exp(np.clip(error * rng.normal(0, 1, count), -1, 1)))
    e1, e2 = sersic.tractor_ellipticity(true["q"], true["phi"])
    free = ~is_point & ~is_round
    e1, e2 = (np.where(free, np.clip(e + 0.4 * error * rng.normal(0, 1, count), -0.7, 0.7), 0) for e in (e1, e2))
    index = np.array([INDEX_OF_TYPE.get(str(name), 0.0) for name in types])
    fitted = np.clip(true["n"] * np.exp(2 * error * rng.normal(0, 1, count)), 0.5, 6.0)
    ivar = 1 / error**2
    dchisq = snr**2
    steps = np.stack([dchisq * f for f in (0.9, 0.97, 0.98, 0.985, 0.99)], axis=1)
    return {
        "shape_r": r_half,
        "shape_r_ivar": np.where(is_point, 0, ivar / np.maximum(true["r_half"], 0.1) ** 2),
        "shape_e1": e1,
        "shape_e1_ivar": np.where(free, 6 * ivar, 0),
        "shape_e2": e2,
        "shape_e2_ivar": np.where(free, 6 * ivar, 0),
        "sersic": np.where(is_free, fitted, index),
        "sersic_ivar": np.where(is_free, ivar / 4 / true["n"].clip(0.5) ** 2, 0),
        "dchisq": steps,
    }


def _apertures(
    band: str, flux: NDArray[np.float64], ivar: NDArray[np.float64], psf: Psf, r_half: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Fibre and aperture fluxes of a Gaussian with the combined width of PSF and galaxy."""

    def within(radius: float, seeing_fwhm: float) -> NDArray[np.float64]:
        squared = (seeing_fwhm / 2.3548) ** 2 + (r_half / _GAUSSIAN_HALF) ** 2
        return np.asarray(1 - np.exp(-(radius**2) / 2 / squared))

    fibre = flux * within(0.75, 1.0)
    return {
        f"fiberflux_{band}": fibre,
        f"fibertotflux_{band}": fibre,
        f"apflux_{band}": np.stack([flux * within(radius, psf.fwhm) for radius in APERTURES_ARCSEC], axis=1),
        f"apflux_ivar_{band}": np.stack([ivar * (1.5 / radius) ** 2 for radius in APERTURES_ARCSEC], axis=1),
    }


def _infrared(
    rng: np.random.Generator, redder: NDArray[np.float64], bluer: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """WISE fluxes, from those in two bands: the redder the colour, the brighter; errors like the all-sky survey's."""
    count = len(redder)
    with np.errstate(divide="ignore", invalid="ignore"):
        red = np.where((redder > 0) & (bluer > 0), 2.5 * np.log10(redder / bluer), 0.5)
    w1 = np.maximum(redder, 0) * 10 ** (0.4 * (0.9 * red - 0.35))
    table: dict[str, NDArray[Any]] = {}
    for band, error, ratio in (("w1", 0.5, 1.0), ("w2", 1.2, 0.65), ("w3", 60.0, 0.5), ("w4", 600.0, 0.5)):
        table[f"flux_{band}"] = ratio * w1 + rng.normal(0, error, count)
        table[f"flux_ivar_{band}"] = np.full(count, 1 / error**2)
        table[f"nobs_{band}"] = np.full(count, 160 if band in ("w1", "w2") else 20)
        table[f"psfdepth_{band}"] = np.full(count, 1 / error**2)
        table[f"rchisq_{band}"] = np.ones(count)
    return table


def star_columns(rng: np.random.Generator, pointing: Pointing, mag_r: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Gaia columns for stars (mag_r not NaN), zero for galaxies."""
    is_gaia = np.nan_to_num(mag_r, nan=99.0) < 20.5
    count = len(mag_r)
    number = np.int64(pointing.brick.id) * 1_000_000 + np.arange(count)
    g = np.nan_to_num(mag_r, nan=0.0)
    return {
        "ref_cat": np.where(is_gaia, "GE", ""),
        "ref_id": np.where(is_gaia, number, 0),
        "ref_epoch": np.where(is_gaia, 2016.0, 0),
        "gaia_phot_g_mean_mag": np.where(is_gaia, g, 0),
        "gaia_phot_bp_mean_mag": np.where(is_gaia, g + 0.4, 0),
        "gaia_phot_rp_mean_mag": np.where(is_gaia, g - 0.5, 0),
        "gaia_phot_g_mean_flux_over_error": np.where(is_gaia, 1000.0, 0),
        "pmra": np.where(is_gaia, rng.normal(0, 6, count), 0),
        "pmdec": np.where(is_gaia, rng.normal(0, 6, count), 0),
        "pmra_ivar": np.where(is_gaia, 25.0, 0),
        "pmdec_ivar": np.where(is_gaia, 25.0, 0),
        "parallax": np.where(is_gaia, rng.gamma(2, 0.4, count), 0),
        "parallax_ivar": np.where(is_gaia, 25.0, 0),
    }
