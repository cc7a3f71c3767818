"""From `selection fit` to `selection apply`, by the folder on disk alone: other lenses get the p_det they have."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from lensctl.io.provenance.steps import chain_of
from lensctl.io.tables.files import read_table, write_table
from lensctl.rules.errors import InputError
from lensctl.selection import apply
from lensctl.selection.loading import predictor_of
from tests.toys import attaching as toys
from tests.toys import known_detection
from tests.toys.measured_injections import places

LENSES = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return toys.bundle(tmp_path_factory)


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
