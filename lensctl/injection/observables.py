"""What can be seen of an arc in a cutout, by one code for real lenses and for injections."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro.moffat import SIGMA_TO_FWHM
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

    Floats = NDArray[np.float64]

FEWEST_ARC_PX, ARC_SIGMA = 5, 3.0
"""Pixels that stand out by so many sigma are of an arc, where there are so many of them."""

ARC_CENTRE = ("obs_arc_x_px", "obs_arc_y_px")

INNER_ARCSEC, CORE_ARCSEC, APERTURE_ARCSEC = 0.4, 0.8, 1.5
"""Radii of the innermost light, of the lens's core, and of the aperture of magnitudes."""

RADII_ARCSEC = np.round(np.arange(0.6, 4.25, 0.1), 1)
SKY_ARCSEC = (8.384, 11.79)
"""Annulus of blank sky: 32 to 45 px of 0.262 arcsec."""

FEWEST_SKY_PX = 200
MAD_TO_SIGMA = 1.4826
BLOCK = 32


def names(survey: Survey) -> tuple[str, ...]:
    """Names of the columns that `observe` gives, in its order: `obs_*`, seen of the arc; `art_*`, of the pixels."""
    seen = ("obs_theta", f"obs_snr_{survey.colours[0][0]}", "obs_contrast", _delta(survey), "obs_asymmetry")
    magnitudes, noise = ([f"{name}_{band}" for band in survey.bands] for name in ("obs_mag", "art_noise"))
    others = (f"art_{survey.depth('sharpness')}", "art_nan_frac", "art_zero_frac", "art_offset_px")
    return (*seen, *ARC_CENTRE, *magnitudes, *noise, *others)


def observe(images: NDArray[np.float32], psfsize: Floats, survey: Survey) -> dict[str, Floats]:
    """Measure cutouts; each row depends on its own pixels and psfsize alone.

    The median of blank sky, 8.4 to 11.8 arcsec from the middle, is taken from each band, and the bands of the colours
    are smoothed to the broadest psfsize. The host is the reddest of them, scaled to the bluest within 0.8 arcsec, and D
    the bluest less this host. In annuli of half a psfsize to either side of radii from 0.6 to 4.2 arcsec,
    S/N = sum D / (sigma_D sqrt(number of pixels)), sigma_D by the median absolute deviation in blank sky: a score, no
    significance, because neighbouring pixels share noise.

    Parameters
    ----------
    images : (N, S, S, B) float32
        Nanomaggies; NaN where there are no data.
    psfsize : (N, B) float64
        Arcsec, as of the survey.

    Returns
    -------
    columns : dict of (N,) float64
        In the order of `names`; NaN where there is nothing to measure it on. `obs_theta` (arcsec) and `obs_snr_*` are
        those of the annulus of the highest S/N; there `obs_contrast` is the mean of D over that of the bluest band
        within 0.8 arcsec, `obs_delta_*` the colour less that within 0.8 arcsec (mag), `obs_asymmetry`
        sum |D - D turned by 180 degrees| over sum |D|. `obs_arc_x_px` and `obs_arc_y_px` are the mean position, from
        the middle, of the pixels of D above 3 sigma_D between 0.6 arcsec and `obs_theta` plus a psfsize, where there
        are 5 of them. `obs_mag_*` are magnitudes within 1.5 arcsec. `art_noise_*` is the scatter of blank sky
        (nanomaggies), `art_sharpness_*` the flux within 0.4 over that within 0.8 arcsec and `art_offset_px` the
        distance from the middle of the centre of light within 0.4 arcsec, which arcs hardly move (of a galaxy 1 px off,
        some 0.2), both in the depth band; `art_nan_frac` and `art_zero_frac` are fractions of pixels.

    Raises
    ------
    InputError
        Cutouts too small to have blank sky.
    """
    at = _regions(images.shape[1], survey.pixel_scale_arcsec)
    parts = [_observed(images[i : i + BLOCK], psfsize[i : i + BLOCK], survey, at) for i in range(0, len(images), BLOCK)]
    return {name: np.concatenate([np.zeros(0), *(part[name] for part in parts)]) for name in names(survey)}


def refuse_unfit(size_px: int, bands: tuple[str, ...], survey: Survey, where: str) -> None:
    """Raise InputError for cutouts of other bands than the survey's, or too small to have blank sky."""
    if bands != survey.bands:
        raise InputError(f"{where}: bands are {', '.join(bands)}", f"make it of {', '.join(survey.bands)}")
    _regions(size_px, survey.pixel_scale_arcsec)


def arrays_of(columns: dict[str, Floats], usable: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Columns of `observe` as Arrow arrays; null where there is nothing to measure, or the cutout is not usable."""
    import pyarrow as pa

    return {
        name: pa.array(values, pa.float64(), mask=~(usable & np.isfinite(values))) for name, values in columns.items()
    }


@dataclass(frozen=True)
class _Regions:
    """Masks of the pixels (S, S) of each region, and pixels by distance from the middle, arcsec."""

    inner: NDArray[np.bool_]
    core: NDArray[np.bool_]
    aperture: NDArray[np.bool_]
    sky: NDArray[np.bool_]
    order: NDArray[np.int64]
    radius: Floats
    scale: float


@functools.lru_cache(maxsize=4)
def _regions(size: int, scale: float) -> _Regions:
    axis = (np.arange(size) - (size - 1) / 2) * scale
    radius = np.hypot(axis[:, None], axis[None, :])
    sky = (radius >= SKY_ARCSEC[0]) & (radius < SKY_ARCSEC[1])
    if sky.sum() < FEWEST_SKY_PX:
        least = int(np.ceil(2 * SKY_ARCSEC[0] / scale))
        raise InputError(f"cutouts of {size} px have no blank sky around a lens", f"make them of at least {least} px")
    inner, core, aperture = (radius < r for r in (INNER_ARCSEC, CORE_ARCSEC, APERTURE_ARCSEC))
    order = np.argsort(radius, axis=None, kind="stable")
    return _Regions(inner, core, aperture, sky, order, radius.ravel()[order], scale)


def _observed(images: NDArray[np.float32], psfsize: Floats, survey: Survey, at: _Regions) -> dict[str, Floats]:
    bands, depth = survey.bands, survey.bands.index(survey.depth_band)
    raw = np.moveaxis(images, 3, 1).astype(np.float64)  # (N, B, S, S)
    known = np.isfinite(raw)
    pixels = np.where(known, raw, np.nan)
    columns: dict[str, Floats] = {"art_nan_frac": (~known).mean(axis=(1, 2, 3)), "art_zero_frac": _zeros(raw)}
    level, noise = _sky_of(pixels[:, :, at.sky])
    pixels -= level[:, :, None, None]
    flux, core, inner = (pixels[:, :, region].sum(axis=2) for region in (at.aperture, at.core, at.inner))
    for b, band in enumerate(bands):
        columns[f"obs_mag_{band}"] = _magnitude(flux[:, b])
        columns[f"art_noise_{band}"] = noise[:, b]
    columns[f"art_{survey.depth('sharpness')}"] = _over(inner[:, depth], core[:, depth])
    columns["art_offset_px"] = _offset_px(pixels[:, depth], at.inner)
    return columns | _arcs(pixels, psfsize, survey, at)


def _arcs(pixels: Floats, psfsize: Floats, survey: Survey, at: _Regions) -> dict[str, Floats]:
    """What is seen of the arcs; `pixels` are (N, B, S, S), less the sky."""
    (bluest, bluer_than), (_, reddest) = survey.colours
    used = list(dict.fromkeys((bluest, bluer_than, reddest)))
    places = [survey.bands.index(band) for band in used]
    sizes = psfsize[:, places]
    broadest = np.where((sizes > 0).all(axis=1), sizes.max(axis=1), np.nan)
    even = _alike(pixels[:, places], sizes, broadest, at.scale)
    first, second, last = (used.index(band) for band in (bluest, bluer_than, reddest))
    core = even[:, :, at.core].sum(axis=2)
    excess = even[:, first] - _over(core[:, first], core[:, last])[:, None, None] * even[:, last]
    _, sigma = _sky_of(excess[:, None, at.sky])
    theta, snr = _strongest(excess, sigma[:, 0], broadest, at)
    ring = _ring(theta, broadest, at, excess.shape) & np.isfinite(excess)
    light, count = np.where(ring, excess, 0.0), ring.sum(axis=(1, 2)).astype(np.float64)
    turned = np.where(ring & ring[:, ::-1, ::-1], excess - excess[:, ::-1, ::-1], 0.0)
    there = [np.where(ring, even[:, b], 0.0).sum(axis=(1, 2)) for b in (first, second)]
    colours = [_magnitude(a) - _magnitude(b) for a, b in (there, (core[:, first], core[:, second]))]
    return {
        "obs_theta": theta,
        f"obs_snr_{bluest}": snr,
        "obs_contrast": _over(_over(light.sum(axis=(1, 2)), count), core[:, first] / at.core.sum()),
        _delta(survey): colours[0] - colours[1],
        "obs_asymmetry": _over(abs(turned).sum(axis=(1, 2)), abs(light).sum(axis=(1, 2))),
        **_arc_centre(excess > ARC_SIGMA * sigma[:, :, None], theta + broadest, at),
    }


def _arc_centre(bright: NDArray[np.bool_], within: Floats, at: _Regions) -> dict[str, Floats]:
    """Mean position, pixels from the middle, of the bright pixels (N, S, S) from 0.6 arcsec to a radius (N,)."""
    least = RADII_ARCSEC[0]
    arc = bright & _ring((least + within) / 2, within - least, at, bright.shape)
    count = arc.sum(axis=(1, 2))
    axis = np.arange(bright.shape[1]) - (bright.shape[1] - 1) / 2
    sums = ((arc.sum(axis=along) * axis).sum(axis=1) for along in (1, 2))
    return {
        name: _over(np.asarray(total), np.where(count < FEWEST_ARC_PX, 0, count))
        for name, total in zip(ARC_CENTRE, sums, strict=True)
    }


def _delta(survey: Survey) -> str:
    return f"obs_delta_{survey.colour_columns[0]}"


def _zeros(raw: Floats) -> Floats:
    return np.asarray((raw == 0).mean(axis=(1, 2, 3)))


def _sky_of(values: Floats) -> tuple[Floats, Floats]:
    """Median, and standard deviation by the median absolute deviation, of (N, B, pixels): (N, B) each; NaN without."""
    level, scatter = np.full(values.shape[:2], np.nan), np.full(values.shape[:2], np.nan)
    for i, b in np.ndindex(level.shape):
        known = values[i, b][np.isfinite(values[i, b])]
        if len(known):
            level[i, b] = np.median(known)
            scatter[i, b] = MAD_TO_SIGMA * np.median(abs(known - level[i, b]))
    return level, scatter


def _alike(planes: Floats, sizes: Floats, broadest: Floats, scale: float) -> Floats:
    """Planes (N, B, S, S) of psfsizes (N, B) smoothed to the broadest, (N,); NaN where that is unknown."""
    out = np.full(planes.shape, np.nan)
    sigma_px = np.sqrt(np.maximum(broadest[:, None] ** 2 - sizes**2, 0)) / (SIGMA_TO_FWHM * scale)
    for i, b in np.ndindex(sizes.shape):
        if np.isfinite(broadest[i]):
            out[i, b] = _smoothed(planes[i, b], float(sigma_px[i, b]))
    return out


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


def _strongest(excess: Floats, sigma: Floats, width: Floats, at: _Regions) -> tuple[Floats, Floats]:
    """Radius (arcsec) and S/N of the annulus of the highest S/N, half a width to either side: (N,), (N,)."""
    theta, snr = np.full(len(excess), np.nan), np.full(len(excess), np.nan)
    for i in np.flatnonzero((sigma > 0) & np.isfinite(width)):
        values = excess[i].ravel()[at.order]
        known = np.isfinite(values)
        total, count = (np.concatenate([[0.0], np.cumsum(v)]) for v in (np.where(known, values, 0.0), known))
        low = np.searchsorted(at.radius, RADII_ARCSEC - width[i] / 2, "left")
        high = np.searchsorted(at.radius, RADII_ARCSEC + width[i] / 2, "right")
        number = count[high] - count[low]
        score = _over(total[high] - total[low], sigma[i] * np.sqrt(number))
        if np.isfinite(score).any():
            best = int(np.nanargmax(score))
            theta[i], snr[i] = RADII_ARCSEC[best], score[best]
    return theta, snr


def _ring(theta: Floats, width: Floats, at: _Regions, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The annulus of each row, (N, S, S); empty where its radius is unknown."""
    near = np.zeros((len(theta), len(at.radius)), bool)
    near[:, at.order] = abs(at.radius[None] - theta[:, None]) <= width[:, None] / 2
    return near.reshape(shape)


def _over(above: Floats, below: Floats) -> Floats:
    """Quotient; NaN where the divisor is not above 0."""
    out: Floats = np.full(np.shape(above), np.nan)
    return np.divide(above, below, out=out, where=below > 0)


def _magnitude(flux: Floats) -> Floats:
    return np.asarray(22.5 - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)))


def _offset_px(planes: Floats, region: NDArray[np.bool_]) -> Floats:
    """Distance of the centre of light of (N, S, S) in a region from the middle, pixels: (N,)."""
    axis = np.arange(planes.shape[1]) - (planes.shape[1] - 1) / 2
    y, x = (each[region] for each in np.broadcast_arrays(axis[:, None], axis[None, :]))
    light = planes[:, region]
    total = light.sum(axis=1)
    return np.hypot(_over((light * x).sum(axis=1), total), _over((light * y).sum(axis=1), total))
