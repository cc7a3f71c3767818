"""What the cutout service shows of a mock sky: pixels and catalogue rows, as the real one does of the real sky."""

from __future__ import annotations

import functools
from pathlib import Path

import fitsio
import numpy as np
from astropy.wcs import WCS

BRICK_DEG = 0.25


class MockSky:
    """The coadds and Tractor catalogues below a folder that `lensctl sky` made."""

    def __init__(self, root: Path) -> None:
        files = sorted((root / "south" / "tractor").rglob("*.fits"))
        self.rows = np.concatenate([fitsio.read(str(file)) for file in files])
        self._coadds = root / "south" / "coadd"
        centres = {brick: self.rows[self.rows["brickname"] == brick] for brick in np.unique(self.rows["brickname"])}
        self._bricks = {
            (brick.decode() if isinstance(brick, bytes) else str(brick)): (rows["ra"].mean(), rows["dec"].mean())
            for brick, rows in centres.items()
        }

    @functools.lru_cache(maxsize=400)  # noqa: B019
    def _image(self, brick: str, band: str) -> tuple[np.ndarray, WCS] | None:
        file = self._coadds / brick[:3] / brick / f"legacysurvey-{brick}-image-{band}.fits.fz"
        if not file.exists():
            return None
        data, header = fitsio.read(str(file), header=True)
        return data, WCS(dict(header), naxis=2)

    def pixels(self, ra: float, dec: float, size: int, bands: str) -> np.ndarray | None:
        """(B, S, S) float32 around a position, zeros where there is nothing; None where no brick touches."""
        place = min(self._bricks, key=lambda b: np.hypot(*self._offset(ra, dec, *self._bricks[b])))
        if np.hypot(*self._offset(ra, dec, *self._bricks[place])) > BRICK_DEG:
            return None
        planes = np.zeros((len(bands), size, size), np.float32)
        for plane, band in zip(planes, bands, strict=True):
            found = self._image(place, band)
            if found is None:
                continue
            data, wcs = found
            x, y = (int(np.rint(value)) - size // 2 for value in wcs.all_world2pix(ra, dec, 0))
            rows, columns = (slice(max(low, 0), low + size) for low in (y, x))
            part = data[rows, columns]
            plane[rows.start - y :, columns.start - x :][: part.shape[0], : part.shape[1]] = part
        return planes

    @staticmethod
    def _offset(ra: float, dec: float, ra0: np.ndarray, dec0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ((ra - ra0 + 180) % 360 - 180) * np.cos(np.radians(dec)), dec - dec0

    def box(self, ralo: float, rahi: float, declo: float, dechi: float) -> np.ndarray | None:
        """The primary Tractor rows in a box, cut in a tangent plane; None where no brick touches."""
        ra, dec = (ralo + rahi) / 2, (declo + dechi) / 2
        x, y = self._offset(self.rows["ra"], self.rows["dec"], ra, dec)
        if not (np.hypot(x, y) < BRICK_DEG).any():
            return None
        width = (rahi - ralo) * np.cos(np.radians(dec)) / 2
        inside = (np.abs(x) < width) & (np.abs(y) < (dechi - declo) / 2) & (self.rows["brick_primary"] != 0)
        return self.rows[inside]
