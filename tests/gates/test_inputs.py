"""A manifest's paths are relative to its folder or to a root; the survey is the one that the inputs name."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.gates import inputs as gate_inputs
from lensctl.gates.inputs import Inputs
from lensctl.io.provenance.steps import KEY, Step, stamp, to_list
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from tests.toys.judging import CUTOUTS, NOISE, failed, judge, saved
from tests.toys.manifests import evaluation, toy_manifest, with_store
from tests.toys.surveys import WIDE


def test_pixels_of_a_manifest_on_stdin_need_a_root(tmp_path, monkeypatch):
    import io
    import types

    path = with_store(tmp_path, CUTOUTS, NOISE)
    stream = io.BytesIO()
    table = pq.read_table(path)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    for root in (None, tmp_path):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(stream.getvalue())))
        if root is None:
            with pytest.raises(InputError, match="no folder to resolve cutout_path"):
                judge("pixels", "-", root=root)
        else:
            assert failed(judge("pixels", "-", root=root)) == []


def test_the_survey_is_that_of_a_table_a_store_or_an_evaluation(tmp_path, monkeypatch):
    table = toy_manifest(6, 14, survey=WIDE)
    manifest = with_store(tmp_path, table, np.zeros((20, 9, 9, 4), np.float32))
    write_table(table, str(tmp_path / "manifest.arrow"))
    (tmp_path / "evaluation").mkdir()
    metrics = {**evaluation(), "provenance": to_list((Step("evaluate", {}, survey=WIDE),))}
    (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    for name in ("manifest.arrow", "manifest.parquet", "cutouts.zarr", "evaluation"):
        assert Inputs([str(tmp_path / name)]).survey == WIDE
    assert Inputs([str(manifest), str(tmp_path / "manifest.arrow")]).survey == WIDE
    monkeypatch.setattr(gate_inputs, "read_table", lambda *arguments, **others: pytest.fail("rows are read"))
    assert Inputs([str(manifest)]).survey == WIDE


def test_inputs_that_name_no_survey_are_of_the_one_given(tmp_path):
    paths = [str(saved(tmp_path, CUTOUTS)), str(tmp_path / "absent.parquet"), str(tmp_path)]
    (tmp_path / "rows.csv").write_text("galaxy_id\nx\n")
    (tmp_path / "metrics.json").write_text("[]")
    for path in (*paths, str(tmp_path / "rows.csv")):
        assert Inputs([path]).survey == LS_DR10
        assert Inputs([path], survey="ls-dr10-griz").survey == LS_DR10_GRIZ
        assert Inputs([path], survey=WIDE).survey == WIDE


def test_inputs_of_two_surveys_are_refused(tmp_path):
    ours = saved(tmp_path, toy_manifest(1, 1, survey=WIDE), "wide.parquet")
    griz = saved(tmp_path, stamp(CUTOUTS, (Step("manifest", {}, survey=LS_DR10_GRIZ),)), "griz.parquet")
    with pytest.raises(InputError, match="is of survey ls-dr10-griz, not of wide"):
        _ = Inputs([str(ours), str(griz)]).survey
    with pytest.raises(InputError, match="is of survey wide, not of ls-dr10"):
        _ = Inputs([str(ours)], survey="ls-dr10").survey


def test_a_survey_that_is_not_known_here_is_refused_and_not_taken_for_ls_dr10(tmp_path):
    steps = [{**step, "survey": "of-the-future"} for step in to_list((Step("manifest", {}),))]
    table = CUTOUTS.replace_schema_metadata({KEY: json.dumps(steps).encode()})
    with pytest.raises(InputError, match="no survey 'of-the-future' is known"):
        _ = Inputs([str(saved(tmp_path, table))]).survey
