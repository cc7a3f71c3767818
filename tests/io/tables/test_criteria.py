"""The criteria: rows pass as the plan and paper four have it, and what is unknown passes none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.tables.criteria import criteria_of
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.toys import catalogs as toys
from tests.toys.negatives import kept
from tests.toys.surveys import INFRARED


def test_the_plans_criteria_row_by_row(tmp_path):
    rows, funnel = kept(toys.write_fits(toys.rows(2000), tmp_path / "sweep-150p002-160p007.fits"))
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
    rows, _ = kept(toys.write_fits(raw, tmp_path / "s.fits"), criteria_of(preset="paper4"))
    assert min(min(rows[f"nobs_{band}"].to_pylist()) for band in "grz") >= 3
    assert max(rows["mag_z"].to_pylist()) < 20
    assert max(rows["dec"].to_pylist()) < 32
    masked = {bit: f"bits(maskbits, {bit}) == 0" for bit in (1, 3)}
    lost = {
        bit: kept(tmp_path / "s.fits", criteria_of(preset="paper4", others=[f"maskbits={text}"]))[1].lost[text]
        for bit, text in masked.items()
    }
    assert (lost[1] > 0, lost[3]) == (True, 0)  # toys set bit 1 alone


def test_a_flux_of_nothing_gives_a_null_magnitude_and_fails_criteria_on_it(tmp_path):
    raw = toys.rows(50)
    raw = raw.set_column(raw.column_names.index("flux_z"), "flux_z", pa.array(np.zeros(50, "f4")))
    path = toys.write_fits(raw, tmp_path / "s.fits")
    assert kept(path)[0]["mag_z"].null_count == kept(path)[0].num_rows
    assert kept(path, criteria_of(max_mag={"z": 30.0}))[0].num_rows == 0


def test_nulls_in_a_parquet_catalogue_pass_no_criterion(tmp_path):
    raw = toys.rows(30)
    for name in ("nobs_z", "maskbits", "type"):
        spoilt = raw.set_column(raw.column_names.index(name), name, pa.nulls(30, raw[name].type))
        write_table(spoilt, str(tmp_path / f"{name}.parquet"))
        assert kept(tmp_path / f"{name}.parquet")[0].num_rows == 0


def test_presets_and_changes_are_those_of_the_survey():
    assert criteria_of().expressions == LS_DR10.criteria["plan"]
    changed = criteria_of(min_nobs={"z": 5}, max_mag={"r": 21.5}, others=["ebv=ebv < 0.1", "type = type == 'SER'"])
    assert changed.expressions == {
        **LS_DR10.criteria["plan"],
        "nobs_z": "nobs_z >= 5",
        "mag_r": "mag_r < 21.5",
        "ebv": "ebv < 0.1",
        "type": "type == 'SER'",
    }
    assert changed.columns == ("type", "maskbits", "nobs_g", "nobs_r", "nobs_z", "flux_r", "ebv")
    assert (criteria_of(INFRARED).exclude_arcsec, criteria_of(exclude_arcsec=3.0).exclude_arcsec) == (11.0, 3.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "paper5"}, r"no preset 'paper5' (did you mean 'paper4'?)"),
        ({"min_nobs": {"i": 3}}, "survey ls-dr10 has no band 'i'"),
        ({"max_mag": {"Y": 20.0}}, "survey ls-dr10 has no band 'Y'"),
        ({"others": ["ebv < 0.1"]}, "'ebv < 0.1' is not NAME=EXPRESSION"),
        ({"others": ["ebv=ebv <"]}, "'ebv <' is not an expression"),
    ],
)
def test_what_cannot_be_a_criterion_is_refused_in_a_sentence(given, message):
    with pytest.raises(InputError) as error:
        criteria_of(**given)
    assert message in str(error.value)


def test_what_a_catalogue_lacks_is_named_and_not_applied():
    there = ["galaxy_id", "ra", "dec", "flux_g", "flux_r", "shape_r", "type"]
    found = criteria_of(max_mag={"r": 21.0, "z": 20.0}).on(there)
    assert found.expressions == {"type": LS_DR10.criteria["plan"]["type"], "mag_r": "mag_r < 21"}
    assert found.not_applied == (
        "maskbits == 0 (no maskbits)",
        "nobs_g >= 1 (no nobs_g)",
        "nobs_r >= 1 (no nobs_r)",
        "nobs_z >= 3 (no nobs_z)",
        "mag_z < 20 (no mag_z)",
        "class ring_proxy (no sersic)",
        "class edge_on_proxy (no shape_e1, shape_e2)",
    )
    assert found.as_parameters()["not_applied"] == list(found.not_applied)
    assert "not_applied" not in criteria_of().as_parameters()
