"""Nothing near a lens is drawn, wherever it lies; lenses in hours or radians are an error, in either engine."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro import geometry
from lensctl.io.tables.files import write_table
from lensctl.io.tables.sql import Database
from lensctl.rules.errors import InputError
from lensctl.sample import sample
from lensctl.sample.engine import CANDIDATES
from lensctl.sample.near_lenses import exclude_near
from tests.toys import catalogs as toys

POOL = toys.pool(4000)
JAVA = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs java")


def test_nothing_near_a_lens_is_drawn_wherever_it_lies():
    """Lenses put 10.9 and 11.1 arcsec from pool rows, at RA 0 and near a pole too."""
    near_zero = toys.pool(300, 5, ra=359.99999 - 4.0, dec=80.0)
    near_zero = near_zero.set_column(
        near_zero.schema.get_field_index("ra"),
        "ra",
        pa.array(np.where(np.arange(near_zero.num_rows) % 2, 359.9999, 0.0)),
    )
    for pool in (POOL, near_zero):
        ra, dec = pool["ra"].to_numpy(), pool["dec"].to_numpy()
        for offset, expected in ((10.9, True), (11.1, False)):
            lenses = pa.table({"ra": ra, "dec": dec + offset / 3600})
            _, separation = geometry.nearest(ra, dec, lenses["ra"].to_numpy(), lenses["dec"].to_numpy())
            expected_near = int((separation <= 11.0).sum())
            with Database() as database:
                database.register(CANDIDATES, pool, located=True)
                found = exclude_near(database, lenses, 11.0, ())
            assert found == expected_near
            assert (found >= pool.num_rows * 0.9) or not expected


@pytest.mark.parametrize(
    ("unit", "factors", "engine"),
    [
        ("hours", (1 / 15, 1.0), "duckdb"),
        ("radians", (np.pi / 180, np.pi / 180), "duckdb"),
        pytest.param("radians", (np.pi / 180, np.pi / 180), "spark", marks=[JAVA, pytest.mark.soak]),
        pytest.param("hours", (1 / 15, 1.0), "spark", marks=[JAVA, pytest.mark.soak]),
    ],
)
def test_lenses_in_another_unit_are_an_error(tmp_path, engine, unit, factors):
    write_table(POOL, str(tmp_path / "pool.parquet"))
    write_table(toys.positives(9), str(tmp_path / "positives.parquet"))
    lenses = POOL.select(["ra", "dec"]).take(np.arange(0, POOL.num_rows, 50))
    write_table(lenses, str(tmp_path / "degrees.csv"))
    other = {axis: lenses[axis].to_numpy() * of for axis, of in zip(("ra", "dec"), factors, strict=True)}
    write_table(pa.table(other), str(tmp_path / "other.csv"))

    def drawn(catalogue):
        options = {"positives": tmp_path / "positives.parquet", "lenses": tmp_path / catalogue, "engine": engine}
        return sample(tmp_path / "pool.parquet", tmp_path / "o.parquet", negatives_per_positive=1, **options)

    with pytest.raises(InputError, match=rf"in {unit}: so read, \d+ rows lie within 2 arcsec .* in degrees \d lie"):
        drawn("other.csv")
    assert not (tmp_path / "o.parquet").exists()
    assert drawn("degrees.csv")["near_lenses"] >= lenses.num_rows
