"""Scores that would make a figure wrong are refused, and missing ones counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate import scored
from lensctl.evaluate.evaluation import evaluation_of
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10_GRIZ
from tests.evaluate.toys import QUICK, column, scores_of
from tests.toys.manifests import with_rows
from tests.toys.surveys import WIDE


def test_rows_without_a_score_are_left_out_and_counted(scores):
    some = np.flatnonzero(column(scores, "split") == "test")[:7]
    lost = with_rows(scores, some.tolist(), logit=None, p=None, logit_0=None)
    found = evaluation_of(lost, QUICK)
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
        evaluation_of(spoil(scores), QUICK)


def test_the_bins_of_psf_and_depth_are_fixed_for_ls_dr10_and_fifths_for_others():
    usual = scored.read_scores(scores_of(LS_DR10_GRIZ)).of("test").strata()
    assert set(usual["psfsize_z"]) <= {
        "< 1 arcsec",
        "1-1.2 arcsec",
        "1.2-1.4 arcsec",
        "1.4-1.6 arcsec",
        ">= 1.6 arcsec",
    }
    test = scored.read_scores(scores_of(WIDE)).of("test")
    for name in ("psfsize_VIS", "psfdepth_VIS"):
        counts = [int(rows.sum()) for rows in test.strata()[name].values()]
        assert len(counts) == 5
        assert min(counts) > 0.1 * len(test)
        assert sum(counts) == len(test)


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        (np.linspace(24, 25, 1001), (24.2, 24.4, 24.6, 24.8)),
        (np.linspace(0.15, 0.25, 1001), (0.17, 0.19, 0.21, 0.23)),
        ([0.2, np.nan, 0.2, 0.2], (0.2,)),
        ([np.nan], (0.0,)),
    ],
)
def test_fifths_have_round_edges(values, edges):
    assert scored._fifths(np.array(values)) == edges


def test_a_survey_without_psf_or_depth_has_no_such_strata():
    table = scores_of(WIDE).drop_columns(["psfsize_VIS", "psfdepth_VIS"])
    strata = scored.read_scores(table).of("test").strata()
    assert strata["psfsize_VIS"] == strata["psfdepth_VIS"] == {}


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_weight_that_is_none_is_refused_and_an_unknown_one_counts_as_1(scores, weight):
    row = int(np.flatnonzero(column(scores, "label") == 0)[0])
    with pytest.raises(InputError, match="sampling_weight is not positive"):
        scored.read_scores(with_rows(scores, [row], sampling_weight=weight))
    assert scored.read_scores(with_rows(scores, [row], sampling_weight=None)).weight[row] == 1.0
