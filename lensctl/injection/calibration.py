"""What a store's pixels tell of their noise: the sky's brightness by invvar's slope, and how it is shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import photon_noise
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lensctl.rules.survey import Survey

MEASURED, NOMINAL, GIVEN = "measured", "nominal", "file"
MOST_FROM_NOMINAL, LEAST_SIGMA = 2.5, 3.0
"""A measured sky brightness further from the nominal one, or a slope of less significance, is not used."""

PIXELS_OF_CUTOUT = 60
"""Bright pixels of each cutout that are used: many cutouts tell more than many pixels of one."""

FEWEST_CUTOUTS, MOST_ERROR = 5, 0.1
"""Cutouts that tell the sky's brightness alone, for their median to count; its largest relative error in one."""

LEAST_SHARE = 0.7
"""Least share of a pixel's noise that is its own: below it sources were taken for noise."""


@dataclass(frozen=True)
class Calibration:
    """Noise of a store in each band.

    Parameters
    ----------
    sky : (B,) float64
        Brightness S of the sky, nanomaggies a pixel: a cutout whose blank sky has variance v0 has the gain S/v0.
    source : tuple of str
        measured, nominal or file, for each band.
    share : (B,) float64
        Share of a pixel's noise variance that is its own.
    gain : (B,) float64, optional
        Electrons per nanomaggy, where a file gives them.
    remarks : tuple of str
        Why something was not measured.
    """

    sky: NDArray[np.float64]
    source: tuple[str, ...]
    share: NDArray[np.float64]
    gain: NDArray[np.float64] | None = None
    remarks: tuple[str, ...] = ()

    def gains(
        self, blank_variance: NDArray[np.float64], skies: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Gain of cutouts from the variance of their blank sky, and from their own sky if known: all (N, B)."""
        if self.gain is not None:
            return np.broadcast_to(self.gain, blank_variance.shape)
        return np.asarray((self.sky if skies is None else skies) / blank_variance)


def calibrate(
    survey: Survey,
    images: NDArray[np.float32],
    invvar: NDArray[np.float32] | None,
    maskbits: NDArray[np.integer] | None = None,
    *,
    nominal: bool = False,
    given: Mapping[str, float] | None = None,
) -> Calibration:
    """Measure the noise of some cutouts of a store.

    Parameters
    ----------
    images, invvar : (N, S, S, B) float32
    maskbits : (N, S, S) int, optional
    nominal : bool
        Take the survey's own sky brightness, whatever the pixels say.
    given : mapping, optional
        Gain of each band, electrons per nanomaggy.

    Raises
    ------
    InputError
        A gain that cannot be measured, of a survey without a nominal sky brightness.
    """
    bands = len(survey.bands)
    sky, source, remarks = np.full(bands, np.nan), [], []
    share = np.ones(bands)
    if invvar is not None:
        inner = images.shape[1] // 3
        shares = photon_noise.share_in_pixel(images, invvar, inner)
        known = np.isfinite(shares).any(axis=0)
        share[known] = np.clip(np.nanmedian(shares[:, known], axis=0), LEAST_SHARE, 1.0)
    if given is not None:
        gain = np.array([given[band] for band in survey.bands])
        return Calibration(sky, (GIVEN,) * bands, share, gain)
    for b, band in enumerate(survey.bands):
        expected = survey.imaging[band].sky_nanomaggy if band in survey.imaging else None
        measured, reason = None, "by request"
        if not nominal:
            measured, reason = _measured(images, invvar, maskbits, b)
        if measured is not None and expected is not None and not _is_near(measured.nanomaggy, expected):
            reason, measured = f"the slope gives a sky of {measured.nanomaggy:.3g} nanomaggies a pixel", None
        if measured is None and expected is None:
            raise InputError(
                f"the gain in {band} cannot be measured ({reason}), and survey {survey.name} names none",
                "give --gain FILE, or `imaging` in the survey's file",
            )
        if measured is None:
            remarks.append(f"{band}: the nominal sky of {expected:.3g} nanomaggies a pixel is used ({reason})")
        sky[b] = measured.nanomaggy if measured is not None else expected
        source.append(MEASURED if measured is not None else NOMINAL)
    return Calibration(sky, tuple(source), share, None, tuple(remarks))


def _measured(
    images: NDArray[np.float32], invvar: NDArray[np.float32] | None, maskbits: NDArray[np.integer] | None, band: int
) -> tuple[photon_noise.Sky | None, str]:
    """The sky's brightness in a band, or None and why.

    The median of the cutouts that tell it alone, as it differs from place to place; with few of those, by the pixels of
    all together.
    """
    if invvar is None:
        return None, "the store has no invvar"
    masks = maskbits if maskbits is not None else [None] * len(images)
    samples = [
        photon_noise.sample_of(image[..., band], weight[..., band], mask, PIXELS_OF_CUTOUT)
        for image, weight, mask in zip(images, invvar, masks, strict=True)
    ]
    alone = [sky for sky in map(photon_noise.sky_of, samples) if sky is not None and _is_significant(sky)]
    if len(alone) >= FEWEST_CUTOUTS:
        values = np.array([sky.nanomaggy for sky in alone])
        error = 1.4826 * np.median(abs(values - np.median(values))) / np.sqrt(len(values))
        return photon_noise.Sky(float(np.median(values)), float(error), sum(sky.pixels for sky in alone)), ""
    found = photon_noise.sky_of(photon_noise.joined(samples)) if samples else None
    if found is None:
        return None, "invvar does not grow less with brightness, or there are too few bright pixels"
    if not _is_significant(found):
        return None, f"the slope of invvar with brightness has less than {LEAST_SIGMA:g} sigma"
    return found, ""


def _is_significant(sky: photon_noise.Sky) -> bool:
    return sky.nanomaggy >= LEAST_SIGMA * sky.error


def skies_of(
    found: Calibration, images: NDArray[np.float32], invvar: NDArray[np.float32], maskbits: NDArray[np.integer] | None
) -> NDArray[np.float64]:
    """Brightness of the sky in each cutout and band, by its own pixels where they tell it: (N, B) nanomaggies.

    Where they do not, or where the store's was not measured, it is that of the store.
    """
    masks = maskbits if maskbits is not None else [None] * len(images)
    skies = np.tile(found.sky, (len(images), 1))
    for i, (image, weight, mask) in enumerate(zip(images, invvar, masks, strict=True)):
        for b in np.flatnonzero([word == MEASURED for word in found.source]):
            own = photon_noise.sky_of(photon_noise.sample_of(image[..., b], weight[..., b], mask, PIXELS_OF_CUTOUT))
            if own is not None and own.error < MOST_ERROR * own.nanomaggy and _is_near(own.nanomaggy, found.sky[b]):
                skies[i, b] = own.nanomaggy
    return skies


def _is_near(one: float, other: float) -> bool:
    return bool(1 / MOST_FROM_NOMINAL < one / other < MOST_FROM_NOMINAL)
