"""Tables of strata, of the top of the list and of mistakes: their groups, figures and order."""

from __future__ import annotations

import numpy as np

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import evaluate
from lensctl.stats.calibration import logistic
from tests.evaluate.toys import QUICK, column
from tests.toys.manifests import changed, with_rows
from tests.toys.scores import restamped


def test_strata_have_no_metric_where_it_has_no_meaning(found):
    rows = {(row["by"], row["group"]): row for row in found.tables["strata"].to_pylist()}
    assert rows["tier", "A"]["fpr"] is None
    assert rows["tier", "A"]["auc"] == found.metrics["headline"]["tier_a_auc"]["value"]
    assert rows["confuser_category", "ring_proxy"]["recall"] is None
    assert rows["confuser_category", "ring_proxy"]["auc"] is not None
    for by in ("type", "nobs_z_bin", "psfsize_z", "psfdepth_z"):
        mine = [row for (kind, _), row in rows.items() if kind == by]
        assert sum(row["lenses"] + row["others"] for row in mine) == found.metrics["rows"]["test"]["scored"]
        for row in mine:
            assert (row["auc"] is None) == (not row["lenses"] or not row["others"])


def test_one_lens_makes_no_auc_of_a_stratum(scores):
    test = column(scores, "split") == "test"
    rows = np.flatnonzero(test & (scores["label"].to_numpy() == 1))
    lone = with_rows(with_rows(scores, np.flatnonzero(test).tolist(), type="DEV"), [int(rows[0])], type="REX")
    others = np.flatnonzero(test & (scores["label"].to_numpy() == 0))[:50]
    lone = restamped(with_rows(lone, others.tolist(), type="REX"))
    strata = {row["group"]: row for row in evaluate(lone, QUICK).tables["strata"].to_pylist()}
    assert (strata["REX"]["lenses"], strata["REX"]["others"], strata["REX"]["auc"]) == (1, 50, None)
    assert strata["REX"]["fpr"] is not None
    assert strata["DEV"]["auc"] is not None


def test_bins_stand_in_their_order(found):
    groups = [row["group"] for row in found.tables["strata"].to_pylist() if row["by"] == "nobs_z_bin"]
    assert groups == ["3-5", "6-10", "11+"]
    assert listings._in_order({">= 1.6 arcsec", "1.2-1.4 arcsec", "< 1 arcsec", "1-1.2 arcsec"}) == [
        "< 1 arcsec",
        "1-1.2 arcsec",
        "1.2-1.4 arcsec",
        ">= 1.6 arcsec",
    ]


def test_the_list_is_ranked_by_score_with_ties_by_id(scores):
    tied = np.round(scores["logit"].to_numpy())
    table = changed(changed(scores, "logit", tied), "p", logistic(tied))
    shuffled = restamped(table.take(np.random.default_rng(1).permutation(len(table))))
    first, second = (evaluate(t, QUICK).tables["top"].to_pylist() for t in (table, shuffled))
    assert [row["galaxy_id"] for row in first] == [row["galaxy_id"] for row in second]
    assert first == sorted(first, key=lambda row: (-row["logit"], row["galaxy_id"]))
    assert first[0]["viewer"].startswith("https://www.legacysurvey.org/viewer?ra=")


def test_a_lens_of_several_catalogues_counts_in_each(scores):
    test = np.flatnonzero((column(scores, "split") == "test") & (scores["label"].to_numpy() == 1))
    shared = with_rows(scores, test[:5].tolist(), ref="paper | other search")
    rows = evaluate(restamped(shared), QUICK).tables["strata"].to_pylist()
    assert {row["group"]: row["lenses"] for row in rows if row["by"] == "ref"} == {
        "other search": 5,
        "paper": len(test),
    }


def test_mistakes_are_the_worst_of_each_kind(found):
    rows = found.tables["mistakes"].to_pylist()
    kinds = {row["list"] for row in rows}
    assert kinds == {
        "highest-scored others: ring_proxy",
        "highest-scored others: N1",
        "lowest-scored lenses: tier A",
        "lowest-scored lenses: tier B",
    }
    missed = [row["logit"] for row in rows if row["list"] == "lowest-scored lenses: tier B"]
    assert missed == sorted(missed)
    assert all(row["label"] == 0 for row in rows if row["list"].startswith("highest-scored others"))
