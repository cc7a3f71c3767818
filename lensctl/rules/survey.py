"""The survey as a value: bands, pixels, layers, criteria, split. What holds for one survey stands here alone."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lensctl.rules.errors import InputError
from lensctl.rules.expressions import Expression
from lensctl.rules.survey_parts import STRICT, BandImaging, BrickLayout, CatalogColumn, ColourRedshift

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

GALACTIC_POLE_DEG = (192.85948, 27.12825)
"""North Galactic pole, ICRS (Perryman et al. 1997, The Hipparcos Catalogue, vol. 1, section 1.5.3)."""

SHARE_TOLERANCE = {"train": 0.05, "val": 0.03, "test": 0.03}
"""The splits, in the order of the rule, and how far the share of each may be from its fraction."""


@dataclass(frozen=True)
class Survey:
    """What a survey is made of.

    Parameters
    ----------
    name : str
    bands : tuple of str
        In the order of the last axis of a cutout.
    detection_band, depth_band : str
        Whose flux decides what may be mistaken for a lens; whose exposures, seeing and depth divide strata.
    picture_bands : (red, green, blue)
    colours : ((bluer, redder), (bluer, redder))
        Bands of the two colours in which galaxies are compared; a band and itself where there is no other.
    pixel_scale_arcsec : float
    cutout_size_px : int
    layer : str
        What the cutout service calls its images; the name says the release.
    northern_layer : str
        What it shows instead in the north; empty where there is none.
    north_dec_deg : float
        The north lies above this declination, and north of the Galactic plane.
    bricks : BrickLayout
    mask_bits : mapping
        Number of each named bit of `maskbits`.
    criteria : mapping
        Presets of `lensctl pool`, the default first: for each the criteria that a negative meets, by name, as
        expressions over columns (see `expressions`).
    strata : mapping
        Columns that divide the negatives, and the values for which there are any.
    confusers : mapping
        Classes of galaxies that may be mistaken for lenses, in the order in which they are tried, as expressions.
    match_arcsec, merge_arcsec, exclude_arcsec : float
        Radius to match a lens with a catalogue object, to merge duplicates of a lens, and to stay away from lenses.
    split_fractions : mapping
        Fraction of the sky of each split, in the order in which the rule deals them.
    split_seed : int
        Of the hash that deals HEALPix pixels to splits.
    columns : mapping
        Where columns come from in a catalogue of other names; empty for one with lensctl's own.
    imaging : mapping
        Typical imaging of each band; or empty.
    hosts : mapping
        Criteria of galaxies that could be lenses, by name, as expressions; or empty.
    colour_redshift : ColourRedshift
        Redshifts of passive galaxies by colour; or empty.

    Raises
    ------
    InputError
        A value contradicts another.
    """

    name: str
    bands: tuple[str, ...]
    detection_band: str
    depth_band: str
    picture_bands: tuple[str, str, str]
    colours: tuple[tuple[str, str], tuple[str, str]]
    pixel_scale_arcsec: float
    cutout_size_px: int
    criteria: Mapping[str, Mapping[str, str]]
    strata: Mapping[str, tuple[str, ...]]
    confusers: Mapping[str, str]
    layer: str = ""
    northern_layer: str = ""
    north_dec_deg: float = 90.0
    bricks: BrickLayout = field(default_factory=BrickLayout)
    mask_bits: Mapping[str, int] = field(default_factory=dict)
    match_arcsec: float = 5.0
    merge_arcsec: float = 3.0
    exclude_arcsec: float = 11.0
    split_fractions: Mapping[str, float] = field(default_factory=lambda: {"train": 0.70, "val": 0.15, "test": 0.15})
    split_seed: int = 42
    columns: Mapping[str, CatalogColumn] = field(default_factory=dict)
    imaging: Mapping[str, BandImaging] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    colour_redshift: ColourRedshift = field(default_factory=ColourRedshift)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        bands, fractions = self.bands, self.split_fractions
        all_bands = f"bands are {', '.join(bands)}"
        radii = (self.match_arcsec, self.merge_arcsec, self.exclude_arcsec)
        self._refuse(
            not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name), "the name is not one word", "use letters, digits, . - _"
        )
        self._refuse(not bands, "it has no bands", "name at least one")
        for band in bands:
            odd = not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", band)
            self._refuse(odd, f"band '{band}' is not a word of letters and digits", "columns are named after bands")
        twice = len({band.lower() for band in bands}) < len(bands)
        self._refuse(twice, "two bands have the same name, but for case", "catalogues are read without regard to case")
        for role, named in {
            "detection_band": (self.detection_band,),
            "depth_band": (self.depth_band,),
            "picture_bands": self.picture_bands,
            "colours": tuple(itertools.chain.from_iterable(self.colours)),
            "imaging": tuple(self.imaging),
        }.items():
            self._refuse(not set(named) <= set(bands), f"{role} names '{', '.join(named)}'", all_bands)
        self._refuse(0 < len(self.imaging) < len(bands), "imaging leaves out a band", all_bands)
        dark = [band for band, imaging in self.imaging.items() if not all(v > 0 for v in vars(imaging).values())]
        self._refuse(bool(dark), f"imaging of {', '.join(dark)} has a value of 0 or below", "all are above 0")
        self._refuse(not self.pixel_scale_arcsec > 0, "pixel_scale_arcsec must be above 0", "give arcsec per pixel")
        self._refuse(self.cutout_size_px < 16, "cutout_size_px must be at least 16", "give the side in pixels")
        self._refuse(not self.criteria, "it has no criteria", "give at least one preset of criteria for the pool")
        self._refuse(not all(r >= 0 for r in radii), "a radius is negative", "give arcsec, 0 or more")
        order = ", ".join(SHARE_TOLERANCE)
        self._refuse(
            ", ".join(fractions) != order, f"splits {', '.join(fractions)}", f"they are {order}, in this order"
        )
        wrong = not (all(f > 0 for f in fractions.values()) and abs(sum(fractions.values()) - 1) <= 1e-9)
        self._refuse(wrong, "split_fractions are not above 0, or do not add up to 1", "such as 0.7, 0.15, 0.15")
        for named_texts in (*self.criteria.values(), self.confusers, self.hosts):
            for text in named_texts.values():
                self.expression(text)

    def _refuse(self, wrong: bool, message: str, fix: str) -> None:
        if wrong:
            raise InputError(f"survey {self.name}: {message}", fix)

    def __hash__(self) -> int:
        return hash(self.as_text)

    @functools.cached_property
    def as_text(self) -> str:
        """All values as one line of JSON; the order of criteria, classes and splits counts.

        What 0.1.0 did not know is left out where it is empty, so that a survey of then is the same text still.
        """
        values = dataclasses.asdict(self)
        for name in ("hosts", "colour_redshift"):
            if getattr(self, name) in ({}, ColourRedshift()):
                del values[name]
        return json.dumps(values, separators=(",", ":"), allow_nan=False)

    def expression(self, text: str) -> Expression:
        """A criterion over the survey's columns and mask bits."""
        return Expression(text, tuple(sorted(self.mask_bits.items())))

    def per_band(self, name: str) -> tuple[str, ...]:
        """Columns of one quantity in every band, such as flux_g, flux_r, flux_z."""
        return tuple(f"{name}_{band}" for band in self.bands)

    def depth(self, name: str) -> str:
        """Column of a quantity in the depth band, such as nobs_z."""
        return f"{name}_{self.depth_band}"

    @property
    def nobs_bin(self) -> str:
        """Column of the bin of exposures in the depth band, such as nobs_z_bin."""
        return f"nobs_{self.depth_band}_bin"

    @property
    def detection_flux(self) -> str:
        """Column of the flux in the detection band, such as flux_r."""
        return f"flux_{self.detection_band}"

    @property
    def colour_columns(self) -> tuple[str, str]:
        """Columns of the two colours, such as g_minus_r and r_minus_z."""
        (a, b), (c, d) = self.colours
        return f"{a}_minus_{b}", f"{c}_minus_{d}"

    @property
    def band_string(self) -> str:
        """The bands as the cutout service names them together, such as grz."""
        return "".join(self.bands)

    @property
    def picture_order(self) -> tuple[int, int, int]:
        """Places of the red, green and blue band among the bands."""
        red, green, blue = (self.bands.index(band) for band in self.picture_bands)
        return red, green, blue

    @property
    def split_edges(self) -> dict[str, float]:
        """Upper edge of the hash value of each split, in order; the last is exactly 1."""
        edges = (round(edge, 9) for edge in itertools.accumulate(self.split_fractions.values()))
        return dict(zip(self.split_fractions, edges, strict=True))

    @property
    def in_legacy_surveys(self) -> bool:
        """Whether its images are those of the Legacy Surveys, by the name of the layer."""
        return self.layer.startswith("ls-dr")

    @property
    def cutout_arcsec(self) -> float:
        """Side of a cutout, arcsec."""
        return self.cutout_size_px * self.pixel_scale_arcsec

    @property
    def share_limits(self) -> dict[str, tuple[float, float]]:
        """Least and greatest share of rows in each split."""
        around = {name: (fraction, SHARE_TOLERANCE[name]) for name, fraction in self.split_fractions.items()}
        return {name: (round(max(f - off, 0.0), 6), round(min(f + off, 1.0), 6)) for name, (f, off) in around.items()}

    def is_north(self, ra: ArrayLike, dec: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions (degrees, ICRS) lie where the northern layer is shown: (N,) bool."""
        import numpy as np

        ra, dec = np.asarray(ra, float), np.asarray(dec, float)
        if not self.northern_layer:
            return np.zeros(np.broadcast(ra, dec).shape, bool)
        pole_ra, pole_dec = np.radians(GALACTIC_POLE_DEG)
        delta = np.radians(dec)
        sin_b = np.sin(delta) * np.sin(pole_dec) + np.cos(delta) * np.cos(pole_dec) * np.cos(np.radians(ra) - pole_ra)
        return np.asarray((dec > self.north_dec_deg) & (sin_b > 0))


_BITS = """NPRIMARY BRIGHT SATUR_G SATUR_R SATUR_Z ALLMASK_G ALLMASK_R ALLMASK_Z WISEM1 WISEM2 BAILOUT MEDIUM GALAXY
CLUSTER SATUR_I ALLMASK_I SUB_BLOB"""  # from legacysurvey.org/dr10/bitmasks, from bit 0

_PLAN = {
    "type": "type in ('SER', 'DEV', 'REX')",
    "maskbits": "maskbits == 0",
    "nobs_g": "nobs_g >= 1",
    "nobs_r": "nobs_r >= 1",
    "nobs_z": "nobs_z >= 3",
}

_PAPER4 = {
    **_PLAN,
    "maskbits": "bits(maskbits, 'BRIGHT', 'ALLMASK_G', 'ALLMASK_R', 'ALLMASK_Z', 'MEDIUM', 'GALAXY', 'CLUSTER') == 0",
    "nobs_g": "nobs_g >= 3",
    "nobs_r": "nobs_r >= 3",
    "mag_z": "mag_z < 20",
    "dec": "-18 < dec < 32",
}

_CONFUSERS = {
    "ring_proxy": "flux_r >= 5 and (type == 'DEV' or type == 'SER' and sersic >= 4)",
    "edge_on_proxy": "type in ('EXP', 'SER', 'DEV') and (shape_e1**2 + shape_e2**2 >= 0.25 and shape_r >= 0.6"
    " or unknown(shape_e1**2 + shape_e2**2) and shape_r >= 1.8)",
    "blue_clumpy": "g_minus_r <= 0.4 and mag_r <= 20.5",
    "large_galaxy": "shape_r >= 2.0 and flux_r >= 3",
}
"""The classes of the published negative sample, with ellipticity (|e| >= 0.5) and Sersic index."""

_HOSTS = {
    "type": "type == 'DEV' or type == 'SER' and sersic >= 2.5",
    "mag_z": "17.0 <= mag_z <= 20.4",
    "colours": "g_minus_r >= 0.9 and r_minus_z >= 0.5",
    "nobs": "nobs_g >= 1 and nobs_r >= 1 and nobs_z >= 3",
    "maskbits": "maskbits == 0",
}
"""Massive early types at the redshifts of known lenses."""

_PASSIVE = ColourRedshift(
    (0.05, 0.15, 0.25, 0.35, 0.45, 0.60, 0.75, 0.95),
    {
        "g_minus_r": (0.80, 1.02, 1.28, 1.55, 1.70, 1.76, 1.80, 1.80),
        "r_minus_z": (0.50, 0.58, 0.66, 0.74, 0.84, 1.08, 1.36, 1.60),
    },
)
"""Roughly those of passive galaxies, to some 0.05 in redshift."""

_IMAGING = {
    "g": BandImaging(0.472, 1.38, 0.0060, 3100.0, 22.0),
    "r": BandImaging(0.642, 1.26, 0.0078, 3800.0, 22.0),
    "i": BandImaging(0.784, 1.22, 0.0125, 4400.0, 26.0),
    "z": BandImaging(0.926, 1.20, 0.0205, 5700.0, 32.0),
}
"""Effective wavelengths of DECam's filters; the rest are round numbers close to DR10 coadds (i between r and z), with a
sky of 0.11, 0.23 and 2.4 nanomaggies a pixel in g, r and z, as the slope of invvar with brightness says in DR9."""

LS_DR10 = Survey(
    name="ls-dr10",
    bands=("g", "r", "z"),
    detection_band="r",
    depth_band="z",
    picture_bands=("z", "r", "g"),
    colours=(("g", "r"), ("r", "z")),
    pixel_scale_arcsec=0.262,
    cutout_size_px=101,
    criteria={"plan": _PLAN, "paper4": _PAPER4},
    strata={"nobs_z_bin": ("3-5", "6-10", "11+"), "type": ("SER", "DEV", "REX")},
    confusers=_CONFUSERS,
    layer="ls-dr10",
    northern_layer="ls-dr9-north",
    north_dec_deg=32.375,
    mask_bits={name: bit for bit, name in enumerate(_BITS.split())},
    imaging={band: _IMAGING[band] for band in "grz"},
    hosts=_HOSTS,
    colour_redshift=_PASSIVE,
)
"""Data Release 10 of the DESI Legacy Imaging Surveys in g, r and z (legacysurvey.org/dr10)."""

LS_DR10_GRIZ = dataclasses.replace(
    LS_DR10,
    name="ls-dr10-griz",
    bands=("g", "r", "i", "z"),
    criteria={"plan": {**_PLAN, "nobs_i": "nobs_i >= 1"}, "paper4": {**_PAPER4, "nobs_i": "nobs_i >= 3"}},
    imaging=_IMAGING,
)
"""The same release in g, r, i and z; the north, which is DR9, has no i."""

BUILT_IN = {survey.name: survey for survey in (LS_DR10, LS_DR10_GRIZ)}
"""Surveys that need no file."""
