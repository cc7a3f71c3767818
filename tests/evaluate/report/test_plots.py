"""Plots name what they show as the survey does."""

from __future__ import annotations

from lensctl.evaluate.report import plots


def test_recall_is_drawn_for_the_strata_of_the_survey(wide, found):
    for evaluation, band in ((wide, "VIS"), (found, "z")):
        (axes,) = plots.draw("recall_by_stratum", evaluation).axes
        labels = " ".join(label.get_text() for label in axes.get_yticklabels())
        for text in ("tier A", f"exposures in {band} 3-5", f"PSF in {band} ", f"depth in {band} "):
            assert text in labels
