from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import Step, chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.selection import applying as module
from lensctl.selection.applying import applied, apply
from lensctl.selection.loading import Loaded
from tests.toys import selections

CHAIN = (Step("selection fit", {"made": "up"}),)


@pytest.fixture
def fitted(monkeypatch):
    """A selection function that is known exactly, in place of one on disk."""
    known = selections.selection()
    monkeypatch.setattr(module, "load_selection", lambda folder, threshold: Loaded(known, "sha256:0", CHAIN, False))
    return known


def lenses(n: int = 3000, seed: int = 1, faint: float = 0.3, **more: object) -> pa.Table:
    people = selections.population(seed, n, faint)
    columns = {**people.values, "weight": people.weight, "healpix_128": people.pixel, **more}
    return pa.table({"galaxy_id": [f"p#{i}" for i in range(n)], **columns})


def run(tmp_path, table: pa.Table, **options):
    write_table(table, str(tmp_path / "in.parquet"), overwrite=True)
    told = apply("fit", tmp_path / "in.parquet", tmp_path / "out.parquet", **{"min_neff": 30, **options})
    return told, read_table(str(tmp_path / "out.parquet"))


def test_it_adds_p_det_and_keeps_every_row_and_column(tmp_path, fitted):
    table = lenses()
    told, made = run(tmp_path, table)
    assert made.select(table.column_names).equals(
        table.select(table.column_names).cast(made.select(table.column_names).schema)
    )
    assert made.column_names[-5:] == ["p_det", "p_low", "p_high", "p_sys", "inside"]
    inside = np.asarray(made["inside"].to_numpy(zero_copy_only=False))
    assert told["inside"] == inside.sum() < told["rows"] == 3000
    assert made["p_det"].null_count == (~inside).sum()
    values = {name: np.asarray(table[name].to_numpy()) for name in selections.AXES}
    assert np.allclose(made["p_det"].to_numpy()[inside], selections.p_of(values)[inside], atol=1e-5)
    assert made["p_sys"].null_count == 3000
    assert [step.command for step in chain_of(made)] == ["selection fit", "selection apply"]


def test_the_receipt_has_both_averages_and_the_box_mean(tmp_path, fitted):
    told, _ = run(tmp_path, lenses())
    whole = told["completeness"]
    assert whole["agree"] is True
    assert whole["plug_in"]["within"]["value"] == pytest.approx(whole["importance"]["within"]["value"], abs=0.06)
    assert "not a completeness" in whole["box_mean"]["is"]
    assert 0.2 < whole["share"]["fainter_than_injections"] < 0.4
    assert whole["share"]["outside_support"] == 0


def test_outside_the_support_p_is_given_only_when_asked_and_averages_stay(tmp_path, fitted):
    plain, _ = run(tmp_path, lenses())
    told, made = run(tmp_path, lenses(), extrapolate=True, overwrite=True)
    assert made["p_det"].null_count == 0
    assert not all(made["inside"].to_pylist())
    assert told["completeness"] == plain["completeness"]


def test_systematic_shifts_are_shown_where_they_are_known():
    known = selections.selection(systematic=lambda values: 0.1 * values["theta_e"])
    table = lenses(50, faint=0.0)
    made, *_ = applied(table, known, LS_DR10, "t")
    assert np.allclose(made["p_sys"].to_numpy(), 0.1 * table["theta_e"].to_numpy())


def test_by_shows_the_distribution_of_all_and_of_found_lenses(tmp_path, fitted):
    told, _ = run(tmp_path, lenses(), by=("theta_e", "mag_z"))
    assert set(told["by"]) == {"theta_e", "mag_z"}
    first, last = told["by"]["theta_e"][0], told["by"]["theta_e"][-1]
    assert first["selected"]["value"] < first["intrinsic"]["value"]
    assert last["selected"]["value"] > last["intrinsic"]["value"]
    assert first["p_det"]["value"] < last["p_det"]["value"]
    assert first["intrinsic"]["low"] < first["intrinsic"]["value"] < first["intrinsic"]["high"]


def test_candidates_are_ranked_within_bands(tmp_path, fitted):
    n = 200
    told, made = run(tmp_path, lenses(n, faint=0.1, logit=np.random.default_rng(1).normal(size=n)))
    assert made.column_names[-2:] == ["p_band", "follow_up"]
    assert sum(told["bands"].values()) == n - made["follow_up"].null_count == n - made["p_det"].null_count
    first = made.filter(pa.array([each == 1 for each in made["follow_up"].to_pylist()]))
    lowest = next(name for name, count in told["bands"].items() if count)
    assert first["p_band"].to_pylist() == [lowest]


def test_magnitudes_of_arcs_are_computed_and_the_faint_end_is_the_designs(tmp_path, monkeypatch):
    """Dust dims arcs beyond what any injection has; by lensed magnitude they are not too faint."""
    known = selections.selection()
    asked = known.injections
    asked.values["lensed_mag_r"] = asked.values["arc_mag_r"]  # type: ignore[index]
    monkeypatch.setattr(module, "load_selection", lambda folder, threshold: Loaded(known, "sha256:0", CHAIN, False))
    table = lenses(2000, faint=0.3)
    arc = np.asarray(table["arc_mag_r"].to_numpy())
    dust = np.full(2000, 0.97)
    table = table.drop_columns("arc_mag_r").append_column("lensed_mag_r", pa.array(arc))
    told, made = run(tmp_path, table.append_column("mw_transmission_r", pa.array(dust)))
    share = told["completeness"]["share"]
    assert 0.25 < share["fainter_than_injections"] < 0.35
    assert 0 < share["outside_support"] < 0.05
    assert "arc_mag_r" not in made.column_names


def test_any_table_without_weights_counts_each_lens_once(tmp_path, fitted):
    table = lenses(1000, faint=0.0).drop_columns(["weight", "healpix_128"])
    told, made = run(tmp_path, table, by=("theta_e",))
    assert told["weighted"] is False
    mean = made["p_det"].to_numpy().mean()
    assert told["completeness"]["plug_in"]["within"]["value"] == pytest.approx(mean, abs=1e-5)
    assert told["by"]["theta_e"][0]["intrinsic"]["high"] > told["by"]["theta_e"][0]["intrinsic"]["low"]


def test_the_same_bytes_twice(tmp_path, fitted):
    run(tmp_path, lenses(500))
    first = (tmp_path / "out.parquet").read_bytes()
    run(tmp_path, lenses(500), overwrite=True)
    assert (tmp_path / "out.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.drop_columns("theta_e"), {}, "column 'theta_e' is missing"),
        (lambda t: _with(t, "theta_e", np.full(40, 1.2) / 206265), {}, "are these radians or degrees"),
        (lambda t: _with(t, "weight", np.full(40, -1.0)), {}, "weight is below 0 in row 0"),
        (lambda t: _with(t, "weight", np.zeros(40)), {}, "weight is 0 in every row"),
        (lambda t: _with(t, "weight", np.full(40, np.nan)), {}, "column 'weight' is null or NaN in 40 rows"),
        (lambda t: t.append_column("p_det", t["theta_e"]), {}, "column 'p_det' is there already"),
        (lambda t: _with(t, "theta_e", np.full(40, 0.4)), {}, "none of 40 rows lies inside the support"),
        (lambda t: t, {"by": ("theta",)}, "column 'theta' is missing"),
        (lambda t: t, {"by": ("galaxy_id",)}, "column 'galaxy_id' is string, not a number"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_written(tmp_path, fitted, change, options, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, change(lenses(40)), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def _with(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values))
