"""Lenses in hours or radians are an error, and those that lie near nothing are said with numbers."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from lensctl.io.reporter import SILENT
from lensctl.pool import pool
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys

JAVA = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs java")


class Told(type(SILENT)):
    """Keeps what people are told."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def made(tmp_path, factors=(1.0, 1.0), ra=10.0, shift=0.0, output="o.parquet", engine="local", others=(), first=0):
    """A pool of toy rows near ra 10, and lenses that are every fifth; `others` are further catalogues."""
    rows = toys.rows(400, ra=ra)
    toys.write_fits(rows, tmp_path / "s.fits")
    lenses = rows.select(["ra", "dec"]).take(np.arange(first, 400, 5))
    for i, (axis, factor) in enumerate(zip(("ra", "dec"), factors, strict=True)):
        lenses = lenses.set_column(i, axis, pa.array((lenses[axis].to_numpy() + shift) * factor))
    pyarrow.csv.write_csv(lenses, tmp_path / "lenses.csv")
    told = Told()
    options = {"lenses": [*others, tmp_path / "lenses.csv"], "workers": 1, "engine": engine, "report": told}
    receipt = pool(tmp_path / "s.fits", tmp_path / output, **options)
    return receipt, told.said


@pytest.mark.parametrize(("unit", "factors"), [("hours", (1 / 15, 1.0)), ("radians", (np.pi / 180, np.pi / 180))])
def test_lenses_in_another_unit_are_an_error(tmp_path, unit, factors):
    with pytest.raises(InputError, match=rf"in {unit}: so read, \d\d rows lie within 2 arcsec .* in degrees 0 lie"):
        made(tmp_path, factors)
    assert not (tmp_path / "o.parquet").exists()
    receipt, said = made(tmp_path)  # mended, the same command makes it
    assert receipt["rows"]
    assert not [text for text in said if text.startswith("warning")]


@JAVA
def test_so_they_are_for_spark(tmp_path):
    with pytest.raises(InputError, match=r"in hours: so read, \d\d rows lie within 2 arcsec .* in degrees 0 lie"):
        made(tmp_path, (1 / 15, 1.0), output="o", engine="spark")
    assert not (tmp_path / "o").exists()
    assert made(tmp_path, output="o", engine="spark")[0]["rows"]


def test_lenses_near_nothing_are_said(tmp_path):
    receipt, said = made(tmp_path, shift=20.0)
    (warning,) = [text for text in said if text.startswith("warning")]
    assert (
        f"of {receipt['rows']} rows none lies within 11 arcsec of any of the 80 lenses of {tmp_path}/lenses.csv"
        in warning
    )


@pytest.mark.parametrize("engine", ["local", pytest.param("spark", marks=[JAVA, pytest.mark.soak])])
def test_each_catalogue_is_judged_for_itself(tmp_path, engine):
    """Good lenses beside them, and all over the sky, do not hide those in hours or near nothing."""
    good = tmp_path / "good.csv"
    made(tmp_path, output="first.parquet", first=1)
    (tmp_path / "lenses.csv").rename(good)
    with good.open("a") as file:
        file.write("250.0,-20.0\n")
    with pytest.raises(InputError, match=r"/lenses.csv: its lenses are in hours: so read, \d\d rows lie within 2"):
        made(tmp_path, (1 / 15, 1.0), others=[good], output="o", engine=engine)
    _, said = made(tmp_path, shift=20.0, others=[good], output="o", engine=engine)
    (warning,) = [text for text in said if text.startswith("warning")]
    assert f"any of the 80 lenses of {tmp_path}/lenses.csv" in warning
