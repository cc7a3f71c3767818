"""Failure modes: what is missed, by cell, in the design or in a population."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection.fitting.failure_modes import read_population
from lensctl.selection.p_det.axes import physical_axes
from tests.toys.measured_injections import fitted

AXES = [axis.name for axis in physical_axes(LS_DR10)]


@pytest.fixture(scope="module")
def lenses(tables):
    """Injections as a population: those of faint arcs count ten times."""
    table = read_table(str(tables / "injections.parquet")).select(AXES).replace_schema_metadata()
    faint = table["arc_mag_r"].to_numpy() > 22
    return table.append_column("weight", pa.array(np.where(faint, 10.0, 1.0)))


def modes_of(folder):
    return read_table(str(folder / "tables/failure_modes.parquet")).to_pylist()


def test_in_the_design_they_are_counted_and_add_up(whole):
    rows, cells = modes_of(whole[0]), read_table(str(whole[0] / "tables/cells.parquet")).to_pylist()
    assert {row["by"] for row in rows} == {"design"}
    assert len(rows) == len([cell for cell in cells if cell["p"] is not None])
    by_axes = {(row["axis"], row["second"]) for row in rows}
    for axes in by_axes:
        own = [row for row in rows if (row["axis"], row["second"]) == axes]
        assert sum(row["missed"] for row in own) == pytest.approx(1)
        assert all(a["missed"] >= b["missed"] for a, b in itertools.pairwise(own))
    one = next(row for row in rows if not row["second"] and row["axis"] == "arc_mag_r")
    cell = next(c for c in cells if (c["axis"], c["second"], c["low"]) == ("arc_mag_r", "", one["low"]))
    assert (one["weight"], one["p"]) == (pytest.approx(cell["n"] / 3000), cell["p"])
    assert one["low"] > 23  # the faintest arcs are missed most


def test_in_a_population_weights_decide_and_p_is_p_det(whole, tables, model, lenses, tmp_path):
    write_table(lenses, str(tmp_path / "lenses.parquet"))
    fitted(tables, tmp_path / "out", model, population=tmp_path / "lenses.parquet")
    rows, of_design = modes_of(tmp_path / "out"), modes_of(whole[0])
    assert {row["by"] for row in rows} == {"population"}
    facts = json.loads((tmp_path / "out" / "selection.json").read_text())
    about = facts["population"]
    assert about["rows"] == 3000
    assert about["outside"]["p=0.5"] < 0.05
    magnitudes = [row for row in rows if (row["axis"], row["second"]) == ("arc_mag_r", "")]
    inside = 1 - about["outside"]["p=0.5"]
    assert sum(row["weight"] for row in magnitudes) == pytest.approx(inside)
    faint = sum(row["missed"] for row in magnitudes if row["low"] > 22)
    before = sum(
        row["missed"] for row in of_design if (row["axis"], row["second"]) == ("arc_mag_r", "") and row["low"] > 22
    )
    assert faint > before + 0.1
    assert all(row["p_low"] <= row["p"] <= row["p_high"] for row in rows)
    html = (tmp_path / "out" / "report.html").read_text()
    assert "share of the lenses" in html
    assert "of 3,000 rows" in html
    assert [one["role"] for one in facts["provenance"][-1]["inputs"]][-1] == "population"


def test_what_lies_outside_the_injections_is_said_not_counted(tables, model, lenses, tmp_path):
    table = lenses.set_column(lenses.column_names.index("weight"), "weight", pa.array(np.ones(3000)))
    theta = table["theta_e"].to_numpy().copy()
    theta[:1500] = 20.0
    table = table.set_column(table.column_names.index("theta_e"), "theta_e", pa.array(theta))
    write_table(table, str(tmp_path / "lenses.parquet"))
    fitted(tables, tmp_path / "out", model, population=tmp_path / "lenses.parquet")
    about = json.loads((tmp_path / "out" / "selection.json").read_text())["population"]
    assert about["outside"]["p=0.5"] >= 0.5
    assert sum(row["weight"] for row in modes_of(tmp_path / "out") if row["axis"] == "lens_q") <= 0.5


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda t: t.drop_columns(["lens_q"]), "column 'lens_q' is missing"),
        (lambda t: t.set_column(0, "theta_e", pa.array(np.full(3000, 1e-6))), "are these radians or degrees"),
        (lambda t: t.set_column(t.num_columns - 1, "weight", pa.array(np.zeros(3000))), "weight is 0 in every row"),
        (lambda t: t.set_column(t.num_columns - 1, "weight", pa.array(-np.ones(3000))), "weight is below 0 in row 0"),
    ],
)
def test_a_table_that_is_no_population_is_refused(lenses, tmp_path, change, text):
    write_table(change(lenses), str(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match=text):
        read_population(str(tmp_path / "t.parquet"), physical_axes(LS_DR10), LS_DR10)
