"""The pool gate passes a large, complete, well divided pool, and catches what is none."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from tests.toys.judging import POOL, SMALL, failed, judged
from tests.toys.manifests import changed, with_rows


def test_pool_passes_and_its_limits_can_be_set(tmp_path):
    assert failed(judged(tmp_path, "pool", POOL)) == ["rows to judge"]
    checks = judged(tmp_path, "pool", POOL, SMALL)
    assert failed(checks) == []
    assert failed(judged(tmp_path, "pool", POOL, (*SMALL, "pool.n2=0.21,0.3"))) == ["N2 share"]
    assert {check.input_digest.split(":")[0] for check in checks} == {"parquet-footer-sha256"}


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
