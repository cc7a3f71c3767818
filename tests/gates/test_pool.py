"""The pool gate passes a large, complete, well divided pool, and catches what is none."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, stamp
from lensctl.rules.errors import InputError
from lensctl.rules.survey_parts import CatalogColumn
from tests.gates.of_survey import judge_by_survey
from tests.toys.judging import POOL, SMALL, failed, judged, saved
from tests.toys.manifests import changed, toy_manifest, with_rows
from tests.toys.surveys import WIDE


def test_pool_passes_and_its_limits_can_be_set(tmp_path):
    assert failed(judged(tmp_path, "pool", POOL)) == ["rows to judge"]
    checks = judged(tmp_path, "pool", POOL, SMALL)
    assert failed(checks) == []
    assert failed(judged(tmp_path, "pool", POOL, (*SMALL, "pool.n2=0.21,0.3"))) == ["N2 share"]
    assert {check.input_digest.split(":")[0] for check in checks} == {"parquet-footer-sha256"}


def test_pool_judges_the_shares_of_splits_by_what_its_pixels_can_tell(tmp_path):
    """Fifty pixels, of which those of train hold twice as many rows: more than 75 % of all are in train."""
    pixel = POOL["healpix_128"].to_numpy()
    table = POOL.filter(pa.array(np.isin(pixel, np.unique(pixel)[:50])))
    twice = table.filter(pa.array(in_train(table)))
    twice = changed(twice, "galaxy_id", [f"{id}-2" for id in twice["galaxy_id"].to_pylist()])
    crowd = pa.concat_tables([table, twice])
    found = {c.check: c for c in judged(tmp_path, "pool", crowd, ("pool.min_rows=10",))}["train share"]
    assert found.n == crowd.num_rows
    assert found.value == pytest.approx(in_train(crowd).mean())
    assert found.value > 0.75
    assert (found.passed, found.low < 0.75 < found.value < found.high) == (True, True)
    assert "pixels cannot tell" in found.note
    alone = {c.check: c for c in judged(tmp_path, "pool", crowd.slice(0, 5), ("pool.min_rows=1",))}["train share"]
    assert (alone.low, alone.limit) == (None, ">= 0.65, <= 0.75")
    assert alone.note.startswith("judged by its value: 5 pixels")


def in_train(table):
    return np.array(table["split"].to_pylist()) == "train"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"galaxy_id": "twice"}, "galaxy_id is unique"),
        ({"split": None}, "no nulls in critical columns"),
        ({"dec": math.nan}, "no nulls in critical columns"),
        ({"type": None}, "no nulls in critical columns"),
        ({"split": "val"}, "split is that of the rule"),
        ({"healpix_128": 7}, "healpix_128 is that of ra, dec"),
        ({"ra": 400.0}, "healpix_128 is that of ra, dec"),
        ({"pool": "N3"}, "the rest is N1"),
    ],
)
def test_pool_catches(tmp_path, change, check):
    train = [i for i, name in enumerate(POOL["split"].to_pylist()) if name == "train"][:2]
    assert check in failed(judged(tmp_path, "pool", with_rows(POOL, train, **change), SMALL))


def test_pool_catches_shares_and_types(tmp_path):
    names = np.array(POOL["split"].to_pylist())
    kinds = np.array(POOL["type"].to_pylist())
    assert "val share" in failed(judged(tmp_path, "pool", POOL.filter(pa.array(names != "val")), SMALL))
    assert "galaxy types" in failed(judged(tmp_path, "pool", POOL.filter(pa.array(kinds != "REX")), SMALL))
    all_n1 = changed(POOL, "pool", ["N1"] * POOL.num_rows)
    assert "N2 share" in failed(judged(tmp_path, "pool", all_n1, SMALL))


def test_pool_says_no_to_nan_pixels_rather_than_breaking(tmp_path):
    pixels = POOL["healpix_128"].to_numpy().astype(float)
    pixels[7] = math.nan
    table = changed(POOL, "healpix_128", pa.array(pixels, from_pandas=False))
    assert {"no nulls in critical columns", "split is that of the rule", "healpix_128 is that of ra, dec"} <= set(
        failed(judged(tmp_path, "pool", table, SMALL))
    )


def pool_of(survey):
    table = toy_manifest(0, 4000, survey=survey)
    return table.append_column("pool", pa.array(np.where(np.arange(4000) % 5 == 0, "N2", "N1"), pa.string()))


def test_pool_judges_by_the_columns_the_rule_and_the_limits_of_its_survey(tmp_path):
    survey = dataclasses.replace(WIDE, strata={**WIDE.strata, "type": ("SER", "DEV", "REX")})
    table = pool_of(survey)
    assert failed(judge_by_survey("pool", saved(tmp_path, table), given=SMALL)) == []
    unknown = judge_by_survey("pool", saved(tmp_path, with_rows(table, [3], nobs_VIS=None)), given=SMALL)
    assert failed(unknown) == ["no nulls in critical columns"]
    with pytest.raises(InputError, match="nobs_VIS_bin"):
        judge_by_survey("pool", saved(tmp_path, table.drop_columns(["nobs_VIS_bin"])), given=SMALL)
    with pytest.raises(InputError, match="nobs_z"):
        judge_by_survey("pool", saved(tmp_path, table.replace_schema_metadata()), given=SMALL)
    two_types = table.filter(pa.array([name != "REX" for name in table["type"].to_pylist()]))
    assert "galaxy types" in failed(judge_by_survey("pool", saved(tmp_path, two_types), given=SMALL))


def test_pool_does_not_ask_a_mapped_catalogue_for_columns_that_it_does_not_map(tmp_path):
    mapping = {"galaxy_id": CatalogColumn("object_id"), "flux_VIS": CatalogColumn("mag_vis", "mag")}
    bare = dataclasses.replace(WIDE, columns=mapping, strata={})
    table = pool_of(WIDE).drop_columns(["nobs_VIS", "nobs_VIS_bin", "type"])
    checks = judge_by_survey("pool", saved(tmp_path, stamp(table, (Step("pool", {}, survey=bare),))), given=SMALL)
    assert failed(checks) == []
    assert "galaxy types" not in {check.check for check in checks}
    typed = dataclasses.replace(bare, columns={**mapping, "type": CatalogColumn("kind")})
    with pytest.raises(InputError, match="'type' is missing"):
        judge_by_survey("pool", saved(tmp_path, stamp(table, (Step("pool", {}, survey=typed),))), given=SMALL)
