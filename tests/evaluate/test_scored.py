"""Scores that would make a figure wrong are refused, and missing ones counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate.evaluation import evaluate
from lensctl.rules.errors import InputError
from tests.evaluate.toys import QUICK, column
from tests.toys.manifests import with_rows


def test_rows_without_a_score_are_left_out_and_counted(scores):
    some = np.flatnonzero(column(scores, "split") == "test")[:7]
    lost = with_rows(scores, some.tolist(), logit=None, p=None, logit_0=None)
    found = evaluate(lost, QUICK)
    assert found.metrics["rows"]["test"]["unscored"] == 7
    assert found.metrics["rows"]["test"]["scored"] == (column(scores, "split") == "test").sum() - 7


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop_columns(["label"]), "without labels"),
        (lambda t: t.drop_columns(["healpix_128"]), "healpix_128"),
        (lambda t: with_rows(t, [3], logit=float("nan")), "'logit' is not finite in 1 rows, first in row 3"),
        (lambda t: with_rows(t, [4], p=float("inf")), "'p' is not finite"),
        (lambda t: with_rows(t, [5], p=0.123), "not the logistic function of logit in 1 rows, first in row 5"),
        (lambda t: with_rows(t, [6], p=None), "'p' is null"),
        (lambda t: with_rows(t, [1], galaxy_id="0000p000_0"), "0000p000_0"),
        (lambda t: with_rows(t, [0], label=0), "label 0 contradicts tier A in row 0"),
        (lambda t: with_rows(t, [2], label=2), "label in row 2 is '2'"),
        (lambda t: with_rows(t, [2], split="dev"), "split in row 2 is 'dev'"),
        (lambda t: with_rows(t, [2], split=None), "'split' is null"),
        (lambda t: with_rows(t, [2], tier="C"), "tier in row 2 is 'C'"),
        (lambda t: with_rows(t, [1500], sampling_weight=-1.0), "sampling_weight"),
        (lambda t: t.filter(pa.array(column(t, "split") != "val")), "no scored row has split 'val'"),
        (lambda t: t.filter(pa.array(column(t, "split") != "test")), "no scored row has split 'test'"),
        (lambda t: t.slice(0, 0), "no scored row"),
    ],
)
def test_scores_that_would_make_a_figure_wrong_are_refused(scores, spoil, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        evaluate(spoil(scores), QUICK)
