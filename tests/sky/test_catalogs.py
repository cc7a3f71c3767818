"""Catalogues have DR10's columns in the survey's bands; sweeps hold the Tractor rows; the brick table is that used."""

from __future__ import annotations

import csv
import dataclasses
import gzip

import fitsio
import pytest

from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from lensctl.sky import catalogs
from tests.toys.small_sky import example


@pytest.mark.parametrize("kind", ["tractor", "sweep"])
def test_columns_are_those_of_the_dr10_file_pages(real_data, kind):
    with (real_data / "schema" / f"dr10_{kind}_schema.csv").open() as file:
        rows = list(csv.DictReader(file))
    if kind == "sweep":  # the page lists MW_TRANSMISSION_R twice where it means R and I
        doubled = [i for i, row in enumerate(rows) if row["name"] == "MW_TRANSMISSION_R"]
        rows[doubled[1]]["name"] = "MW_TRANSMISSION_I"
    names = catalogs.tractor_dtype().names if kind == "tractor" else catalogs.sweep_columns()
    assert list(names) == [*(row["name"].lower() for row in rows), *catalogs.BEYOND_DR10]
    for row in rows:
        dtype = catalogs.tractor_dtype()[row["name"].lower()]
        word = row["dtype"].replace("boolean", "bool").replace("char", "S").replace("[", "").rstrip("]")
        base, shape = dtype.subdtype or (dtype, ())
        said = base.name if base.kind != "S" else f"S{base.itemsize}"
        assert word == said + "".join(map(str, shape)), row["name"]
        assert catalogs.unit(row["name"].lower()) == row["unit"], row["name"]


def test_files_have_these_columns_in_their_case(root):
    tractor = fitsio.FITS(next((root / "south" / "tractor").rglob("*.fits")))[1]
    assert tractor.get_colnames() == list(catalogs.tractor_dtype().names)
    sweep = fitsio.FITS(next((root / "south" / "sweep" / "10.0").glob("*.fits")))[1]
    assert sweep.get_colnames() == [name.upper() for name in catalogs.sweep_columns()]
    assert sweep.read_header()["TUNIT7"].strip() == "deg"


@pytest.mark.parametrize("columns", [lambda s: catalogs.tractor_dtype(s).names, catalogs.sweep_columns])
def test_another_survey_has_dr10s_columns_in_its_own_bands(columns):
    of_dr10, ours = columns(LS_DR10), columns(example("vis-yjh"))
    assert columns(LS_DR10_GRIZ) == of_dr10
    renamed = dict(zip("griz", ("VIS", "Y", "J", "H"), strict=True))
    per_band = {name[:-2] for name in of_dr10 if name.endswith("_g")}
    expected = [
        f"{name[:-2]}_{renamed[name[-1]]}" if name[:-2] in per_band and name[-2:-1] == "_" else name for name in of_dr10
    ]
    assert list(ours) == expected
    assert {"flux_VIS", "flux_w1", "shape_r", "shape_e1"} < set(ours)
    assert not {"flux_g", "nobs_z"} & set(ours)


def test_columns_keep_their_types_and_units_in_other_bands():
    dtype = catalogs.tractor_dtype(example("vis-yjh"))
    for name in ("flux", "nobs", "apflux", "psfdepth"):
        assert dtype[f"{name}_VIS"] == catalogs.tractor_dtype()[f"{name}_r"]
        assert catalogs.unit(f"{name}_VIS") == catalogs.unit(f"{name}_r")


def test_files_of_another_survey_have_these_columns_in_their_case(other):
    tractor = fitsio.FITS(next((other.root / "south" / "tractor").rglob("*.fits")))[1]
    assert tractor.get_colnames() == list(catalogs.tractor_dtype(other.survey).names)
    sweep = fitsio.FITS(next((other.root / "south" / "sweep" / "10.0").glob("*.fits")))[1]
    assert sweep.get_colnames() == [name.upper() for name in catalogs.sweep_columns(other.survey)]
    assert {f"FLUX_{band.upper()}" for band in other.survey.bands} < set(sweep.get_colnames())


def test_a_band_that_wise_has_too_takes_the_place_of_wises():
    survey = example("vis-yjh")
    renamed = {"H": "W1"}
    bands = tuple(renamed.get(band, band) for band in survey.bands)
    imaging = {renamed.get(band, band): values for band, values in survey.imaging.items()}
    survey = dataclasses.replace(
        survey,
        bands=bands,
        imaging=imaging,
        depth_band="W1",
        picture_bands=bands[:3],
        colours=(("VIS", "Y"), ("Y", "J")),
    )
    names = [name.lower() for name in catalogs.tractor_dtype(survey).names]
    assert len(names) == len(set(names))


def test_sweeps_hold_the_tractor_rows_under_the_name_of_their_corners(root, tractor):
    total = 0
    for file in (root / "south" / "sweep" / "10.0").glob("*.fits"):
        rows = fitsio.read(file)
        total += len(rows)
        own = {(row["brickid"], row["objid"]): row["flux_r"] for row in tractor}
        assert [own[row["BRICKID"], row["OBJID"]] for row in rows] == rows["FLUX_R"].tolist()
        low, high = file.stem.split("-")[1:]
        assert float(low[:3]) <= rows["RA"].min() <= rows["RA"].max() < float(high[:3])
        signed = [(-1 if c[3] == "m" else 1) * float(c[4:]) for c in (low, high)]
        assert signed[0] <= rows["DEC"].min() <= rows["DEC"].max() < signed[1]
    assert total == len(tractor)


def test_the_brick_table_lists_the_bricks_used(root, plan):
    rows = fitsio.read(root / "survey-bricks.fits.gz")
    assert [name.strip() for name in rows["BRICKNAME"]] == [p.brick.name for p in plan]
    assert (rows["BRICKID"] == [p.brick.id for p in plan]).all()


def test_the_brick_table_has_no_time_in_its_gzip_header(root):
    packed = (root / "survey-bricks.fits.gz").read_bytes()
    assert packed[4:8] == bytes(4)
    assert gzip.decompress(packed)[:6] == b"SIMPLE"
