"""Lensed arcs around an early-type galaxy: drawn, ray-traced, graded by visibility, and mock-measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import lensing, sersic
from lensctl.sky import render
from lensctl.sky.objects import features, population, spectra
from lensctl.sky.objects.styles import DEFAULT, Style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from lensctl.astro.moffat import Psf
    from lensctl.rules.survey import Survey

STAMP_ARCSEC = 10.7
RAY_ARCSEC = 0.07
"""Greatest distance between rays."""

KERNEL_WIDTHS = 6.2
"""Side of a PSF's image on a stamp, in widths of the broadest band's median PSF."""

EINSTEIN_RANGE_ARCSEC = (0.7, 2.5)
SOURCE_MAG_R_RANGE, SOURCE_SLOPE = (21.3, 25.0), 0.3
SOURCE_R_HALF_RANGE_ARCSEC = (0.10, 0.45)

ABSORBED_SHARE = 0.75
"""Catalogues model bright arcs as separate sources, so the galaxy absorbs only part of what it would alone."""


@dataclass(frozen=True)
class Tier:
    """Definition of a grade: peak signal-to-noise of the arcs and contrast to the galaxy.

    Signal-to-noise is that of the brightest arc pixel over the sky noise, in the bluest band or the next; contrast is
    arc over galaxy at the brightest arc pixel in the bluest. `reach` is the maximum source offset from the lens, in
    Einstein radii.
    """

    peak_snr: tuple[float, float]
    contrast: float
    reach: float


TIERS = {
    "confident": Tier((15.0, 70.0), 1.0, 0.40),
    "probable": Tier((6.0, 20.0), 0.6, 0.55),
}


@dataclass(frozen=True)
class Arcs:
    """One lensed source: `image` (B, S, S) nanomaggies before the PSF, `seen` after it, and its parameters."""

    image: NDArray[np.float32]
    seen: NDArray[np.float64]
    facts: Mapping[str, float]


def oversample(survey: Survey) -> int:
    """Rays per pixel along each axis."""
    return int(np.ceil(survey.pixel_scale_arcsec / RAY_ARCSEC))


def draw(
    rng: np.random.Generator,
    host: Mapping[str, float],
    grade: str,
    psfs: Sequence[Psf],
    sigma: NDArray[np.float64],
    offset_px: tuple[float, float],
    survey: Survey,
    style: Style = DEFAULT,
) -> tuple[Arcs, NDArray[np.float64]]:
    """Draw lens and source until the arcs are as visible as the grade requires, and ray-trace them.

    Parameters
    ----------
    host : mapping
        r_half, n, q, phi of the lens galaxy, and its flux_BAND in each band.
    grade : str
        One of TIERS.
    sigma : (B,) float64
        Sky noise per pixel, nanomaggies.
    offset_px : (dx, dy)
        Offset of the galaxy's centre from the centre of the stamp's middle pixel.

    Returns
    -------
    arcs : Arcs
    model : (B, S, S) float64
        The galaxy alone, with unit flux, convolved with each band's PSF.
    """
    size, scale, bands = render.odd_px(STAMP_ARCSEC, survey), survey.pixel_scale_arcsec, len(survey.bands)
    offset_arcsec = (offset_px[0] * scale, offset_px[1] * scale)
    blue, *redder = spectra.bluest(survey)[:2]
    kernels = np.stack([psf.kernel(render.kernel_px(survey, KERNEL_WIDTHS)) for psf in psfs])
    model = _seen(_host_stamp(host, offset_px, size, scale)[None].repeat(bands, axis=0), kernels)
    flux = np.array([host[name] for name in survey.per_band("flux")])
    tier, best = TIERS[grade], None
    colour_means, colour_scatters = zip(*style.source_colours, strict=True)
    for _ in range(40):
        lens, source, knots = _geometry(rng, host, grade, offset_arcsec, style)
        unit = lensing.lensed_image(
            lens, source_brightness(source, knots), size=size, pixel_scale=scale, oversample=oversample(survey)
        )
        colours = np.clip(rng.normal(colour_means, colour_scatters), (-0.15, -0.15), (0.6, 0.7))
        spectrum = spectra.fluxes(survey, float(10 ** (-0.4 * colours[0])), 1.0, float(10 ** (0.4 * colours[1])))
        relative = np.array(list(spectrum.values()))  # to the flux in r
        seen = _seen(unit[None].repeat(bands, axis=0), kernels) * relative[:, None, None]
        peak = np.unravel_index(np.argmax(seen[blue]), seen[blue].shape)
        snr_of_unit = max(seen[band].max() / sigma[band] for band in (blue, *redder))
        contrast_of_unit = seen[blue][peak] / (flux[blue] * model[blue][peak])
        least = max(tier.peak_snr[0] / snr_of_unit, tier.contrast / contrast_of_unit)
        most = tier.peak_snr[1] / snr_of_unit
        bright, faint = (22.5 - 2.5 * np.log10(limit) for limit in (most, least))
        limits = max(bright, SOURCE_MAG_R_RANGE[0]), min(faint, SOURCE_MAG_R_RANGE[1])
        possible = limits[0] < limits[1]
        mag_r = population.magnitudes(rng, 1, limits if possible else (faint - 0.01, faint), SOURCE_SLOPE)[0]
        flux_r = float(population.flux(np.float64(mag_r)))  # type: ignore[arg-type]
        facts = {
            "theta_e": lens.theta_e,
            "lens_q": lens.q,
            "lens_phi": lens.phi,
            "gamma1": lens.gamma1,
            "gamma2": lens.gamma2,
            "source_x": source.x - lens.x,
            "source_y": source.y - lens.y,
            "source_r_half": source.r_half,
            "source_n": source.n,
            "source_q": source.q,
            "source_phi": source.phi,
            **{f"source_{name}": flux_r * value for name, value in spectrum.items()},
            "magnification": float(unit.sum()),
            "arc_peak_snr": flux_r * snr_of_unit,
            "arc_contrast": flux_r * contrast_of_unit,
        }
        image = (unit[None] * (flux_r * relative)[:, None, None]).astype(np.float32)
        best = Arcs(image, seen * flux_r, facts)
        if possible:
            break
    assert best is not None
    return best, model


def _geometry(
    rng: np.random.Generator,
    host: Mapping[str, float],
    grade: str,
    centre_arcsec: tuple[float, float],
    style: Style,
) -> tuple[lensing.Lens, sersic.Sersic, list[sersic.Sersic]]:
    """A lens, a source of unit flux behind it, and the knots in it, of unit flux together."""
    theta_e = float(np.clip(style.einstein_arcsec[grade] * np.exp(rng.normal(0, 0.24)), *EINSTEIN_RANGE_ARCSEC))
    shear, shear_angle = min(abs(rng.normal(0, 0.05)), 0.15), rng.uniform(0, 2 * np.pi)
    x, y = centre_arcsec
    lens = lensing.Lens(
        theta_e=theta_e,
        q=float(np.clip(host["q"] + rng.normal(0.05, 0.07), 0.5, 0.97)),
        phi=float(host["phi"] + rng.normal(0, 0.15)),
        gamma1=float(shear * np.cos(shear_angle)),
        gamma2=float(shear * np.sin(shear_angle)),
        x=x,
        y=y,
    )
    distance, angle = TIERS[grade].reach * theta_e * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    source = sersic.Sersic(
        x=float(x + distance * np.cos(angle)),
        y=float(y + distance * np.sin(angle)),
        flux=1.0,
        r_half=float(
            np.clip(np.exp(rng.normal(np.log(style.source_r_half_arcsec), 0.35)), *SOURCE_R_HALF_RANGE_ARCSEC)
        ),
        n=float(rng.uniform(0.7, 1.6)),
        q=float(rng.uniform(0.45, 1.0)),
        phi=float(rng.uniform(0, np.pi)),
    )
    least, most = style.source_knots
    number = int(rng.integers(least, most + 1)) if most else 0
    knots = [
        sersic.Sersic(
            x=float(source.x + rng.normal(0, 0.8 * source.r_half)),
            y=float(source.y + rng.normal(0, 0.8 * source.r_half)),
            flux=1 / number,
            r_half=float(rng.uniform(0.05, 0.12)),
            n=features.GAUSSIAN,
        )
        for _ in range(number)
    ]
    return lens, source, knots


def source_brightness(
    source: sersic.Sersic, knots: list[sersic.Sersic]
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Surface brightness of a source of unit flux, half of it in the knots where there are any."""
    if not knots:
        return source.brightness
    return lambda x, y: 0.5 * (source.brightness(x, y) + sum(knot.brightness(x, y) for knot in knots))


def _host_stamp(
    host: Mapping[str, float], offset_px: tuple[float, float], size: int, pixel_scale: float
) -> NDArray[np.float32]:
    shape = sersic.Shapes(*(np.array([host[name]]) for name in ("r_half", "n", "q", "phi")))
    dx, dy = (np.array([offset]) for offset in offset_px)
    return np.asarray(sersic.stamps(shape, dx, dy, size=size, pixel_scale=pixel_scale)[0], np.float32)


def _seen(images: NDArray[np.floating], kernels: NDArray[np.float32]) -> NDArray[np.float64]:
    """(B, S, S) images convolved with the PSF of each band, (B, k, k)."""
    from scipy.signal import fftconvolve

    return np.asarray(fftconvolve(images, kernels, mode="same", axes=(1, 2)), np.float64)


def absorbed(
    arcs: NDArray[np.float64], model: NDArray[np.float64], flux: NDArray[np.float64], sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Effect of the arcs on a catalogue that fits only the galaxy: ABSORBED_SHARE of a least-squares step.

    The shape of the galaxy model m is fixed; its flux in each band and its position are free. The step would add
    sum(a m)/sum(m m) of the arcs a to the flux of each band, and shift the position by the projection of a onto the
    gradient of m, over all bands with weights 1/sigma^2.

    Parameters
    ----------
    arcs, model : (B, S, S) float64
        Arcs in nanomaggies and galaxy with unit flux, both convolved with the PSF.
    flux, sigma : (B,) float64
        True flux of the galaxy and sky noise per pixel, nanomaggies.

    Returns
    -------
    flux : (B,) float64
        Added to the galaxy's flux, nanomaggies.
    shift : (dx, dy)
        Pixels.
    """
    added = (arcs * model).sum(axis=(1, 2)) / (model * model).sum(axis=(1, 2))
    slope_y, slope_x = np.gradient(model, axis=(1, 2))
    weight = flux / sigma**2
    shift = [
        -float((weight * (arcs * slope).sum(axis=(1, 2))).sum())
        / float((weight * flux * (slope * slope).sum(axis=(1, 2))).sum())
        for slope in (slope_x, slope_y)
    ]
    return ABSORBED_SHARE * added, (ABSORBED_SHARE * shift[0], ABSORBED_SHARE * shift[1])
