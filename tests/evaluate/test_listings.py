"""Tables of strata, of the top of the list and of mistakes: their groups, figures and order."""

from __future__ import annotations

import numpy as np

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import evaluation_of
from lensctl.rules.survey import LS_DR10, LS_DR10_GRIZ
from lensctl.stats.calibration import logistic
from tests.evaluate.toys import QUICK, column, scores_of
from tests.toys.manifests import changed, with_rows
from tests.toys.scores import restamped
from tests.toys.surveys import WIDE


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
    strata = {row["group"]: row for row in evaluation_of(lone, QUICK).tables["strata"].to_pylist()}
    assert (strata["REX"]["lenses"], strata["REX"]["others"], strata["REX"]["auc"]) == (1, 50, None)
    assert strata["REX"]["fpr"] is not None
    assert strata["DEV"]["auc"] is not None


def test_bins_stand_in_their_order(found):
    groups = [row["group"] for row in found.tables["strata"].to_pylist() if row["by"] == "nobs_z_bin"]
    assert groups == ["3-5", "6-10", "11+"]
    assert listings._in_order({">= 1.6 arcsec", "1.2-1.4 arcsec", "< 1 arcsec", "1-1.2 arcsec"}, LS_DR10) == [
        "< 1 arcsec",
        "1-1.2 arcsec",
        "1.2-1.4 arcsec",
        ">= 1.6 arcsec",
    ]


def test_the_list_is_ranked_by_score_with_ties_by_id(scores):
    tied = np.round(scores["logit"].to_numpy())
    table = changed(changed(scores, "logit", tied), "p", logistic(tied))
    shuffled = restamped(table.take(np.random.default_rng(1).permutation(len(table))))
    first, second = (evaluation_of(t, QUICK).tables["top"].to_pylist() for t in (table, shuffled))
    assert [row["galaxy_id"] for row in first] == [row["galaxy_id"] for row in second]
    assert first == sorted(first, key=lambda row: (-row["logit"], row["galaxy_id"]))
    assert first[0]["viewer"].startswith("https://www.legacysurvey.org/viewer?ra=")


def test_a_lens_of_several_catalogues_counts_in_each(scores):
    test = np.flatnonzero((column(scores, "split") == "test") & (scores["label"].to_numpy() == 1))
    shared = with_rows(scores, test[:5].tolist(), ref="paper | other search")
    rows = evaluation_of(restamped(shared), QUICK).tables["strata"].to_pylist()
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


def test_strata_and_lists_of_another_survey_have_its_columns(wide):
    strata = wide.tables["strata"].to_pylist()
    assert {row["by"] for row in strata} == {
        *("tier", "type", "nobs_VIS_bin", "psfsize_VIS", "psfdepth_VIS", "confuser_category", "ref")
    }
    assert {"nobs_VIS_bin", "psfsize_VIS", "psfdepth_VIS"} <= set(wide.tables["top"].column_names)
    for by in ("psfsize_VIS", "psfdepth_VIS"):
        groups = [row for row in strata if row["by"] == by]
        assert sum(row["lenses"] + row["others"] for row in groups) == wide.metrics["rows"]["test"]["scored"]
        edges = [float(row["group"].lstrip("<>= ").split("-")[-1].split(" ")[0]) for row in groups]
        assert edges == sorted(edges)


def test_the_names_of_the_strata_are_those_of_the_survey():
    assert list(listings.names_of(LS_DR10).items())[1:5] == [
        ("type", "Tractor type"),
        ("nobs_z_bin", "exposures in z"),
        ("psfsize_z", "PSF in z"),
        ("psfdepth_z", "depth in z"),
    ]
    assert listings.names_of(WIDE)["psfsize_VIS"] == "PSF in VIS"


def test_categories_and_mistakes_are_those_of_the_survey_in_its_order(wide):
    assert listings._in_order({"bright", "spiral"}, WIDE) == ["spiral", "bright"]
    assert list(wide.metrics["headline"]["fpr_by_category"]) == ["spiral", "bright"]
    assert wide.metrics["headline"]["contaminant_fpr"]["worst_category"] == "spiral"
    assert "highest-scored others: spiral" in set(wide.tables["mistakes"]["list"].to_pylist())


def test_the_viewer_is_linked_for_surveys_that_it_shows(wide, found):
    assert set(wide.tables["top"]["viewer"].to_pylist()) == {""}
    griz = evaluation_of(scores_of(LS_DR10_GRIZ, 200, 800), QUICK)
    for one in (found, griz):
        assert all("&layer=ls-dr10&" in link for link in one.tables["top"]["viewer"].to_pylist())
