"""Rows that a model may know from its training: of train and val, with a cutout that reaches into them, or by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from lensctl.astro import geometry
from lensctl.io.tables.files import read_table
from lensctl.learning.data.held_out import splits_by
from lensctl.rules import schema
from lensctl.rules.errors import InputError
from lensctl.rules.split import NSIDE, SPLITS
from lensctl.rules.survey import Survey

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from lensctl.learning.data.row_selection import Fold

POINTS_A_SIDE = 64
"""Of a cutout's edge, where its corners lie in several pixels: 0.4 arcsec apart."""
SEEN = ("train", "val")
AT_ONCE = 50_000


@dataclass(frozen=True)
class Training:
    """What a model was trained on.

    Parameters
    ----------
    survey : Survey
        Its split rule, and the size of cutouts.
    fold : Fold, optional
        Of a model trained on a fold, whose splits are others.
    ids : mapping
        Split by galaxy_id of a manifest's rows in train and val.
    """

    survey: Survey
    fold: Fold | None = None
    ids: Mapping[str, str] = field(default_factory=dict)

    def splits(self, pixels: NDArray[np.int64]) -> NDArray[np.str_]:
        """Split of HEALPix pixels of nside 128: (N,) int64 to (N,) text."""
        return splits_by(pixels, self.fold, self.survey)

    def seen(
        self, galaxy_id: ArrayLike, ra: NDArray[np.float64], dec: NDArray[np.float64], pixels: NDArray[np.int64]
    ) -> NDArray[np.object_]:
        """Why each row is not independent of the training; None if it is.

        Parameters
        ----------
        galaxy_id, ra, dec : (N,)
            Degrees.
        pixels : (N,) int64
            HEALPix, nside 128.

        Returns
        -------
        (N,) object
            `train` or `val` by the split rule, `box reaches train` or `box reaches val` for a cutout of another split
            that reaches into them, or `manifest: train` or `manifest: val`.
        """
        own = self.splits(pixels)
        found = np.full(len(own), None, object)
        found[np.isin(own, SEEN)] = own[np.isin(own, SEEN)]
        for first in range(0, len(ra), AT_ONCE):
            free = first + np.flatnonzero(~found[first : first + AT_ONCE].astype(bool))
            found[free] = self._reached(ra[free], dec[free], pixels[free])
        if self.ids:
            for row, id in enumerate(np.asarray(galaxy_id, object).tolist()):
                if found[row] is None and id in self.ids:
                    found[row] = f"manifest: {self.ids[id]}"
        return found

    def _reached(
        self, ra: NDArray[np.float64], dec: NDArray[np.float64], pixels: NDArray[np.int64]
    ) -> NDArray[np.object_]:
        half = self.survey.cutout_arcsec / 2
        found = np.full(len(ra), None, object)
        if not len(ra):
            return found
        corners = _pixels(ra, dec, half * np.array([-1, -1, 1, 1]), half * np.array([-1, 1, -1, 1]))
        edge = np.flatnonzero((corners != pixels[:, None]).any(axis=1))  # elsewhere the box lies in one pixel
        if not len(edge):
            return found
        along = np.linspace(-half, half, POINTS_A_SIDE)
        east = np.concatenate([along, along, np.full(POINTS_A_SIDE, -half), np.full(POINTS_A_SIDE, half)])
        north = np.concatenate([np.full(POINTS_A_SIDE, -half), np.full(POINTS_A_SIDE, half), along, along])
        around = _pixels(ra[edge], dec[edge], east, north)
        splits = self.splits(around.reshape(-1)).reshape(around.shape)
        for split in reversed(SEEN):
            found[edge[(splits == split).any(axis=1)]] = f"box reaches {split}"
        return found


def _pixels(
    ra: NDArray[np.float64], dec: NDArray[np.float64], east_arcsec: ArrayLike, north_arcsec: ArrayLike
) -> NDArray[np.int64]:
    """HEALPix pixel of points around positions: (N, M)."""
    import healpy

    points = geometry.points_around(ra, dec, east_arcsec, north_arcsec)
    return np.asarray(healpy.vec2pix(NSIDE, *np.moveaxis(points, -1, 0), nest=True), np.int64)


def ids_of(manifest: pa.Table, where: str) -> dict[str, str]:
    """Split by galaxy_id of a manifest's rows in train and val.

    Raises InputError if it lacks these columns, or names another split.
    """
    schema.require(manifest, "galaxy_id", "split", where=where)
    schema.refuse_nulls(manifest, "galaxy_id", "split", where=where)
    pairs = dict(zip(manifest["galaxy_id"].to_pylist(), manifest["split"].to_pylist(), strict=True))
    other = next((split for split in pairs.values() if split not in SPLITS), None)
    if other is not None:
        raise InputError(f"{where}: split '{other}' is none of {', '.join(SPLITS)}", "name a training manifest")
    return {id: split for id, split in pairs.items() if split in SEEN}


def read_ids(path: str) -> tuple[dict[str, str], pa.Table]:
    """`ids_of` the manifest at a path, and the manifest."""
    manifest = read_table(path)
    return ids_of(manifest, path), manifest
