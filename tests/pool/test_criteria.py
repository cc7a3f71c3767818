"""The criteria: rows pass as the plan and paper four have it, and what is unknown passes none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from lensctl.io.tables.files import write_table
from lensctl.pool.criteria import PRESETS
from tests.toys import catalogs as toys
from tests.toys.negatives import kept


def test_the_plans_criteria_row_by_row(sweep):
    rows, funnel = kept(sweep)
    raw = toys.rows(2000).to_pylist()
    expected = [
        f"{r['brickname']}_{r['objid']}"
        for r in raw
        if r["maskbits"] == 0
        and r["nobs_g"] >= 1
        and r["nobs_r"] >= 1
        and r["nobs_z"] >= 3
        and r["type"] in ("SER", "DEV", "REX")
    ]
    assert rows["galaxy_id"].to_pylist() == expected
    assert (funnel.read, funnel.kept) == (2000, len(expected))
    assert funnel.read - sum(funnel.lost.values()) == funnel.kept


def test_the_preset_of_paper_four(tmp_path):
    raw = toys.rows(2000, dec=30.0)
    rows, _ = kept(toys.write_fits(raw, tmp_path / "s.fits"), PRESETS["paper4"])
    assert min(min(rows[f"nobs_{band}"].to_pylist()) for band in "grz") >= 3
    assert max(rows["mag_z"].to_pylist()) < 20
    assert max(rows["dec"].to_pylist()) < 32
    masked = {bit: dataclasses.replace(PRESETS["paper4"], masked_bits=(bit,)) for bit in (1, 3)}
    lost = {bit: kept(tmp_path / "s.fits", criteria)[1].lost for bit, criteria in masked.items()}
    assert "maskbits" in lost[3]
    assert (lost[1]["maskbits"] > 0, lost[3]["maskbits"]) == (True, 0)  # toys set bit 1 alone


def test_a_flux_of_nothing_gives_a_null_magnitude_and_fails_criteria_on_it(tmp_path):
    raw = toys.rows(50)
    raw = raw.set_column(raw.column_names.index("flux_z"), "flux_z", pa.array(np.zeros(50, "f4")))
    path = toys.write_fits(raw, tmp_path / "s.fits")
    assert kept(path)[0]["mag_z"].null_count == kept(path)[0].num_rows
    assert kept(path, dataclasses.replace(PRESETS["plan"], max_mag_z=30.0))[0].num_rows == 0


def test_nulls_in_a_parquet_catalogue_pass_no_criterion(tmp_path):
    raw = toys.rows(30)
    for name in ("nobs_z", "maskbits", "type"):
        spoilt = raw.set_column(raw.column_names.index(name), name, pa.nulls(30, raw[name].type))
        write_table(spoilt, str(tmp_path / f"{name}.parquet"))
        assert kept(tmp_path / f"{name}.parquet")[0].num_rows == 0
