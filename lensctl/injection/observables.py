"""What can be seen of an arc in a cutout, by one code for real lenses and for injections."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.moffat import SIGMA_TO_FWHM
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

CORE_ARCSEC, APERTURE_ARCSEC = 0.8, 1.5
"""Radii of the lens's core, whose colour is taken away, and of the aperture of magnitudes."""

ANNULI_ARCSEC = np.round(np.arange(0.6, 4.25, 0.1), 1)
SKY_ARCSEC = (8.384, 11.79)
"""Annulus of blank sky: 32 to 45 px of 0.262 arcsec."""

MAD_TO_SIGMA = 1.4826
SHARP_ARCSEC = 0.5
BLOCK = 64
LEAST_SIDE_PX = 64


def names(survey: Survey) -> tuple[str, ...]:
    """Names of the columns that `observe` gives, in its order: `obs_*`, seen of the arc; `art_*`, of the pixels."""
    blue, (bluer, redder) = survey.bands[0], survey.colours[0]
    seen = ("theta", f"snr_{blue}", f"contrast_{blue}", f"delta_{bluer}_minus_{redder}", "asymmetry")
    per_band = [f"{name}_{band}" for name in ("art_noise", "art_sharpness") for band in survey.bands]
    magnitudes = [f"obs_mag_{band}" for band in survey.bands]
    return (*(f"obs_{name}" for name in seen), *magnitudes, *per_band, "art_nan_frac", "art_zero_frac", "art_offset_px")


def observe(images: NDArray[np.float32], psfsize: Floats, survey: Survey) -> dict[str, Floats]:
    """Measure cutouts; each row depends on its own pixels and psfsize alone.

    The bands are smoothed to the broadest psfsize. The host is the reddest band, scaled to the bluest within 0.8
    arcsec, and D the bluest less this host. In annuli half a psfsize to either side of a radius, from 0.6 to 4.2
    arcsec, S/N = sum D / (sigma_D sqrt(number of pixels)), sigma_D by the median absolute deviation in blank sky: a
    score, no significance, because neighbouring pixels share noise.

    Parameters
    ----------
    images : (N, S, S, B) float32
        Nanomaggies; NaN where there are no data.
    psfsize : (N, B) float64
        Arcsec, as of the survey.

    Returns
    -------
    columns : dict of (N,) float64
        In the order of `names`. `obs_theta` (arcsec) and `obs_snr_*` are those of the annulus of the highest S/N;
        there `obs_contrast_*` is sum D over the bluest band's flux within 0.8 arcsec, `obs_delta_*` the colour less
        that within 0.8 arcsec (mag), `obs_asymmetry` sum |D - D turned by 180 degrees| over sum |D|. `obs_mag_*` are
        magnitudes within 1.5 arcsec. `art_noise_*` is the scatter of blank sky (nanomaggies), `art_sharpness_*` the
        flux within 0.5 over that within 1.5 arcsec; `art_nan_frac`, `art_zero_frac` fractions of pixels without
        data; `art_offset_px` the distance of the light's centre within 1.5 arcsec from the middle, in the reddest
        band. NaN where there is nothing to measure it on.
    """
    parts = [_observe(images[i : i + BLOCK], psfsize[i : i + BLOCK], survey) for i in range(0, len(images), BLOCK)]
    wanted = names(survey)
    if not parts:
        return {name: np.zeros(0) for name in wanted}
    return {name: np.concatenate([part[name] for part in parts]) for name in wanted}


def refuse_unfit(size_px: int, bands: tuple[str, ...], survey: Survey, where: str) -> None:
    """Raise InputError for cutouts of other bands than the survey's, or without blank sky around the arcs."""
    if bands != survey.bands:
        raise InputError(f"{where}: bands are {', '.join(bands)}", f"make it of {', '.join(survey.bands)}")
    if size_px < LEAST_SIDE_PX:
        raise InputError(
            f"{where}: cutouts of {size_px} px have no blank sky around the arcs",
            f"make them of at least {LEAST_SIDE_PX} px",
        )


def arrays_of(columns: dict[str, Floats], usable: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Columns of `observe` as Arrow arrays; null where there is nothing to measure, or the cutout is not usable."""
    import pyarrow as pa

    return {
        name: pa.array(values, pa.float64(), mask=~(usable & np.isfinite(values))) for name, values in columns.items()
    }


def _observe(images: NDArray[np.float32], psfsize: Floats, survey: Survey) -> dict[str, Floats]:
    bands, scale, size = survey.bands, survey.pixel_scale_arcsec, images.shape[1]
    radius = _radius_arcsec(size, scale)
    broadest = psfsize.max(axis=1)
    sigma_px = np.sqrt(np.maximum(broadest[:, None] ** 2 - psfsize**2, 0)) / (SIGMA_TO_FWHM * scale)
    pixels = np.moveaxis(images, 3, 1).astype(np.float64)  # (N, B, S, S)
    even = np.stack(
        [[_smoothed(*each) for each in zip(*row, strict=True)] for row in zip(pixels, sigma_px, strict=True)]
    )
    core, aperture = (_summed(values, radius < r) for values, r in ((even, CORE_ARCSEC), (pixels, APERTURE_ARCSEC)))
    with np.errstate(divide="ignore", invalid="ignore"):
        host = np.where(core[:, -1] > 0, core[:, 0] / core[:, -1], np.nan)
    excess = even[:, 0] - host[:, None, None] * even[:, -1]
    blank = (radius >= SKY_ARCSEC[0]) & (radius < SKY_ARCSEC[1])
    sigma = _scatter(excess[:, blank])
    found = _strongest(excess, sigma, radius, broadest)
    columns: dict[str, Floats] = {"obs_theta": found[0], f"obs_snr_{bands[0]}": found[1]}
    near = abs(radius[None] - np.nan_to_num(found[0])[:, None, None]) <= broadest[:, None, None] / 2
    near &= np.isfinite(excess) & np.isfinite(found[0])[:, None, None]
    light = np.where(near, excess, 0.0)
    turned = np.where(near & near[:, ::-1, ::-1], excess - excess[:, ::-1, ::-1], 0.0)
    bluer, redder = survey.colours[0]
    first, second = bands.index(bluer), bands.index(redder)
    ring = [np.where(near, even[:, b], 0.0).sum(axis=(1, 2)) for b in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns[f"obs_contrast_{bands[0]}"] = _positive(core[:, 0], light.sum(axis=(1, 2)) / core[:, 0])
        colours = [-2.5 * np.log10(a / b) for a, b in (ring, (core[:, first], core[:, second]))]
        columns[f"obs_delta_{bluer}_minus_{redder}"] = np.where(
            np.isfinite(colours[0] - colours[1]), colours[0] - colours[1], np.nan
        )
        columns["obs_asymmetry"] = abs(turned).sum(axis=(1, 2)) / abs(light).sum(axis=(1, 2))
        for b, band in enumerate(bands):
            columns[f"obs_mag_{band}"] = _positive(aperture[:, b], 22.5 - 2.5 * np.log10(aperture[:, b]))
            columns[f"art_noise_{band}"] = _scatter(pixels[:, b, blank])
            sharp = _summed(pixels[:, [b]], radius < SHARP_ARCSEC)[:, 0]
            columns[f"art_sharpness_{band}"] = _positive(aperture[:, b], sharp / aperture[:, b])
        columns["art_offset_px"] = _offset_px(pixels[:, -1], radius < APERTURE_ARCSEC)
    columns["art_nan_frac"] = (~np.isfinite(pixels)).mean(axis=(1, 2, 3))
    columns["art_zero_frac"] = (pixels == 0).mean(axis=(1, 2, 3))
    return columns


@functools.lru_cache(maxsize=4)
def _radius_arcsec(size: int, scale: float) -> Floats:
    axis = (np.arange(size) - (size - 1) / 2) * scale
    return np.asarray(np.hypot(axis[:, None], axis[None, :]))


def _smoothed(plane: Floats, sigma_px: float) -> Floats:
    """A plane through a Gaussian; pixels without data take no part and stay NaN."""
    from scipy.ndimage import gaussian_filter

    if sigma_px < 1e-3:
        return plane
    known = np.isfinite(plane)
    if known.all():
        return np.asarray(gaussian_filter(plane, sigma_px, mode="nearest"))
    weight = gaussian_filter(known.astype(np.float64), sigma_px, mode="nearest")
    light = gaussian_filter(np.where(known, plane, 0.0), sigma_px, mode="nearest")
    return np.where(known, light / np.where(known, weight, 1), np.nan)


def _summed(planes: Floats, region: NDArray[np.bool_]) -> Floats:
    """Flux of (N, B, S, S) in a region: (N, B); NaN where a pixel has no data."""
    return np.asarray(planes[:, :, region].sum(axis=2))


def _scatter(values: Floats) -> Floats:
    """Standard deviation of (N, pixels) by the median absolute deviation: (N,); NaN without pixels."""
    out = np.full(len(values), np.nan)
    for i, row in enumerate(values):
        known = row[np.isfinite(row)]
        if len(known):
            out[i] = MAD_TO_SIGMA * np.median(abs(known - np.median(known)))
    return out


def _strongest(excess: Floats, sigma: Floats, radius: Floats, width: Floats) -> tuple[Floats, Floats]:
    """Radius (arcsec) and S/N of the annulus of the highest S/N, half a width to either side: (N,), (N,)."""
    theta, snr = np.full(len(excess), np.nan), np.full(len(excess), np.nan)
    order = np.argsort(radius, axis=None, kind="stable")
    ordered = radius.ravel()[order]
    for i, plane in enumerate(excess):
        values = plane.ravel()[order]
        known = np.isfinite(values)
        if not sigma[i] > 0 or not known.any():
            continue
        total, count = (np.concatenate([[0.0], np.cumsum(v)]) for v in (np.where(known, values, 0.0), known))
        first = np.searchsorted(ordered, ANNULI_ARCSEC - width[i] / 2, "left")
        last = np.searchsorted(ordered, ANNULI_ARCSEC + width[i] / 2, "right")
        number = count[last] - count[first]
        score = np.where(
            number > 0, (total[last] - total[first]) / (sigma[i] * np.sqrt(np.maximum(number, 1))), -np.inf
        )
        best = int(np.argmax(score))
        if np.isfinite(score[best]):
            theta[i], snr[i] = ANNULI_ARCSEC[best], score[best]
    return theta, snr


def _positive(where: Floats, values: Floats) -> Floats:
    return np.where(where > 0, values, np.nan)


def _offset_px(planes: Floats, region: NDArray[np.bool_]) -> Floats:
    """Distance of the centre of light of (N, S, S) in a region from the middle, pixels: (N,)."""
    axis = np.arange(planes.shape[1]) - (planes.shape[1] - 1) / 2
    y, x = (each[region] for each in np.broadcast_arrays(axis[:, None], axis[None, :]))
    light = planes[:, region]
    total = light.sum(axis=1)
    return _positive(total, np.hypot((light * x).sum(axis=1), (light * y).sum(axis=1)) / total)
