"""A column that its file gives in another unit is refused; every spelling of the right one is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

from lensctl.io.tables import sweeps, units
from lensctl.io.tables.files import read_table
from lensctl.io.tables.lens_catalogs import read_lens_catalog
from lensctl.io.tables.scanned import scan_parquet
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.rules.survey_parts import CatalogColumn
from tests.toys import catalogs as toys


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(("ra", unit) for unit in ("deg", "degree", "degrees", "Deg", " deg ", "")),
        *(("flux_r", unit) for unit in ("nanomaggy", "nanomaggies", "nmgy", "10^-9 maggy")),
        *(("psfdepth_z", unit) for unit in ("1/nanomaggy^2", "nanomaggy^-2", "1/nanomaggies^2")),
        *(("shape_r", unit) for unit in ("arcsec", "arcsecond")),
        *(("ebv", unit) for unit in ("mag", "Mag")),
        ("redshift", "furlong"),
    ],
)
def test_the_right_unit_is_read_however_it_is_spelled(name, unit):
    units.refuse_other({name: unit}, "t.fits")


@pytest.mark.parametrize(
    ("name", "unit", "wanted"),
    [
        *(("RA", unit, "deg") for unit in ("h", "hourangle", "hours", '"h:m:s"', "rad")),
        ("dec", "radian", "deg"),
        ("dec", "arcsec", "deg"),
        *(("flux_r", unit, "nanomaggy") for unit in ("mag", "uJy", "maggy", "count")),
        ("shape_r", "arcmin", "arcsec"),
        ("psfsize_z", "pix", "arcsec"),
    ],
)
def test_another_unit_is_refused(name, unit, wanted):
    with pytest.raises(InputError, match=f"t.fits: column '{name}' is in '{unit}' .* is read in {wanted}"):
        units.refuse_other({name: unit}, "t.fits")


def in_fits(path, **of_columns):
    """Toy rows as a FITS table whose columns have units."""
    rows = toys.rows(50)
    made = Table({name.upper(): rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names})
    for name in ("BRICKNAME", "TYPE"):
        made[name] = made[name].astype("S8")
    for name, unit in of_columns.items():
        made[name].unit = unit
    made.write(path, format="fits")
    return str(path)


@pytest.mark.parametrize("read", [lambda path: list(sweeps.CatalogScan(path).measured()), read_table])
@pytest.mark.parametrize(("unit", "refused"), [("deg", False), ("h", True), ("rad", True)])
def test_a_fits_table_says_its_units(tmp_path, read, unit, refused):
    path = in_fits(tmp_path / "s.fits", RA=unit, SHAPE_R="arcsec")
    if not refused:
        assert read(path)
        return
    with pytest.raises(InputError, match=rf"s\.fits: column 'ra' is in '{unit}'"):
        read(path)


def test_a_lens_catalogue_says_its_units_under_any_name(tmp_path):
    for unit, refused in (("deg", False), ("h", True)):
        made = Table({"RAJ2000": np.array([1.0, 2.0]), "DEJ2000": np.array([1.0, 2.0])})
        made["RAJ2000"].unit = unit
        made.write(tmp_path / f"{unit}.fits")
        if not refused:
            assert read_lens_catalog(str(tmp_path / "deg.fits")).num_rows == 2
            continue
        with pytest.raises(InputError, match=r"h\.fits: column 'ra' is in 'h'"):
            read_lens_catalog(str(tmp_path / "h.fits"))


def test_what_the_survey_converts_may_be_in_any_unit(tmp_path):
    path = in_fits(tmp_path / "s.fits", SHAPE_R="arcmin")
    names = {name: CatalogColumn(name) for name in sweeps.catalog_columns.needed(LS_DR10)}
    names["shape_r"] = CatalogColumn("shape_r", "arcmin")
    survey = dataclasses.replace(LS_DR10, name="own", columns=names)
    (rows,) = sweeps.CatalogScan(path, survey).measured()
    assert rows["shape_r"][0].as_py() == pytest.approx(60 * toys.rows(50)["shape_r"][0].as_py(), rel=1e-5)
    with pytest.raises(InputError, match="'shape_r' is in 'arcmin'"):
        list(sweeps.CatalogScan(path).measured())


READERS = {
    "a sweep": lambda path: list(sweeps.CatalogScan(path).measured()),
    "a table": read_table,
    "a table in place": scan_parquet,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("unit", "refused"), [("deg", False), ("hourangle", True), ("rad", True)])
def test_a_parquet_table_of_astropys_says_its_units(tmp_path, read, unit, refused):
    rows = toys.rows(50)
    made = Table({name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names})
    for name in ("brickname", "type"):
        made[name] = made[name].astype("S8")
    made["ra"].unit, made["dec"].unit = unit, "deg"
    made.meta["note"] = {"unit": "h", "list": [1, None]}
    made.write(tmp_path / "s.parquet")
    if not refused:
        assert read(str(tmp_path / "s.parquet"))
        return
    with pytest.raises(InputError, match=rf"s\.parquet: column 'ra' is in '{unit}'"):
        read(str(tmp_path / "s.parquet"))


def test_files_of_one_table_have_one_unit(tmp_path):
    for unit in ("deg", "hourangle"):
        Table({"ra": [1.5]}, units={"ra": unit}).write(tmp_path / f"{unit}.parquet")
    with pytest.raises(
        InputError, match=r"'ra' is in 'deg' in .*deg\.parquet and in 'hourangle' in .*hourangle\.parquet"
    ):
        read_table(f"{tmp_path}/*.parquet")


@pytest.mark.parametrize(
    "text",
    [b"", b"[" * 5000, b"\xff", b"datatype: [", b"datatype: {ra: h}", b"- 1", b"datatype: [1, [2], {name: ra}]",
     b"datatype: &a [*a]", b"datatype: !!python/object/apply:os.system [x]", b"a: 1\n---\nb: 2"],
)  # fmt: skip
def test_a_description_that_says_no_units_says_none(text):
    assert units.given(pa.schema([("ra", pa.float64())], {units.ASTROPY: text})) == {}


def test_units_of_columns_come_along_in_arrow():
    fields = pa.schema([pa.field("ra", pa.float64(), metadata={"unit": "h"}), ("dec", pa.float64())])
    assert units.given(fields) == {"ra": "h"}
