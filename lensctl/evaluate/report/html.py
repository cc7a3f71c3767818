"""`report.html`: a single self-contained file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.prevalence import sampling_ratio
from lensctl.evaluate.report.gallery import cards_of, galleries_shown
from lensctl.io.html.pages import environment


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
    return (
        environment("lensctl.evaluate.report")
        .get_template("report.html")
        .render(
            m=evaluation.metrics,
            h=evaluation.metrics["headline"],
            strata=_strata(evaluation),
            plots=plots,
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
    )


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
