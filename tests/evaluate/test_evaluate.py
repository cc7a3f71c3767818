"""Evaluation: figures from the right split, what is refused, what is written."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from lensctl.evaluate import calibrating, listings, operating_point, scored
from lensctl.evaluate.evaluation import Choices, evaluate
from lensctl.evaluate.report import folder, plots
from lensctl.evaluate.report.html import galleries_shown, number, render
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Input, Step, chain_of, stamp
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError
from lensctl.stats import calibration, metrics
from lensctl.stats.calibration import logistic
from lensctl.stats.intervals import Resampling
from tests.toys.manifests import changed, with_rows
from tests.toys.scores import MODEL_DIGEST, restamped, toy_pixels, toy_scores

QUICK = Choices(rounds=100, top=20)


@pytest.fixture(scope="module")
def scores():
    return toy_scores()


@pytest.fixture(scope="module")
def found(scores):
    return evaluate(scores, QUICK)


def rescored(table, mask, shift):
    """The scores with the logits of some rows moved."""
    logit = table["logit"].to_numpy() + np.where(mask, shift, 0.0)
    table = changed(table, "logit", logit)
    return changed(table, "p", logistic(logit))


def column(table, name):
    return np.array(table[name].to_pylist(), dtype=object)


def test_headline_figures_are_those_of_the_test_split(scores, found):
    test = column(scores, "split") == "test"
    tier, label = column(scores, "tier")[test], scores["label"].to_numpy()[test]
    p, category = scores["p"].to_numpy()[test], column(scores, "confuser_category")[test]
    headline = found.metrics["headline"]
    assert headline["tier_a_recall"]["value"] == (p[tier == "A"] >= 0.5).mean()
    assert headline["tier_a_recall"]["n"] == (tier == "A").sum()
    versus_all = (label == 0) | (tier == "A")
    assert headline["tier_a_auc"]["value"] == pytest.approx(metrics.roc_auc(label[versus_all], p[versus_all]))
    assert headline["test_auc"]["value"] == pytest.approx(metrics.roc_auc(label, p))
    ring = p[(category == "ring_proxy") & (label == 0)]
    assert headline["fpr_by_category"]["ring_proxy"]["value"] == (ring >= 0.5).mean()
    assert headline["contaminant_fpr"]["worst_category"] == "ring_proxy"
    assert headline["fpr_by_category"]["blue_clumpy"]["value"] is None
    assert headline["ece_equal_width"]["value"] == pytest.approx(calibration.ece(label, p))
    assert headline["ece_equal_mass"]["value"] == pytest.approx(calibration.ece(label, p, by="mass"))
    assert headline["ece_positive"]["value"] == pytest.approx(calibration.ece_positive(label, p))
    for name in ("tier_a_recall", "tier_a_auc", "test_auc", "ece_equal_width", "ece_positive"):
        assert headline[name]["low"] <= headline[name]["value"] <= headline[name]["high"]


def test_thresholds_and_calibration_know_nothing_of_the_test_split(scores, found):
    spoiled = evaluate(rescored(scores, column(scores, "split") == "test", 1.5), QUICK)
    for before, after in zip(
        found.metrics["thresholds"]["points"], spoiled.metrics["thresholds"]["points"], strict=True
    ):
        assert (before["logit"], before["val"]) == (after["logit"], after["val"])
    assert found.calibrated == spoiled.calibrated
    assert found.metrics["headline"]["fpr"] != spoiled.metrics["headline"]["fpr"]


def test_headline_figures_know_nothing_of_val_and_train(scores, found):
    spoiled = evaluate(rescored(scores, column(scores, "split") != "test", 1.5), QUICK)
    for name in ("tier_a_recall", "tier_a_auc", "contaminant_fpr", "fpr", "ece_equal_width", "test_auc"):
        assert found.metrics["headline"][name] == spoiled.metrics["headline"][name]
    assert found.calibrated != spoiled.calibrated


@pytest.mark.parametrize("prevalence", [None, 1e-3])
def test_recall_before_false_positives_and_purity_have_intervals_of_resampled_pixels(scores, prevalence):
    weighted = restamped(
        changed(
            scores, "sampling_weight", np.where(scores["label"].to_numpy() == 1, 1.0, 1.0 + np.arange(len(scores)) % 9)
        )
    )
    found = evaluate(weighted, Choices(rounds=100, prevalence=prevalence)).metrics
    test = scored.read(weighted).of("test")
    weight = None if prevalence is None else test.weight
    rows = (found["sky"] if prevalence else found["ranking"]["test"])["purity_at_completeness"]
    resampling = Resampling(test.pixel, 100, 42)
    _, _, before = resampling.ranking(test.is_lens, test.logit, (), (1, 10))
    for k, name in enumerate(("tpr0", "tpr10")):
        figure = found["ranking"]["test"][name]
        assert (figure["low"], figure["high"]) == pytest.approx(tuple(np.quantile(before[:, k], [0.025, 0.975])))
        assert (
            figure["value"]
            == metrics.point_before_false_positive(metrics.curve(test.is_lens, test.logit), (1, 10)[k]).recall
        )
    samples = resampling.purity(test.is_lens, test.logit, [row["completeness"] for row in rows], weight, prevalence)
    points = metrics.curve(test.is_lens, test.logit, weight)
    for k, row in enumerate(rows):
        assert row["value"] == metrics.precision_at_recall(points, row["completeness"], prevalence)
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(samples[:, k], [0.025, 0.975])))
        assert row["n"] >= row["completeness"] * test.is_lens.sum()


def test_thresholds_hold_their_target_on_val(scores, found):
    val = column(scores, "split") == "val"
    logit, others = scores["logit"].to_numpy()[val], scores["label"].to_numpy()[val] == 0
    for point in found.metrics["thresholds"]["points"]:
        rate = (logit[others] >= point["logit"]).mean()
        assert point["val"]["fpr"]["value"] == pytest.approx(rate)
        if point["target_fpr"] is not None:
            assert rate <= point["target_fpr"]
            assert point["p"] == pytest.approx(float(logistic(point["logit"])))


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
        InputError, match="scores.parquet: labels, splits or other columns disagree with manifest.parquet"
    ):
        evaluate(spoil(scores), QUICK)
    evaluate(restamped(spoil(scores)), QUICK)


def test_scores_of_a_fold_may_have_other_splits_than_the_manifest(scores):
    chain = chain_of(scores)
    train, score = chain[-2:]
    folded = Step("train", {**train.parameters, "fold": "1/5"}, train.inputs)
    sources = tuple(Input(s.role, s.name, s.digest, folded.id) for s in score.inputs)
    again = stamp(flipped(scores, [0]), (*chain[:-2], folded, Step("score", {}, sources)))
    assert evaluate(again, QUICK).metrics["rows"]


def test_scores_of_other_tools_are_judged_but_bound_to_nothing(scores):
    found = evaluate(scores.replace_schema_metadata(), QUICK)
    assert found.metrics["model_digest"] is None
    assert found.metrics["manifest_digest"] is None


def test_levels_are_judged_row_by_row(scores, found):
    rows = {row["criterion"]: row for row in found.metrics["levels"]["mvp"]["rows"]}
    recall = rows["Tier-A recall at p = 0.5"]
    assert recall["limit"] == ">= 0.75"
    assert recall["passed"] is True
    assert recall["limit_inside_interval"] is True
    assert rows["AUC of val minus AUC of test"]["passed"] is None
    bad = evaluate(rescored(scores, scores["label"].to_numpy() == 1, -6.0), QUICK)
    assert bad.metrics["levels"]["mvp"]["passed"] is False
    assert bad.metrics["levels"]["publication"]["passed"] is False


def test_a_figure_without_meaning_is_none_and_reaches_no_level(scores):
    lone = scores.filter(pa.array((column(scores, "split") != "test") | (column(scores, "tier") != "A")))
    found = evaluate(restamped(lone), QUICK)
    assert found.metrics["headline"]["tier_a_recall"]["value"] is None
    assert found.metrics["headline"]["tier_a_auc"]["value"] is None
    assert found.metrics["levels"]["mvp"]["passed"] is False


def test_one_class_in_val_gives_no_calibration_and_one_in_test_no_ece(scores):
    split, label = column(scores, "split"), scores["label"].to_numpy()
    found = evaluate(restamped(scores.filter(pa.array((split != "val") | (label == 0)))), QUICK)
    assert found.metrics["calibration"]["slope"] is None
    assert len(found.metrics["thresholds"]["points"]) == 4
    found = evaluate(restamped(scores.filter(pa.array((split != "test") | (label == 0)))), QUICK)
    assert found.metrics["headline"]["ece_equal_width"]["value"] is None
    assert found.metrics["headline"]["test_auc"]["value"] is None
    json.dumps(found.metrics, allow_nan=False)
    for name in plots.PLOTS:
        plots.draw(name, found)


def test_a_constant_score_is_a_collapse(scores):
    flat = changed(changed(scores, "logit", np.full(len(scores), -4.6)), "p", np.full(len(scores), logistic(-4.6)))
    found = evaluate(flat, QUICK)
    assert found.metrics["headline"]["collapsed"] is True
    assert found.metrics["levels"]["mvp"]["passed"] is False


def test_rows_without_a_score_are_left_out_and_counted(scores):
    some = np.flatnonzero(column(scores, "split") == "test")[:7]
    lost = with_rows(scores, some.tolist(), logit=None, p=None, logit_0=None)
    found = evaluate(lost, QUICK)
    assert found.metrics["rows"]["test"]["unscored"] == 7
    assert found.metrics["rows"]["test"]["scored"] == (column(scores, "split") == "test").sum() - 7


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop_columns(["label"]), "no labels"),
        (lambda t: t.drop_columns(["healpix_128"]), "healpix_128"),
        (lambda t: with_rows(t, [3], logit=float("nan")), "'logit' is no finite number in 1 rows, first in row 3"),
        (lambda t: with_rows(t, [4], p=float("inf")), "'p' is no finite number"),
        (lambda t: with_rows(t, [5], p=0.123), "not the logistic function of logit in 1 rows, first in row 5"),
        (lambda t: with_rows(t, [6], p=None), "'p' is null"),
        (lambda t: with_rows(t, [1], galaxy_id="0000p000_0"), "0000p000_0"),
        (lambda t: with_rows(t, [0], label=0), "label 0 and tier A in row 0 contradict"),
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


def test_a_prevalence_that_is_none_is_refused(scores):
    with pytest.raises(InputError, match="between 0 and 1"):
        evaluate(scores, Choices(rounds=100, prevalence=1.5))


def test_calibration_errors_of_each_round_are_those_of_the_repeated_rows(scores):
    test = scored.read(scores).of("test")
    samples = []
    resampling = Resampling(test.pixel, 20, 42)
    times = np.concatenate([block for _, block in resampling.blocks()])[:, resampling.cluster]
    for drawn in times:
        rows = np.repeat(np.arange(len(test)), drawn)
        samples.append(calibration.ece_positive(test.is_lens[rows], test.p[rows]))
    low, high = np.quantile(samples, [0.025, 0.975])
    found = calibrating.errors(test, test.p, 20, 42)["positive"]
    assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)))


def test_calibration_helps_where_the_scores_are_off(scores):
    off = rescored(scores, np.full(len(scores), True), 2.0)
    found = evaluate(off, QUICK).metrics["calibration"]
    assert found["test_after"]["equal_width"]["value"] < 0.5 * found["test_before"]["equal_width"]["value"]
    assert evaluate(off, Choices(rounds=100, calibration="temperature")).metrics["calibration"]["bias"] == 0


def test_figures_of_the_sky_are_those_of_the_weighted_rows(scores):
    weight = np.where(scores["label"].to_numpy() == 1, 1.0, np.random.default_rng(0).uniform(1, 30, len(scores)))
    weighted = restamped(changed(scores, "sampling_weight", weight))
    found = evaluate(weighted, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]
    test = column(scores, "split") == "test"
    taken, label = scores["logit"].to_numpy()[test] >= 0, scores["label"].to_numpy()[test]
    w = weight[test]
    rate = (w * taken * (label == 0)).sum() / (w * (label == 0)).sum()
    recall = taken[label == 1].mean()
    point = found["at_thresholds"][0]
    assert point["fpr_raw"]["value"] == pytest.approx(taken[label == 0].mean())
    assert point["fpr_weighted"]["value"] == pytest.approx(rate)
    purity = 1e-3 * recall / (1e-3 * recall + 0.999 * rate)
    assert point["purity_at_prevalence"]["value"] == pytest.approx(purity)
    assert point["fpr_weighted"]["low"] < rate < point["fpr_weighted"]["high"]


def test_on_the_sky_calibrated_p_is_of_the_right_size(scores):
    found = evaluate(scores, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]["calibration"]
    assert found["ece_raw"]["equal_width"]["value"] > 0.05
    assert found["ece_calibrated"]["equal_width"]["value"] < 0.002


def test_no_false_positive_seen_is_not_none_there(scores):
    test_others = (column(scores, "split") == "test") & (scores["label"].to_numpy() == 0)
    clean = rescored(scores, test_others, -20.0)
    clean = rescored(clean, (column(scores, "split") == "val") & (scores["label"].to_numpy() == 0), 40.0)
    found = evaluate(clean, Choices(rounds=100, prevalence=1e-3)).metrics["sky"]["at_thresholds"]
    assert all(point["fpr_weighted"]["high"] > 0 for point in found)
    assert all(point["fpr_weighted"]["value"] == 0 for point in found)
    assert found[0]["purity_at_prevalence"]["low"] < 1
    assert found[1]["purity_at_prevalence"]["value"] is None  # val's threshold is so high that nothing is found


def test_an_ensembles_spread_is_shown_beside_the_interval():
    ensemble = evaluate(toy_scores(members=3), QUICK).metrics["ensemble"]
    assert len(ensemble["members"]) == 3
    spread = ensemble["spread"]["auc"]
    assert spread["low"] < spread["high"]
    assert spread["sd"] > 0
    aucs = [member["auc"] for member in ensemble["members"]]
    assert (spread["low"], spread["high"], spread["sd"]) == (min(aucs), max(aucs), pytest.approx(np.std(aucs, ddof=1)))


def test_the_report_shows_an_ensembles_spread_beside_the_interval():
    found = evaluate(toy_scores(members=3), QUICK)
    html = render(found, {}, {})
    row = html.split("<td>AUC</td>")[1].split("</tr>")[0]
    spread = found.metrics["ensemble"]["spread"]["auc"]
    for value in (found.metrics["headline"]["test_auc"]["low"], spread["low"], spread["high"], spread["sd"]):
        assert number(value, 4) in row


def test_a_single_model_has_no_spread(found):
    assert found.metrics["ensemble"] is None


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


def test_a_score_at_the_threshold_is_taken():
    part = scored.read(toy_scores(60, 300)).of("test")
    logit = float(np.sort(part.logit)[-5])
    assert operating_point.share_taken(part, logit).events == 5
    assert operating_point.share_taken(part, float(np.nextafter(logit, np.inf))).events == 4


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


@pytest.mark.parametrize("how", ["step", "ref"])
def test_a_mock_survey_is_announced(scores, how):
    mock = (
        toy_scores(commands=("sky", "pool")) if how == "step" else restamped(with_rows(scores, [0], ref="lensctl mock"))
    )
    found = evaluate(mock, QUICK)
    assert found.metrics["mock"] is True
    assert "mock survey" in found.metrics["note"]
    assert found.metrics["note"] in render(found, {}, {})


def test_a_real_survey_is_not_called_a_mock(found):
    assert found.metrics["mock"] is False
    assert "mock" not in render(found, {}, {}).split("</style>")[1]


def write(tmp_path, evaluation, name="out"):
    out = tmp_path / name
    out.mkdir()
    folder.write(evaluation, out, toy_pixels)
    return out


def test_the_folder_holds_everything_and_the_same_bytes_twice(tmp_path, scores, found):
    first = write(tmp_path, found)
    second = write(tmp_path, evaluate(scores, QUICK), "again")
    names = sorted(str(file.relative_to(first)) for file in first.rglob("*") if file.is_file())
    assert [name for name in names if "/" not in name] == ["metrics.json", "report.html"]
    assert {name for name in names if name.startswith("plots/")} == {
        f"plots/{plot}.{kind}" for plot in plots.PLOTS for kind in ("png", "pdf")
    }
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    kept = json.loads((first / "metrics.json").read_text())
    assert kept["headline"] == json.loads(json.dumps(found.metrics["headline"]))
    strata = read_table(str(first / "tables" / "strata.parquet"))
    assert strata.equals(found.tables["strata"])
    assert read_table(str(first / "tables" / "strata.csv")).num_rows == strata.num_rows


class Reader(HTMLParser):
    """Checks that tags close, and gathers what a page would fetch."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.links, self.ids = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [values["src"]] if "src" in values else []
        self.fetched += [values["href"]] if tag == "link" else []
        self.links += [values["href"]] if tag == "a" else []
        self.ids += [values["data-galaxy-id"]] if "data-galaxy-id" in values else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_file_that_fetches_nothing(tmp_path, found):
    html = (write(tmp_path, found) / "report.html").read_text()
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert all(source.startswith("data:image/") for source in reader.fetched)
    assert len([source for source in reader.fetched if source.startswith("data:image/jpeg")]) == len(reader.ids)
    assert all(link.startswith("https://www.legacysurvey.org/viewer?ra=") for link in reader.links)
    assert found.tables["top"]["galaxy_id"][0].as_py() in reader.ids
    assert "url(" not in html
    assert "@import" not in html


def test_without_pixels_the_report_says_so(found):
    html = render(found, {}, {}, "no pixels in reach")
    assert "no pixels in reach" in html


def test_names_in_the_data_cannot_inject_markup(scores):
    row = int(np.argmax(np.where(column(scores, "split") == "test", scores["logit"].to_numpy(), -99)))
    nasty = with_rows(scores, [row], galaxy_id='"><script>alert(1)</script>')
    html = render(evaluate(restamped(nasty), QUICK), {}, {})
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 3, "–"),
        (float("nan"), 3, "–"),
        (0.12345, 3, "0.123"),
        (-0.5, 2, "−0.50"),
        (2e-7, 3, "2.0e-07"),
        (0, 3, "0.000"),
    ],
)
def test_numbers_for_people(value, digits, text):
    assert number(value, digits) == text


def test_each_gallery_says_how_many_of_it_are_mistakes(found):
    html = render(found, {}, {})
    for name, part in galleries_shown(found).items():
        wrong = sum((logit >= 0) != is_lens for logit, is_lens in zip(part.logit, part.is_lens, strict=True))
        assert f"{name[0].upper()}{name[1:]} ({len(part)} shown, {wrong} wrong at p = 0.5)" in html
