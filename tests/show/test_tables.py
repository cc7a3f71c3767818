"""Tables: what is said of their rows, columns, classes and chain, and how rows are chosen."""

from __future__ import annotations

import pytest

from lensctl.io.provenance.steps import Step, stamp
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.show.identify import identify
from tests.toys import catalogs as toys
from tests.toys.manifests import toy_manifest
from tests.toys.surveys import WIDE


def test_a_table_says_rows_units_meanings_classes_and_chain(tmp_path):
    chain = (Step("pool", {"preset": "plan"}),)
    pool = toys.pool(200)
    write_table(stamp(pool, chain), str(tmp_path / "pool.parquet"))
    facts = identify(str(tmp_path / "pool.parquet"), head=2)
    assert facts.kind == "table"
    assert facts.values["rows"] == pool.num_rows
    assert facts.values["digest"].startswith("sha256:")
    assert {"name": "ra", "type": "double", "unit": "deg", "meaning": "Right ascension, ICRS, J2000"} in facts.details[
        "schema"
    ]
    assert sum(facts.details["counts"]["split"].values()) == pool.num_rows
    assert facts.details["head"] == pool.slice(0, 2).to_pylist()
    assert facts.chain == chain


@pytest.mark.parametrize("ending", ["arrow", "csv", "ndjson"])
def test_tables_of_other_formats_are_tables(tmp_path, ending):
    write_table(toys.pool(60).select(["galaxy_id", "ra", "dec"]), str(tmp_path / f"t.{ending}"))
    facts = identify(str(tmp_path / f"t.{ending}"))
    assert (facts.kind, facts.values["columns"]) == ("table", 3)


def test_a_hive_folder_and_a_glob_are_one_table(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"split={name}").mkdir()
        write_table(toys.pool(60).select(["galaxy_id"]), str(tmp_path / f"split={name}/part.parquet"))
    rows = 2 * toys.pool(60).num_rows
    assert identify(str(tmp_path)).values["rows"] == rows
    assert identify(f"{tmp_path}/*/part.parquet").values["rows"] == rows


def test_a_large_table_is_not_read_for_its_digest(tmp_path, monkeypatch):
    from lensctl.show import tables as shown

    write_table(toys.pool(100), str(tmp_path / "pool.parquet"))
    monkeypatch.setattr(shown, "DIGESTED_ROWS", 10)
    facts = identify(str(tmp_path / "pool.parquet"), where="ra > 0")
    assert "digest" not in facts.values
    assert facts.values["matching"] == facts.values["rows"] > 10
    assert len(facts.details["head"]) == 3


def test_a_condition_chooses_the_rows_that_are_shown(manifest):
    facts = identify(str(manifest), where="label = 1")
    assert facts.values["matching"] == 10
    assert {row["label"] for row in facts.details["head"]} == {1}


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("lable = 1", "Binder Error"),
        ("label = ", "Parser Error"),
        ("1); DROP TABLE x", "Parser Error"),
        ("ra = 'north'", "Conversion Error"),
    ],
)
def test_a_condition_that_is_no_sql_is_one_sentence(manifest, where, why):
    with pytest.raises(InputError, match=why) as caught:
        identify(str(manifest), where=where)
    assert "\n" not in str(caught.value)


def test_a_table_says_its_survey_and_the_meanings_of_its_columns(tmp_path):
    write_table(toy_manifest(20, 100, survey=WIDE), str(tmp_path / "wide.parquet"))
    facts = identify(str(tmp_path / "wide.parquet"))
    assert facts.values["survey"] == "wide: VIS, Y, J, H at 0.1 arcsec per pixel"
    assert sum(facts.details["counts"]["nobs_VIS_bin"].values()) == 120
    column = next(column for column in facts.details["schema"] if column["name"] == "psfsize_VIS")
    assert (column["unit"], column["meaning"]) == (
        "arcsec",
        "FWHM of the Gaussian with the PSF's noise-equivalent area in VIS",
    )
    write_table(toy_manifest(20, 100), str(tmp_path / "usual.parquet"))
    assert "survey" not in identify(str(tmp_path / "usual.parquet")).values


def test_a_large_table_of_another_survey_counts_its_own_classes(tmp_path, monkeypatch):
    from lensctl.show import tables as shown

    monkeypatch.setattr(shown, "DIGESTED_ROWS", 10)
    write_table(toy_manifest(20, 100, survey=WIDE), str(tmp_path / "wide.parquet"))
    assert "nobs_VIS_bin" in identify(str(tmp_path / "wide.parquet")).details["counts"]
