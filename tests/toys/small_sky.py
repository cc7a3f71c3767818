"""The seed and size of a small mock sky, and how to read a plane of it."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np

from lensctl.sky import coadds, pointings
from lensctl.sky.pointings import Size

SEED = 7
SMALL = Size(galaxies=260, lenses=20)


def plane(root: Path, pointing: pointings.Pointing, kind: str, band: str = "") -> np.ndarray:
    name = f"legacysurvey-{pointing.brick.name}-{kind}{'-' if band else ''}{band}.fits.fz"
    return fitsio.read(coadds.folder(root, pointing.brick) / name, ext=1)
