"""What is done with the folder of `selection fit`: both gates, apply, attach, verify, show."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.selection import apply, attach
from lensctl.selection.loading import predictor_of
from lensctl.show.identify import identify
from lensctl.verify import verify
from tests.toys import attaching as toys
from tests.toys import frozen as frozen_toy
from tests.toys import known_detection
from tests.toys.measured_injections import places

LENSES = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toys.fitted_bundle(tmp_path_factory)


@pytest.fixture(scope="module")
def others():
    """Lenses of another draw, whose p_det is known."""
    return known_detection.injections(77, hosts=LENSES, per_host=1, pixels=LENSES // 4)


def table_of(others, **more):
    _, _, pixel = places(LENSES, 4)
    return pa.table({"galaxy_id": [f"l{i}" for i in range(LENSES)], **others.values, "healpix_128": pixel, **more})


def test_lenses_of_another_draw_get_their_p_det_and_both_averages_their_share(made, others, tmp_path):
    write_table(table_of(others), str(tmp_path / "lenses.parquet"))
    told = apply(made / "selection", tmp_path / "lenses.parquet", tmp_path / "out.parquet", min_neff=30)
    found = read_table(str(tmp_path / "out.parquet"))
    inside = np.asarray(found["inside"].to_numpy(zero_copy_only=False))
    assert told["inside"] == inside.sum() > 0.9 * LENSES
    p = np.asarray(found["p_det"].to_numpy(zero_copy_only=False), float)[inside]
    assert np.abs(p - others.p[inside]).mean() < 0.06
    low, high = (np.asarray(found[name].to_numpy(zero_copy_only=False), float)[inside] for name in ("p_low", "p_high"))
    assert ((low <= p) & (p <= high)).all()
    whole = told["completeness"]
    assert (told["threshold"], whole["agree"]) == ("p=0.5", True)
    for name in ("plug_in", "importance"):
        within = whole[name]["within"]
        assert within["low"] - 0.02 < others.p.mean() < within["high"] + 0.02
    commands = [step.command for step in chain_of(found)]
    assert commands[-2:] == ["selection fit", "selection apply"]


def test_both_gates_judge_what_fit_writes_and_know_it_by_one_digest(made):
    lines = toys.lines_of(made)
    assert {line["gate"] for line in lines} == {"realism", "selection"}
    shown = json.loads((made / "selection" / "selection.json").read_text())["realism"]
    of_gate = [{name: line.get(name, "") for name in shown[0]} for line in lines if line["gate"] == "realism"]
    assert of_gate == shown, "the report's figures are those of the gate"
    assert {line["input_digest"] for line in lines} == {digests.of_file(made / "selection" / "selection.json")}
    judged = {line["check"] for line in lines if line["limit"] and line["value"] is not None}
    assert {"P1: AUC of artefacts, matched", "P2: AUC of arcs, matched"} <= judged
    assert "p=0.5: recall less mean p_det of A+B" in judged


def test_a_fit_whose_gates_are_well_is_attached_verified_and_shown(made, tmp_path):
    with frozen_toy.tiny_network():
        attach(made / "frozen", made / "selection", tmp_path / "out", gates=made / "gates.jsonl")
        found = verify(tmp_path / "out", frozen=made / "frozen", device="cpu")
    checks = {check["check"]: check for check in found["checks"]}
    assert found["passed"]
    assert checks["level"]["value"] == "selection"
    every = [path for path in (made / "selection").rglob("*") if path.is_file()]
    assert checks["tables and files are those of the fit"]["n"] == len(every) - 1
    facts = identify(str(made / "selection"))
    assert (facts.kind, facts.values["usable"], facts.values["exploratory"]) == ("selection function", 3000, False)
    assert facts.values["digest"] == identify(str(tmp_path / "out")).values["selection_digest"]
    thresholds, closure = facts.listings
    assert thresholds.rows[0][0] == "p=0.5"
    assert [row[1] for row in closure.rows][:3] == ["A+B", "A", "B"]
    assert facts.chain[-1].command == "selection fit"


def test_the_predictor_is_that_of_evaluate_py(made, others):
    """One p_det for those who have lensctl and for those who have not."""
    facts = json.loads((made / "selection" / "selection.json").read_text())
    predictor, shift = predictor_of(facts, "p=0.5", "selection.json")
    names: dict[str, object] = {"__name__": "evaluate"}
    exec((made / "selection" / "evaluate.py").read_text(), names)
    found, other = predictor.predict(others.values), names["predict"](**others.values)
    np.testing.assert_allclose(found.p, other["p_det"], atol=1e-6)
    np.testing.assert_array_equal(found.inside, other["inside"])
    assert shift == facts["systematic_logit_shift"]["p=0.5"]


def test_a_folder_whose_injections_were_changed_is_refused(made, others, tmp_path):
    """Averages weigh them: those of another fit would give another completeness."""
    shutil.copytree(made / "selection", tmp_path / "selection")
    tables = tmp_path / "selection" / "tables"
    table = read_table(str(tables / "injections.parquet"))
    write_table(table.slice(0, 2000), str(tables / "injections.parquet"), overwrite=True)
    write_table(table_of(others), str(tmp_path / "lenses.parquet"))
    with pytest.raises(InputError, match=r"tables/injections.parquet: was changed since the fit"):
        apply(tmp_path / "selection", tmp_path / "lenses.parquet", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
