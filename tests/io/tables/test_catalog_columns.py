"""Catalogues of other names and units: each column is found, converted once, and the same from every format."""

from __future__ import annotations

import dataclasses

import fitsio
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.tables import catalog_columns, sweeps
from lensctl.io.tables.catalog_columns import converted
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_parts import CatalogColumn
from tests.toys.surveys import INFRARED

OURS = dataclasses.replace(
    LS_DR10,
    name="ours",
    columns={
        "galaxy_id": CatalogColumn("ID"),
        "ra": CatalogColumn("RAJ2000"),
        "dec": CatalogColumn("DEJ2000"),
        "flux_r": CatalogColumn("mag_r", unit="mag"),
        "flux_g": CatalogColumn("f_g", unit="uJy"),
        "shape_r": CatalogColumn("size", unit="pixel"),
        "psfdepth_z": CatalogColumn("depth", unit="mag"),
        "sersic": CatalogColumn("n", factor=0.5),
        "nobs_z": CatalogColumn(constant=4),
        "type": CatalogColumn(constant="SER"),
    },
)
N = 7
RAW = pa.table(
    {
        "ID": pa.array(np.arange(N)),
        "RAJ2000": np.linspace(10, 20, N),
        "DEJ2000": np.linspace(-3, 3, N),
        "mag_r": [22.5, 20.0, 25.0, 99.0, -99.0, np.nan, 17.5],
        "f_g": np.full(N, 3.631),
        "size": np.full(N, 10.0),
        "depth": np.full(N, 22.5),
        "n": np.full(N, 8, np.int32),
        "ebv": np.full(N, 0.02, np.float32),
        "other": np.arange(N),
    }
)


@pytest.fixture(params=["parquet", "csv", "fits"])
def catalogue(request, tmp_path):
    path = tmp_path / f"a.{request.param}"
    if request.param != "fits":
        write_table(RAW, str(path))
        return str(path)
    with fitsio.FITS(str(path), "rw") as hdus:
        hdus.write([RAW[name].to_numpy() for name in RAW.column_names], names=RAW.column_names)
    return str(path)


def test_a_mapped_catalogue_has_our_names_and_units_whatever_its_format(catalogue):
    scan = sweeps.CatalogScan(catalogue, OURS)
    rows = pa.concat_tables(list(scan.measured()))
    assert rows["galaxy_id"].to_pylist() == [str(i) for i in range(N)]
    np.testing.assert_allclose(rows["flux_r"].to_numpy(), [1.0, 10.0, 0.1, np.nan, np.nan, np.nan, 100.0], rtol=1e-6)
    np.testing.assert_allclose(rows["flux_g"].to_numpy(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(rows["shape_r"].to_numpy(), 2.62, rtol=1e-6)
    np.testing.assert_allclose(rows["psfdepth_z"].to_numpy(), 25.0, rtol=1e-6)  # 5 sigma at 1 nanomaggy
    assert set(rows["sersic"].to_pylist()) == {4.0}
    assert (set(rows["nobs_z"].to_pylist()), set(rows["type"].to_pylist())) == ({4}, {"SER"})
    assert rows["ebv"].to_pylist() == pytest.approx([0.02] * N), "a column of our name needs no word"
    assert "other" not in rows.column_names
    assert (scan.read, rows.schema.field("flux_r").type) == (N, pa.float32())


def test_a_criterion_sees_what_the_table_holds(catalogue):
    def keep(values):
        assert values("type").tolist() == [b"SER"] * N
        assert values("galaxy_id").tolist() == [str(i).encode() for i in range(N)]
        return values("flux_r") > 5

    rows = pa.concat_tables(list(sweeps.CatalogScan(catalogue, OURS).measured(keep)))
    assert rows["galaxy_id"].to_pylist() == ["1", "6"]


def test_a_missing_column_is_named_with_where_it_should_come_from(catalogue):
    lost = dataclasses.replace(OURS, columns={**OURS.columns, "flux_z": CatalogColumn("mag_z", unit="mag")})
    with pytest.raises(sweeps.MissingColumns, match=r"columns missing: flux_z \(from mag_z\)") as error:
        list(sweeps.CatalogScan(catalogue, lost).measured())
    assert error.value.fix == "say in the columns of survey ours where they come from"


def test_names_are_found_whatever_their_case(tmp_path):
    table = pa.table({"flux_vis": [1.0, 2.0], "Flux_Y": [3.0, 4.0]})
    write_table(table, str(tmp_path / "a.parquet"))
    found = sweeps.columns_of(str(tmp_path / "a.parquet"), INFRARED)
    assert set(found) == {"flux_VIS", "flux_Y"}
    rows = sweeps.read_catalog(str(tmp_path / "a.parquet"), found, INFRARED)
    assert (rows["flux_VIS"].to_pylist(), rows["flux_Y"].to_pylist()) == ([1.0, 2.0], [3.0, 4.0])


@given(st.lists(st.floats(5, 40), min_size=1, max_size=20))
def test_magnitudes_become_the_flux_whose_magnitude_they_are(mag):
    flux = converted(np.array(mag), CatalogColumn("m", unit="mag"), "flux_r", LS_DR10)
    np.testing.assert_allclose(22.5 - 2.5 * np.log10(flux), mag, rtol=1e-12)


@pytest.mark.parametrize(
    ("unit", "name", "expected"),
    [
        ("nJy", "flux_z", 1 / 3631),
        ("Jy", "flux_z", 1e6 / 3.631),
        ("arcmin", "shape_r", 60.0),
        ("hourangle", "ra", 15.0),
    ],
)
def test_units_are_those_of_the_field(unit, name, expected):
    assert converted(np.array([1.0]), CatalogColumn("x", unit=unit), name, LS_DR10)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("unit", "name"), [("parsec", "shape_r"), ("furlongs per", "ra"), ("Jy", "sersic")])
def test_a_unit_that_does_not_fit_is_refused_in_a_sentence(unit, name):
    with pytest.raises(InputError, match=f"survey ls-dr10: column {name} in '{unit}' cannot be converted to"):
        converted(np.array([1.0]), CatalogColumn("x", unit=unit), name, LS_DR10)


def test_a_catalogue_of_our_own_names_is_read_without_a_detour():
    assert catalog_columns.needed(LS_DR10)[:3] == ("brickname", "objid", "type")
    assert "flux_w1" in catalog_columns.carried(LS_DR10)


@pytest.mark.parametrize(
    "texts", [["PSF", "REX", "SER"], ["0109p255"], ["PSF", None, "SER"], ["é", "ab"], ["a", "bc", ""], ["", ""], []]
)
def test_text_is_bytes_whatever_its_lengths_and_its_place_in_memory(texts):
    whole = pa.array(["first", *texts, "last"])
    found = catalog_columns.as_numpy(whole.slice(1, len(texts)))
    assert found.tolist() == [(text or "").encode() for text in texts]
