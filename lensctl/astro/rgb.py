"""Colour images of cutouts: three bands as red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lensctl.rules.survey import LS_DR10, Survey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOFTENING = 20.0
BAND_GAIN = {"g": 6.0, "r": 3.4, "z": 2.2}
"""Of ls-dr10, chosen to look like the Legacy Surveys sky viewer."""
NOISE_SHOWN = 0.016
"""What the sky noise of a pixel becomes, as in a typical cutout of ls-dr10, in bands without a gain."""
SKY_LEVEL = 0.03
"""Added to each band, so that the sky is dark grey and its noise visible."""
HOLE = (110, 40, 110)
"""Colour of missing pixels: a muted magenta."""
MAD_TO_SIGMA = 1.4826


def picture_planes(count: int, survey: Survey) -> tuple[int, int, int]:
    """Planes shown as red, green and blue: the survey's picture bands; the last, middle and first if it has others."""
    if count == len(survey.bands):
        return survey.picture_order
    return count - 1, (count - 1) // 2, 0


def lupton_rgb(images: NDArray[np.float32], survey: Survey = LS_DR10) -> NDArray[np.uint8]:
    """Asinh colour images, stretched by their mean so that faint parts keep their hue.

    After Lupton et al. 2004, PASP 116, 133. Bright cores saturate in each band, towards white. Surveys of the layer of
    ls-dr10 have its gains; in others the noise of each image is equally visible in all bands.

    Parameters
    ----------
    images : (..., H, W, B) float32
        Nanomaggies, of any number of bands; see `picture_planes` for which are shown. NaN is shown as a hole; a band
        without any finite pixel is shown dark.
    survey : Survey

    Returns
    -------
    (..., H, W, 3) uint8
        Red, green, blue.
    """
    import numpy as np

    planes = np.take(images, picture_planes(images.shape[-1], survey), axis=-1).astype(np.float32)
    bad = ~np.isfinite(planes)
    absent = bad.all(axis=(-3, -2), keepdims=True)
    holes = np.where(absent.all(axis=-1, keepdims=True), True, bad & ~absent).any(axis=-1)
    tuned = survey.in_legacy_surveys and set(survey.picture_bands) <= set(BAND_GAIN)
    if tuned and images.shape[-1] == len(survey.bands):
        gains = np.array([BAND_GAIN[band] for band in survey.picture_bands], np.float32)
    else:
        gains = _gains_by_noise(planes)
    lit = np.maximum(np.where(bad, 0.0, planes) * gains + SKY_LEVEL, 0.0)
    mean = np.maximum(lit.mean(axis=-1, keepdims=True), 1e-6)
    shown = lit * (np.arcsinh(SOFTENING * mean) / np.sqrt(SOFTENING) / mean)
    picture: NDArray[np.uint8] = (np.clip(shown, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    picture[holes] = HOLE
    return picture


def _gains_by_noise(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gain of each plane of each image, from the differences of neighbouring pixels: (..., H, W, 3) to (..., 1, 1, 3).

    It is 1 where there is no noise.
    """
    import numpy as np

    difference = np.abs(np.diff(planes, axis=-2))
    difference[~np.isfinite(difference)] = np.nan
    known = ~np.isnan(difference).all(axis=(-3, -2), keepdims=True)
    noise = MAD_TO_SIGMA / np.sqrt(2) * np.nanmedian(np.where(known, difference, 0.0), axis=(-3, -2), keepdims=True)
    gains: NDArray[np.float32] = np.divide(NOISE_SHOWN, noise, out=np.ones(noise.shape, np.float32), where=noise > 0)
    return gains
