"""Real catalogues: lenscat, DR8 and DR9 files of the survey. Skipped where they are not at hand."""

from __future__ import annotations

import collections

import pytest

from lensctl.crossmatch import candidates, matching
from lensctl.io.fits.tables import read_fits_table
from lensctl.io.tables import lens_catalogs, sweeps
from lensctl.rules import derived
from lensctl.rules.errors import InputError
from tests.toys.negatives import kept


def test_lenscat_gives_exactly_the_5104_desi_rows(real_data):
    catalog = lens_catalogs.read_lens_catalog(str(real_data / "catalogs" / "lenscat_catalog.csv"))
    lenses = candidates.select(catalog)
    assert (lenses.selected, lenses.ungraded) == (5104, 0)
    assert (lenses.rows.num_rows, lenses.merged) == (5104, 0)  # lenscat joined names within 8 arcsec itself
    assert all("DESI-" in names for names in lenses.rows["names"].to_pylist())


def test_duplicates_of_the_whole_of_lenscat_are_merged_and_counted(real_data):
    catalog = lens_catalogs.read_lens_catalog(str(real_data / "catalogs" / "lenscat_catalog.csv"))
    lenses = candidates.select(catalog, name_contains="")
    assert lenses.selected == 32838
    assert lenses.merged > 50
    assert lenses.rows.num_rows + lenses.merged + lenses.ungraded == 32838


def test_the_plans_own_catalogue_selects_the_same(real_data):
    ours = lens_catalogs.read_lens_catalog(str(real_data / "catalogs" / "desi_candidates.csv"))
    grades = collections.Counter(ours["grading"].to_pylist())
    assert (ours.num_rows, grades["confident"], grades["probable"]) == (5104, 435, 4669)
    assert candidates.select(ours).selected == 5104


@pytest.mark.parametrize(
    "name",
    [
        "huang2020_published_catalog.csv",
        "huang2021_published_catalog.csv",
        "storfer2024_published_catalog.csv",
        "stein2021_new_lenses.tsv",
    ],
)
def test_published_lists_are_catalogues_too(real_data, name):
    catalog = lens_catalogs.read_lens_catalog(str(real_data / "catalogs" / name))
    assert {"A", "B"} <= set(catalog["grading"].to_pylist())


@pytest.mark.parametrize("name", ["sweep-310m005-320p000.fits", "tractor-3301m002.fits"])
def test_dr8_files_are_refused_with_the_missing_columns_and_the_release_that_has_them(real_data, name):
    path = str(real_data / "tractor" / name)
    with pytest.raises(InputError, match=r"columns of DR8 or before; missing: .*shape_r.*sersic") as error:
        list(sweeps.CatalogScan(path).rows(derived.required()))
    assert "DR9 or DR10" in error.value.fix
    assert name in str(error.value)


def test_the_dr9_file_makes_a_pool_and_a_positive(real_data, tmp_path):
    path = str(real_data / "tractor" / "tractor-1054p567.fits")
    raw = read_fits_table(path)
    ra, dec = raw["ra"][0].as_py(), raw["dec"][0].as_py()
    rows, funnel = kept(path)
    assert funnel.read == 1
    assert rows.num_rows == 1 - sum(funnel.lost.values())
    catalog = tmp_path / "one.csv"
    catalog.write_text(f"name,ra,dec,grading\nDESI-1,{ra},{dec + 1 / 3600},confident\n")
    lenses = candidates.select(lens_catalogs.read_lens_catalog(str(catalog)))
    matched = matching.match(lenses.rows, [path])
    assert matched.positives["sep_arcsec"][0].as_py() == pytest.approx(1.0, abs=1e-3)
    assert matched.positives["galaxy_id"][0].as_py() == f"1054p567_{raw['objid'][0].as_py()}"


def test_crossmatching_lenscat_with_the_real_dr9_object(real_data):
    lenses = candidates.select(lens_catalogs.read_lens_catalog(str(real_data / "catalogs" / "lenscat_catalog.csv")))
    with pytest.raises(InputError, match="no lens lies within 5 arcsec of a catalogue object"):
        matching.match(lenses.rows, [str(real_data / "tractor" / "tractor-1054p567.fits")])
