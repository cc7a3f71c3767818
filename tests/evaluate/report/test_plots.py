"""Plots name what they show as the survey does."""

from __future__ import annotations

import dataclasses

import numpy as np

from lensctl.evaluate.evaluation import Choices, evaluation_of
from lensctl.evaluate.report import plots


def test_recall_is_drawn_for_the_strata_of_the_survey(wide, found):
    for evaluation, band in ((wide, "VIS"), (found, "z")):
        (axes,) = plots.draw("recall_by_stratum", evaluation).axes
        labels = " ".join(label.get_text() for label in axes.get_yticklabels())
        for text in ("tier A", f"exposures in {band} 3-5", f"PSF in {band} ", f"depth in {band} "):
            assert text in labels


def labels_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_circles_lie_where_the_rates_really_are_and_say_what_they_were_chosen_for(found):
    (axes,) = plots.draw("roc", found).axes
    notes = " ".join(note.get_text() for note in axes.texts)
    for point in found.metrics["thresholds"]["points"]:
        if point["logit"] is None:
            assert f"{point['target_fpr']:g} on val" not in notes
        elif point["test"]["fpr"]["value"]:
            assert f"FPR {point['test']['fpr']['value']:.2g}" in notes
    assert "for FPR 0.01 on val" in notes
    assert "chance" in labels_of(axes)


def test_what_the_roc_shows_at_a_rate_is_the_recall_of_the_table(found):
    """0.500 and 0.180 stood for it in one report."""
    (axes,) = plots.draw("roc", found).axes
    (line,) = [line for line in axes.lines if str(line.get_label()).startswith("test, ")]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    row = found.metrics["ranking"]["test"]["recall_at_fpr"][0]
    assert y[x <= row["fpr"] * (1 + 1e-9)].max() == row["value"]


def test_curves_have_bands_and_dotted_lines_have_names(scores, found):
    on_sky = evaluation_of(scores, Choices(rounds=100, prevalence=1e-3))
    for name in ("roc", "purity_completeness"):
        (axes,) = plots.draw(name, on_sky).axes
        assert len(axes.collections) == (1 if name == "roc" else 2)
    assert labels_of(axes) == ["as sampled, 5 non-lenses per lens", "on the sky, at a prevalence of 0.001"]
    assert "perfect calibration" in labels_of(plots.draw("reliability", found).axes[0])
    recall = found.metrics["at_p_half"]["recall"]["value"]
    assert labels_of(plots.draw("recall_by_stratum", found).axes[0]) == [f"all lenses: {recall:.3f}"]


def test_a_threshold_that_is_not_resolved_is_not_drawn(found):
    (axes,) = plots.draw("score_histogram", found).axes
    given = [point for point in found.metrics["thresholds"]["points"] if point["logit"] is not None]
    assert sum(line.get_linestyle() == "--" for line in axes.lines) == len(given) < 5
    without = {**found.metrics["thresholds"], "points": [{**point, "val": None} for point in given]}
    for name in plots.PLOTS:
        plots.draw(name, dataclasses.replace(found, metrics={**found.metrics, "thresholds": without}))
