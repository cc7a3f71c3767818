"""The seed and size of a small mock sky, surveys other than the default to make it of, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa

from lensctl.io.tables.files import read_table
from lensctl.rules.survey import Survey
from lensctl.rules.survey_file import named_survey
from lensctl.sky import coadds, pointings
from lensctl.sky.pointings import Size

SEED = 7
SMALL = Size(galaxies=260, lenses=20)
SMALLEST = Size(galaxies=80, lenses=6)
SURVEYS = Path(__file__).resolve().parents[2] / "examples" / "surveys"


def example(name: str) -> Survey:
    """A survey of examples/surveys."""
    return named_survey(str(SURVEYS / f"{name}.yaml"))


@dataclass(frozen=True)
class Sky:
    """A mock sky as made, and the plan that it follows."""

    root: Path
    survey: Survey
    plan: list[pointings.Pointing]

    @property
    def tractor(self) -> np.ndarray:
        """All Tractor rows, in the order of the truth."""
        rows = np.concatenate([fitsio.read(file) for file in (self.root / "south" / "tractor").rglob("*.fits")])
        return rows[np.lexsort((rows["objid"], rows["brickid"]))]

    @property
    def truth(self) -> pa.Table:
        return read_table(str(self.root / "truth.parquet"))


def plane(root: Path, pointing: pointings.Pointing, kind: str, band: str = "") -> np.ndarray:
    return fitsio.read(coadds.folder(root, pointing) / coadds.file_name(pointing, kind, band), ext=1)
