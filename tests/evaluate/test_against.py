"""Comparing two evaluations: paired intervals, the galaxies of both, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from lensctl.cli.main import main
from lensctl.evaluate import against
from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import folder, plots
from lensctl.evaluate.report.html import render
from lensctl.evaluate.scored import Scored
from lensctl.io.provenance.steps import Input, from_list
from lensctl.io.tables.files import write_table
from lensctl.rules.errors import InputError
from lensctl.rules.survey import LS_DR10
from lensctl.stats import metrics
from lensctl.stats.calibration import logistic
from lensctl.stats.intervals import Resampling, delong_difference
from tests.evaluate.toys import scores_of
from tests.toys.manifests import changed
from tests.toys.scores import toy_scores
from tests.toys.surveys import WIDE

QUICK = Choices(rounds=200, top=5)


@pytest.fixture(scope="module")
def scores():
    return toy_scores(400, 2000)


def noisier(scores, sigma, seed=1):
    """The scores of a weaker model: the same logits with noise."""
    logit = scores["logit"].to_numpy() + sigma * np.random.default_rng(seed).normal(size=scores.num_rows)
    return changed(changed(scores, "logit", logit), "p", logistic(logit))


def other_of(tmp_path, scores, name="b.parquet"):
    write_table(scores, str(tmp_path / name))
    return against.read_other(str(tmp_path / name))


def compared(tmp_path, scores, other):
    found = evaluation_of(scores, QUICK, other=other_of(tmp_path, other))
    return found, {row["figure"]: row for row in found.metrics["against"]["figures"]}


def test_a_weaker_model_is_told_from_a_better_one_and_the_other_way_round(tmp_path, scores):
    weak = noisier(scores, 4.0)
    _, rows = compared(tmp_path, scores, weak)
    assert {rows[name]["verdict"] for name in ("AUC", "recall at FPR 0.01", "FPR at p = 0.5")} == {"better"}
    assert rows["AUC"]["low"] > 0 > rows["FPR at p = 0.5"]["high"]
    assert next(iter(rows)) == "recall at FPR 0.01"
    turned = against.compare(
        *[against.read_other(str(tmp_path / "b.parquet")).test], other_of(tmp_path, scores, "a.parquet"), 200, 42
    )
    for row in turned["figures"]:
        mirror = rows[row["figure"]]
        assert (row["here"], row["there"]) == (mirror["there"], mirror["here"])
        if row["difference"] is not None:
            assert row["difference"] == pytest.approx(-mirror["difference"])
        assert row["p"] == pytest.approx(mirror["p"])
        assert row["verdict"] == {"better": "worse", "worse": "better"}.get(mirror["verdict"], mirror["verdict"])


def test_a_model_against_itself_is_not_told_apart_and_the_interval_is_no_point(tmp_path, scores):
    _, rows = compared(tmp_path, scores, scores)
    assert {row["verdict"] for row in rows.values()} == {"not told apart"}
    assert all(row["difference"] == 0 for row in rows.values() if not row["why"])
    assert all(row["p"] == 1 for row in rows.values())
    assert rows["recall at p = 0.5"]["low"] < 0 < rows["recall at p = 0.5"]["high"]
    assert rows["recall at p = 0.5"]["few"]


def test_differences_are_those_of_the_two_models_by_themselves(tmp_path, scores):
    weak = noisier(scores, 2.0)
    found, rows = compared(tmp_path, scores, weak)
    alone = evaluation_of(weak, QUICK).metrics
    assert rows["AUC"]["there"] == alone["headline"]["test_auc"]["value"]
    assert rows["tier-A AUC"]["there"] == alone["headline"]["tier_a_auc"]["value"]
    assert rows["tier-A recall at p = 0.5"]["there"] == alone["headline"]["tier_a_recall"]["value"]
    assert rows["FPR of ring_proxy"]["there"] == alone["headline"]["fpr_by_category"]["ring_proxy"]["value"]
    for point in alone["ranking"]["test"]["recall_at_fpr"]:
        assert rows[f"recall at FPR {point['fpr']:g}"]["there"] == point["value"]
    table = found.tables["against"].to_pylist()
    assert [row["difference"] for row in table] == [row["difference"] for row in rows.values()]


def test_intervals_are_paired_over_pixels_by_a_loop_over_repeated_rows(tmp_path, scores):
    weak = noisier(scores, 2.0)
    ours, theirs = (other_of(tmp_path, t, n).test for t, n in ((scores, "a.parquet"), (weak, "b.parquet")))
    rows = {
        row["figure"]: row
        for row in against.compare(ours, against.read_other(str(tmp_path / "b.parquet")), 100, 7)["figures"]
    }
    resampling = Resampling(ours.pixel, 100, 7)
    recalls, rates, aucs = [], [], []
    for drawn in np.concatenate([block for _, block in resampling.blocks()]):
        again = np.repeat(np.arange(len(ours)), drawn[resampling.cluster])
        label = ours.is_lens[again]
        here, there = ours.logit[again], theirs.logit[again]
        rates.append((here[~label] >= 0).mean() - (there[~label] >= 0).mean())
        at = [metrics.point_at_fpr(metrics.curve(label, logit), 0.01).recall for logit in (here, there)]
        recalls.append(at[0] - at[1])
        aucs.append(metrics.roc_auc(label, here) - metrics.roc_auc(label, there))
    for name, samples in (("FPR at p = 0.5", rates), ("recall at FPR 0.01", recalls)):
        assert (rows[name]["low"], rows[name]["high"]) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])))
    delong, (low, high) = delong_difference(ours.is_lens, ours.logit, theirs.logit), np.quantile(aucs, [0.025, 0.975])
    assert (rows["AUC"]["low"], rows["AUC"]["high"]) == pytest.approx((min(delong.low, low), max(delong.high, high)))


def test_only_galaxies_of_both_are_compared_and_the_others_are_counted(tmp_path, scores):
    split = np.array(scores["split"].to_pylist())
    gone = np.flatnonzero(split == "test")[::3]
    fewer = scores.filter(pa.array(~np.isin(np.arange(len(scores)), gone))).replace_schema_metadata()
    shuffled = fewer.take(np.random.default_rng(0).permutation(len(fewer)))
    found, rows = compared(tmp_path, scores, shuffled)
    counts = found.metrics["against"]
    assert (counts["only_here"], counts["only_there"]) == (len(gone), 0)
    assert counts["galaxies"] == (split == "test").sum() - len(gone)
    assert all(row["difference"] == 0 for row in rows.values() if not row["why"])
    assert f"{len(gone):,} only here" in against.sentence(counts)


def test_an_evaluations_folder_compares_like_its_scores(tmp_path, scores, monkeypatch):
    monkeypatch.setattr(plots, "PLOTS", {})
    weak = noisier(scores, 2.0)
    (tmp_path / "out").mkdir()
    folder.write(evaluation_of(weak, QUICK), tmp_path / "out", None)
    by_folder = evaluation_of(scores, QUICK, other=against.read_other(str(tmp_path / "out"))).metrics["against"]
    by_scores = evaluation_of(scores, QUICK, other=other_of(tmp_path, weak)).metrics["against"]
    assert by_folder["figures"] == by_scores["figures"]
    assert by_folder["name"] == "out"


def test_the_other_is_an_input_of_the_step_and_its_steps_are_in_the_chain(tmp_path, scores):
    found, _ = compared(tmp_path, scores, toy_scores(400, 2000, commands=("sky", "pool")))
    step = from_list(found.metrics["provenance"], "metrics")[-1]
    assert [source.role for source in step.inputs] == ["scores", "against"]
    assert step.inputs[1].step in {s["id"] for s in found.metrics["provenance"]}


def test_the_report_shows_the_comparison(tmp_path, scores):
    found, _ = compared(tmp_path, scores, noisier(scores, 4.0))
    html = render(found, {}, {})
    assert "<h2>Compared with b.parquet</h2>" in html
    assert '<span class="yes">better</span>' in html
    assert "Against" not in render(evaluation_of(scores, QUICK), {}, {})


def relabelled(scores):
    row = int(np.flatnonzero((np.array(scores["split"].to_pylist()) == "test") & (scores["label"].to_numpy() == 1))[0])
    label, tier = scores["label"].to_pylist(), scores["tier"].to_pylist()
    label[row], tier[row] = 0, "N1"
    return changed(changed(scores, "label", pa.array(label, pa.int8())), "tier", tier)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (relabelled, "b.parquet: 1 galaxies have a different label there, first "),
        (lambda t: changed(t, "galaxy_id", [f"x{i}" for i in range(len(t))]), "no test galaxies in common"),
        (lambda t: t.filter(pa.array(np.array(t["split"].to_pylist()) != "test")), "no scored row has split 'test'"),
        (lambda t: t.drop_columns(["label"]), "without labels"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, scores, spoil, message):
    with pytest.raises(InputError, match=message):
        compared(tmp_path, scores, spoil(scores))


def test_the_command_compares_two_and_writes_nothing(tmp_path, scores, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_table(scores, "a.parquet")
    write_table(noisier(scores, 4.0), "b.parquet")
    assert main(["evaluate", "a.parquet", "--against", "b.parquet", "--rounds", "100"]) == 0
    out, err = capfd.readouterr()
    (line,) = [json.loads(text) for text in out.splitlines()]
    assert line["against"]["figures"][0]["verdict"] == "better"
    assert "on 360 common test galaxies (60 lenses): recall at FPR 0.01: better. Of the others, better: AUC, " in err
    assert "the 8 others are many, and some would differ by chance" in err
    assert main(["evaluate", "a.parquet", "--against", "b.parquet", "--rounds", "100", "--headline", "AUC"]) == 0
    line = json.loads(capfd.readouterr().out)["against"]
    assert (line["headline"], line["figures"][0]["figure"]) == ("AUC", "AUC")
    assert main(["evaluate", "a.parquet", "--against", "b.parquet", "--rounds", "100", "--headline", "luck"]) == 2
    assert "no figure 'luck' to compare" in capfd.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}
    assert main(["evaluate", "a.parquet"]) == 2
    assert "OUT_DIR is missing" in capfd.readouterr().err
    assert main(["evaluate", "a.parquet", "--against", "c.parquet"]) == 2
    assert "c.parquet: no such file" in capfd.readouterr().err


def test_a_folder_that_kept_no_scores_is_refused(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="has no test scores"):
        against.read_other(str(tmp_path / "old"))


def test_evaluations_of_two_surveys_are_not_compared(tmp_path, scores, capfd):
    other = other_of(tmp_path, scores_of(WIDE), "wide.parquet")
    with pytest.raises(InputError, match="is of survey wide, not of ls-dr10"):
        evaluation_of(scores, QUICK, other=other)
    write_table(scores, str(tmp_path / "a.parquet"))
    assert main(["evaluate", str(tmp_path / "a.parquet"), "--against", str(tmp_path / "wide.parquet")]) == 2
    assert "is of survey wide, not of ls-dr10" in capfd.readouterr().err


def test_categories_of_a_comparison_are_those_of_the_survey(tmp_path):
    _, rows = compared(tmp_path, scores_of(WIDE), scores_of(WIDE))
    assert "FPR of spiral" in rows


def pair(seed, pixels, alike):
    """Two models of one quality: 50 lenses among 500 others, each model with noise of its own that pixels share."""
    random = np.random.default_rng(seed)
    label, pixel = np.arange(550) < 50, random.integers(0, pixels, 550)
    base = np.where(label, 2.5, -3.0) + 1.2 * random.normal(size=550)
    kinds = np.array(list(LS_DR10.confusers), object)[random.integers(0, len(LS_DR10.confusers), 550)]
    category = np.where(~label & (np.arange(550) % 5 == 0), kinds, None)
    tier = np.where(label, np.where(np.arange(550) % 2, "B", "A"), np.where(category.astype(bool), "N2", "N1"))
    table = pa.table({"galaxy_id": [f"g{i}" for i in range(550)], "confuser_category": category.tolist()})
    for _ in range(2):
        of_pixel = random.normal(size=(2, pixels))[label.astype(int), pixel]
        logit = base + 0.8 * (np.sqrt(alike) * of_pixel + np.sqrt(1 - alike) * random.normal(size=550))
        rows, split = np.arange(550), np.full(550, "test", object)
        kept = (table, rows, label, logit, logistic(logit), split, tier.astype(object), pixel, np.ones(550))
        yield Scored(*kept, {}, LS_DR10)


@pytest.mark.parametrize(("pixels", "alike"), [(18, 0.2), (200, 0.0)])
@pytest.mark.parametrize("seeds", [40, pytest.param(600, marks=pytest.mark.soak)])
def test_equal_models_are_told_apart_no_more_often_than_it_says(pixels, alike, seeds):
    """Some figure of twelve `differed` between equal models in 18 to 36 of a hundred."""
    headline = others = 0
    for seed in range(seeds):
        here, there = pair(seed, pixels, alike)
        first, *rest = against.compare(here, against.Other(there, Input("against", "b", "0"), ()), 200, 42)["figures"]
        headline += first["verdict"] != "not told apart"
        others += any(row["verdict"] != "not told apart" for row in rest)
    assert headline / seeds <= 0.05 + 2 * np.sqrt(0.05 / seeds)
    assert others / seeds <= 0.05 + 2 * np.sqrt(0.05 / seeds)


def test_a_figure_that_the_rows_do_not_resolve_is_not_compared(tmp_path, scores):
    _, rows = compared(tmp_path, scores, noisier(scores, 4.0))
    unresolved = rows["recall at FPR 0.0001"]
    assert (unresolved["here"], unresolved["difference"], unresolved["verdict"]) == (None, None, "not told apart")
    assert unresolved["why"] == "not resolved: 0.03 false positives are expected of 300 non-lenses"


def test_differences_of_rows_in_few_pixels_have_no_interval():
    here, there = pair(0, 9, 0.0)
    rows = against.compare(here, against.Other(there, Input("against", "b", "0"), ()), 200, 42)["figures"]
    assert all((row["low"], row["interval"]) == (None, "") for row in rows)
    assert rows[0]["difference"] is not None
    assert rows[0]["why"].startswith("no interval: the rows lie in 9 HEALPix pixels")
