"""What was judged is named, altered scores are refused, a mock survey is announced."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate import origin
from lensctl.evaluate.evaluation import evaluation_of
from lensctl.evaluate.report.html import render
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input, Step, chain_of, stamp
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from tests.evaluate.toys import QUICK
from tests.toys.manifests import with_rows
from tests.toys.scores import MODEL_DIGEST, restamped, toy_scores
from tests.toys.surveys import WIDE


def test_what_was_judged_is_named(scores, found):
    manifest = scores.drop_columns(["logit", "p", "logit_0"])
    assert found.metrics["scores_digest"] == digests.of_table(scores)
    assert found.metrics["manifest_digest"] == digests.of_table(manifest)
    assert found.metrics["model_digest"] == MODEL_DIGEST
    assert found.metrics["provenance"][-1]["command"] == "evaluate"
    for name, table in found.tables.items():
        assert found.metrics["tables"][name]["digest"] == digests.of_table(table)
        assert chain_of(table)[-1].command == "evaluate"


def flipped(scores, rows):
    """A lens called N1."""
    return with_rows(with_rows(scores, rows, label=0), rows, tier="N1")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: flipped(t, [0]),
        lambda t: with_rows(t, [3], split="train" if t["split"][3].as_py() != "train" else "val"),
        lambda t: t.slice(0, len(t) - 1),
    ],
)
def test_labels_and_rows_that_disagree_with_the_manifest_are_refused(scores, spoil):
    with pytest.raises(
        InputError,
        match="scores.parquet: labels, splits or other columns differ from the scored manifest, manifest.parquet",
    ):
        evaluation_of(spoil(scores), QUICK)
    evaluation_of(restamped(spoil(scores)), QUICK)


def test_scores_of_a_fold_may_have_other_splits_than_the_manifest(scores):
    chain = chain_of(scores)
    train, score = chain[-2:]
    folded = Step("train", {**train.parameters, "fold": "1/5"}, train.inputs)
    sources = tuple(Input(s.role, s.name, s.digest, folded.id) for s in score.inputs)
    again = stamp(flipped(scores, [0]), (*chain[:-2], folded, Step("score", {}, sources)))
    assert evaluation_of(again, QUICK).metrics["rows"]["test"]["scored"] == 360


def test_an_embedding_beside_the_scores_is_no_change_of_the_manifest(scores):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(3 * scores.num_rows, np.float32)), 3)
    seen = scores.append_column("embedding", lists)
    assert evaluation_of(seen, QUICK).metrics["headline"] == evaluation_of(scores, QUICK).metrics["headline"]


def test_scores_of_other_tools_are_judged_but_bound_to_nothing(scores):
    found = evaluation_of(scores.replace_schema_metadata(), QUICK)
    assert found.metrics["model_digest"] is None
    assert found.metrics["manifest_digest"] is None


@pytest.mark.parametrize("how", ["step", "ref"])
def test_a_mock_survey_is_announced(scores, how):
    mock = (
        toy_scores(commands=("sky", "pool")) if how == "step" else restamped(with_rows(scores, [0], ref="lensctl mock"))
    )
    found = evaluation_of(mock, QUICK)
    assert found.metrics["mock"] is True
    assert "mock survey" in found.metrics["note"]
    assert found.metrics["note"] in render(found, {}, {})


def test_a_mock_survey_is_known_by_the_step_that_made_it_which_has_no_inputs():
    assert origin.of_mock((Step("sky", {}),), pa.table({}))
    assert not origin.of_mock((Step("pool", {}),), pa.table({}))


def test_a_real_survey_is_not_called_a_mock(found):
    assert found.metrics["mock"] is False
    assert "mock" not in render(found, {}, {}).split("</style>")[1]


def test_an_evaluation_is_of_the_survey_of_its_scores(wide, found):
    assert chain_of(wide.tables["top"])[-1].survey == WIDE
    assert wide.test.survey == WIDE
    assert found.test.survey == chain_of(found.tables["top"])[-1].survey == LS_DR10
