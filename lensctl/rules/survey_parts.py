"""Parts of a survey's description: imaging of a band, bricks, columns of other catalogues, colours by redshift."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from lensctl.rules.errors import InputError

STRICT = {"extra": "forbid", "allow_inf_nan": False}
"""How pydantic reads them: no unknown key, no NaN."""


@dataclass(frozen=True)
class BandImaging:
    """Typical imaging in one band, from which `lensctl sky` makes a mock.

    Effective wavelength; median psfsize, the FWHM of the Gaussian with the PSF's noise-equivalent area; of an exposure
    the sky's noise in a pixel, and the gain; saturation of a pixel."""

    wavelength_um: float
    psf_fwhm_arcsec: float
    noise_nanomaggy: float
    electrons_per_nanomaggy: float
    saturation_nanomaggy: float

    __pydantic_config__ = STRICT

    @property
    def sky_nanomaggy(self) -> float:
        """Brightness of the sky in a pixel, whose electrons make the noise: noise^2 = sky / gain."""
        return self.noise_nanomaggy**2 * self.electrons_per_nanomaggy


@dataclass(frozen=True)
class BrickLayout:
    """Height of a brick in declination, side of its coadd; FOLDER/BRICK[:3]/BRICK/PREFIX-BRICK-image-BAND.fits*."""

    size_deg: float = 0.25
    side_px: int = 3600
    prefix: str = "legacysurvey"
    folders: tuple[str, ...] = ("coadd", "south/coadd")

    __pydantic_config__ = STRICT


@dataclass(frozen=True)
class CatalogColumn:
    """Where a column comes from in a catalogue of other names: a column there, times `factor`, or a constant.

    `unit` is that of the catalogue, such as mag (AB), uJy or arcmin; empty if it is the one lensctl uses.
    """

    column: str | None = None
    unit: str = ""
    factor: float = 1.0
    constant: int | float | str | None = None

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if (self.column is None) == (self.constant is None):
            raise InputError("a column of the survey needs either 'from' or 'constant'", "give one of them")
        if self.constant is not None and (self.unit or self.factor != 1.0):
            raise InputError("a constant has neither unit nor factor", "give its value as lensctl uses it")


@dataclass(frozen=True)
class ColourRedshift:
    """Colours of passive galaxies by redshift, without extinction: from them a redshift where nothing better is known.

    Redshifts in ascending order; for each colour, by its column, the colour at each of them; and how far, in mag, a
    galaxy's colours may lie from this line: farther away its redshift is unknown.
    """

    redshift: tuple[float, ...] = ()
    colours: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    within_mag: float = 0.3

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        lengths = {len(self.redshift), *map(len, self.colours.values())}
        if lengths != {0} and (len(lengths) > 1 or len(self.redshift) < 2 or not self.colours):
            raise InputError(
                "colour_redshift is not a table of 2 rows or more", "give every colour one value for each redshift"
            )
        if any(not low < high for low, high in itertools.pairwise((0.0, *self.redshift))):
            raise InputError("redshifts of colour_redshift are not ascending from above 0", "sort its rows by redshift")
        if not self.within_mag > 0:
            raise InputError("within_mag of colour_redshift must be above 0", "such as 0.3")
