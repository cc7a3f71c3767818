"""The survey as a value: bands, pixels, layers, split. What holds for one survey stands here and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

GALACTIC_POLE_DEG = (192.85948, 27.12825)
"""North Galactic pole, ICRS (Perryman et al. 1997, The Hipparcos Catalogue, vol. 1, section 1.5.3)."""

SHARE_TOLERANCE = {"train": 0.05, "val": 0.03, "test": 0.03}
"""How far the share of each split may be from its fraction."""


@dataclass(frozen=True)
class Survey:
    """What a survey is made of.

    Parameters
    ----------
    name : str
    bands : tuple of str
        In the order of the last axis of a cutout.
    detection_band, depth_band : str
        The band whose flux decides what may be mistaken for a lens, and the one whose exposures, seeing and depth
        divide strata.
    picture_bands : (red, green, blue)
    pixel_scale_arcsec : float
    cutout_size_px : int
        Side of a cutout; odd, so that there is a centre.
    layer : str
        What the cutout service calls the survey's images.
    northern_layer : str
        The layer it shows instead in the north; empty where there is none.
    north_dec_deg : float
        The north lies above this declination, and north of the Galactic plane.
    split_fractions : mapping
        Fraction of the sky of each split, in the order in which the rule deals them.
    split_seed, split_nside : int
        Of the hash that deals HEALPix pixels (nested) to splits.
    """

    name: str
    bands: tuple[str, ...]
    detection_band: str
    depth_band: str
    picture_bands: tuple[str, str, str]
    pixel_scale_arcsec: float
    cutout_size_px: int
    layer: str
    northern_layer: str = ""
    north_dec_deg: float = 90.0
    split_fractions: Mapping[str, float] = field(default_factory=lambda: {"train": 0.70, "val": 0.15, "test": 0.15})
    split_seed: int = 42
    split_nside: int = 128

    @property
    def band_string(self) -> str:
        """The bands as files and the cutout service name them together, such as grz."""
        return "".join(self.bands)

    @property
    def split_edges(self) -> dict[str, float]:
        """Upper edge of the hash value of each split, in order; the last is exactly 1."""
        edges = [round(edge, 9) for edge in itertools.accumulate(self.split_fractions.values())]
        return dict(zip(self.split_fractions, edges, strict=True))

    @property
    def cutout_arcsec(self) -> float:
        """Side of a cutout, arcsec."""
        return self.cutout_size_px * self.pixel_scale_arcsec

    @property
    def share_limits(self) -> dict[str, tuple[float, float]]:
        """Least and greatest share of rows in each split."""
        return {
            name: (round(fraction - SHARE_TOLERANCE[name], 6), round(fraction + SHARE_TOLERANCE[name], 6))
            for name, fraction in self.split_fractions.items()
        }

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


LS_DR10 = Survey(
    name="ls-dr10",
    bands=("g", "r", "z"),
    detection_band="r",
    depth_band="z",
    picture_bands=("z", "r", "g"),
    pixel_scale_arcsec=0.262,
    cutout_size_px=101,
    layer="ls-dr10",
    northern_layer="ls-dr9-north",
    north_dec_deg=32.375,
)
"""Data Release 10 of the DESI Legacy Imaging Surveys in g, r and z (legacysurvey.org/dr10)."""
