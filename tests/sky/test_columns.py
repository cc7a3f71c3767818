"""Columns are those of DR10's own file pages: names, order, dtypes, units and case."""

from __future__ import annotations

import csv

import fitsio
import pytest

from lensctl.sky import columns


@pytest.mark.parametrize("kind", ["tractor", "sweep"])
def test_columns_are_those_of_the_dr10_file_pages(real_data, kind):
    with (real_data / "schema" / f"dr10_{kind}_schema.csv").open() as file:
        rows = list(csv.DictReader(file))
    if kind == "sweep":  # the page lists MW_TRANSMISSION_R twice where it means R and I
        doubled = [i for i, row in enumerate(rows) if row["name"] == "MW_TRANSMISSION_R"]
        rows[doubled[1]]["name"] = "MW_TRANSMISSION_I"
    names = columns.TRACTOR_DTYPE.names if kind == "tractor" else columns.SWEEP_COLUMNS
    assert list(names) == [row["name"].lower() for row in rows]
    for row in rows:
        dtype = columns.TRACTOR_DTYPE[row["name"].lower()]
        word = row["dtype"].replace("boolean", "bool").replace("char", "S").replace("[", "").rstrip("]")
        base, shape = dtype.subdtype or (dtype, ())
        said = base.name if base.kind != "S" else f"S{base.itemsize}"
        assert word == said + "".join(map(str, shape)), row["name"]
        assert columns.unit(row["name"].lower()) == row["unit"], row["name"]


def test_files_have_these_columns_in_their_case(root):
    tractor = fitsio.FITS(next((root / "south" / "tractor").rglob("*.fits")))[1]
    assert tractor.get_colnames() == list(columns.TRACTOR_DTYPE.names)
    sweep = fitsio.FITS(next((root / "south" / "sweep" / "10.0").glob("*.fits")))[1]
    assert sweep.get_colnames() == [name.upper() for name in columns.SWEEP_COLUMNS]
    assert sweep.read_header()["TUNIT7"].strip() == "deg"
