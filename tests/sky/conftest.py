"""One small mock sky that all tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import fitsio
import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Chain, Step, extend
from lensctl.io.tables.files import read_table
from lensctl.sky import mock, pointings
from tests.toys.small_sky import SEED, SMALL


@pytest.fixture(scope="session")
def chain() -> Chain:
    return extend(Step("sky", {"seed": SEED}))


@pytest.fixture(scope="session")
def root(tmp_path_factory, chain) -> Path:
    place = tmp_path_factory.mktemp("sky")
    mock.make(place, SMALL, seed=SEED, workers=1, chain=chain)
    return place


@pytest.fixture(scope="session")
def plan() -> list[pointings.Pointing]:
    return pointings.plan(SEED, SMALL)


@pytest.fixture(scope="session")
def tractor(root) -> np.ndarray:
    rows = np.concatenate([fitsio.read(file) for file in (root / "south" / "tractor").rglob("*.fits")])
    return rows[np.lexsort((rows["objid"], rows["brickid"]))]  # as the truth is


@pytest.fixture(scope="session")
def truth(root) -> pa.Table:
    return read_table(str(root / "truth.parquet"))
