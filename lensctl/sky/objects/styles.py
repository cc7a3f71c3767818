"""The two styles of a mock sky: all numbers in which one differs from the other.

What was chosen on a sky of one style is judged on one of the other, which has other light profiles, PSF wings, noise,
colours, sources and kinds of galaxy. Neither is the real sky; a choice that holds on both may hold there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lensctl.rules.errors import InputError


@dataclass(frozen=True)
class Style:
    """Numbers of one style.

    Parameters
    ----------
    name : str
    psf_beta : float
        Of the Moffat PSFs; its scatter between bands and pointings is 0.1.
    noise_spread : float
        Share of a pixel's noise that each neighbour along an axis gets: 0 is independent pixels.
    kinds : mapping
        Kinds of galaxy and their fractions (see `population`).
    early_colours : ((redshift, ...), (g - r, ...), (r - z, ...))
        Colours of early-type galaxies by redshift.
    disc_g_r : (mean, scatter)
        Of plain discs.
    envelope : float
        Share of the light of early types and discs in an exponential envelope of 1.8 half-light radii, around a core
        of 0.65; with 0 they are single Sersic profiles.
    einstein_arcsec : mapping
        Median Einstein radius of each grade.
    source_colours : ((mean, scatter), (mean, scatter))
        Of g - r and r - z of lensed sources.
    source_r_half_arcsec : float
        Median half-light radius of sources.
    source_knots : (int, int)
        Least and greatest number of knots in a source, which have half of its light.
    """

    name: str
    psf_beta: float
    noise_spread: float
    kinds: Mapping[str, float]
    early_colours: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    disc_g_r: tuple[float, float]
    envelope: float
    einstein_arcsec: Mapping[str, float]
    source_colours: tuple[tuple[float, float], tuple[float, float]]
    source_r_half_arcsec: float
    source_knots: tuple[int, int]

    @property
    def noise_factor(self) -> float:
        """Standard deviation of a pixel's noise times sqrt(invvar): 1 where pixels are independent.

        Noise spread by the kernel (s, 1 - 2s, s) along each axis keeps the root of the sum of squares of the kernel,
        (1 - 2s)^2 + 2 s^2, once for each axis.
        """
        return (1 - 2 * self.noise_spread) ** 2 + 2 * self.noise_spread**2


DEFAULT = Style(
    name="default",
    psf_beta=2.5,
    noise_spread=0.0,
    kinds={
        "early": 0.54,
        "disc": 0.30,
        "spiral": 0.038,
        "ring": 0.020,
        "edge_on": 0.038,
        "clumpy": 0.033,
        "pair": 0.028,
    },
    early_colours=(
        (0.05, 0.15, 0.25, 0.35, 0.45, 0.60, 0.75, 0.95),
        (0.80, 1.02, 1.28, 1.55, 1.70, 1.76, 1.80, 1.80),
        (0.50, 0.58, 0.66, 0.74, 0.84, 1.08, 1.36, 1.60),
    ),
    disc_g_r=(0.68, 0.20),
    envelope=0.0,
    einstein_arcsec={"confident": 1.80, "probable": 1.50},
    source_colours=((0.18, 0.15), (0.22, 0.16)),
    source_r_half_arcsec=0.22,
    source_knots=(0, 0),
)
"""Colours are roughly those of passive galaxies; the PSF has the wings of the survey's (beta 2.2 to 2.5)."""

OTHER = Style(
    name="other",
    psf_beta=3.5,
    noise_spread=0.045,
    kinds={
        "early": 0.42,
        "disc": 0.36,
        "spiral": 0.060,
        "ring": 0.040,
        "edge_on": 0.050,
        "clumpy": 0.050,
        "pair": 0.020,
    },
    early_colours=(
        (0.05, 0.15, 0.25, 0.35, 0.45, 0.60, 0.75, 0.95),
        (0.74, 0.94, 1.17, 1.40, 1.56, 1.66, 1.72, 1.74),
        (0.42, 0.52, 0.62, 0.72, 0.85, 1.14, 1.46, 1.72),
    ),
    disc_g_r=(0.56, 0.24),
    envelope=0.35,
    einstein_arcsec={"confident": 1.50, "probable": 1.25},
    source_colours=((0.40, 0.25), (0.10, 0.25)),
    source_r_half_arcsec=0.32,
    source_knots=(1, 4),
)

STYLES = {style.name: style for style in (DEFAULT, OTHER)}


def style_of(name: str) -> Style:
    """The style of a name; InputError if there is none."""
    if name not in STYLES:
        raise InputError(f"there is no style '{name}' of a mock sky", f"choose from {', '.join(STYLES)}")
    return STYLES[name]
