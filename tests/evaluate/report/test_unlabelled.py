"""Rankings with thresholds and grades of the same model; the rest is tested with the folder."""

from __future__ import annotations

import pytest

from lensctl.evaluate.given_thresholds import read_thresholds
from lensctl.evaluate.report.unlabelled import ranking_of
from lensctl.io.provenance.steps import chain_of, stamp
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError


def test_thresholds_of_the_model_are_counted_and_those_of_another_refused(bundle):
    scores = read_table(str(bundle / "scores.parquet"))
    bare = stamp(scores.drop_columns(["label"]), chain_of(scores))
    given = read_thresholds(str(bundle / "frozen"))
    found = ranking_of(bare, 5, given=given)
    assert found.metrics["thresholds"]["given_by"] == "frozen"
    logit = scores["logit"].drop_null().to_numpy()
    for point in found.metrics["thresholds"]["points"]:
        wanted = None if point["logit"] is None else int((logit >= point["logit"]).sum())
        assert point["rows"] == wanted
    with pytest.raises(InputError, match="no model that is known"):
        ranking_of(bare.replace_schema_metadata(), 5, given=given)
