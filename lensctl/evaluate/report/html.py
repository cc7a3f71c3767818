"""`report.html`: a single self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.prevalence import sampling_ratio
from lensctl.evaluate.report.gallery import cards_of, galleries_shown
from lensctl.io.html.pages import environment, number, page

CAPTIONS = {
    "roc": "Recall against false positive rate, by split.",
    "purity_completeness": "Purity against completeness on test.",
    "reliability": "Share of lenses against p on test, with the number of galaxies beneath.",
    "score_histogram": "Logits of lenses and non-lenses of test, with the thresholds.",
    "recall_by_stratum": "Recall on test at p = 0.5 in each stratum, with its interval.",
}
"""Of the plots, by their names."""


def render(
    evaluation: Evaluation, plots: Mapping[str, str], pictures: Mapping[str, Sequence[str]], no_pictures: str = ""
) -> str:
    """The report as HTML.

    Parameters
    ----------
    plots : mapping
        Data URIs of the plots by name.
    pictures : mapping
        Data URIs of cutouts for each gallery of `galleries_shown`, in order; empty without cutouts.
    no_pictures : str
        Text to show in that case.
    """
    return page(
        environment("lensctl.evaluate.report"),
        "report.html",
        m=evaluation.metrics,
        h=evaluation.metrics["headline"],
        strata=_strata(evaluation),
        plots=[
            {"uri": uri, **dict(zip(("caption", "seen"), said(name, evaluation), strict=True))}
            for name, uri in plots.items()
        ],
        pictures=bool(pictures),
        sampling_ratio=sampling_ratio(evaluation.test),
        in_viewer=evaluation.test.survey.in_legacy_surveys,
        no_pictures=no_pictures,
        galleries=[
            {
                "name": name,
                "cards": cards_of(part, pictures.get(name, ()), evaluation.grades),
                "wrong": int(((part.logit >= 0) != part.is_lens).sum()),
            }
            for name, part in galleries_shown(evaluation).items()
        ],
    )


def said(plot: str, evaluation: Evaluation) -> tuple[str, str]:
    """What a plot shows, and what is seen in it: its caption, and its text for those who do not see it."""
    ranking = evaluation.metrics["ranking"]["test"]
    caption = CAPTIONS[plot]
    match plot:
        case "roc":
            seen = f"ROC curves: the AUC on test is {number(ranking['auc']['value'], 4)}"
        case "purity_completeness":
            points = [row for row in ranking["purity_at_completeness"] if row["value"] is not None]
            ends = [
                f"{number(row['value'])} at completeness {row['completeness']:g}"
                for row in points[:1] + points[1:][-1:]
            ]
            seen = f"Curve of purity against completeness: purity is {' and '.join(ends) or 'unknown'}"
        case "reliability":
            error = evaluation.metrics["headline"]["ece_positive"]["excess"]["value"]
            seen = f"Reliability diagram: where the lenses are, the excess calibration error is {number(error)}"
        case "score_histogram":
            seen = (
                f"Histograms of the logit of {ranking['lenses']:,} lenses and {ranking['others']:,} non-lenses of test"
            )
        case _:
            rows = [row for row in evaluation.tables["strata"].to_pylist() if row["recall"] is not None]
            rows.sort(key=lambda row: (row["recall"], str(row["group"])))
            lowest_highest = rows[:1] + rows[1:][-1:]
            seen = "Recall by stratum: " + " to ".join(
                f"{number(row['recall'])} for {row['group']}" for row in lowest_highest
            )
    return caption, f"{seen}."


def _strata(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Rows of the strata table by grouping column, metrics as mappings."""
    names = listings.names_of(evaluation.test.survey)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in evaluation.tables["strata"].to_pylist():
        metrics = {
            name: {"value": row[name], **{key: row[f"{name}_{key}"] for key in ("low", "high", "few", "why")}}
            for name in ("recall", "fpr", "auc")
        }
        groups.setdefault(names[row["by"]], []).append({**row, **metrics})
    return groups
