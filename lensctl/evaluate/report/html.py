"""`report.html`: a single self-contained file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.prevalence import sampling_ratio
from lensctl.evaluate.report.gallery import cards_of, galleries_shown


def number(value: float | None, digits: int = 3) -> str:
    """A number for display; a dash if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if value and abs(value) < 10**-digits / 2:
        return f"{value:.1e}"
    return f"{value:,.{digits}f}".replace("-", "−")


def interval(figure: Mapping[str, Any], digits: int = 3) -> str:
    """An interval for display."""
    if figure["low"] is None or figure["high"] is None:
        return "no interval"
    return f"{number(figure['low'], digits)} to {number(figure['high'], digits)}"


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
    environment = Environment(
        loader=PackageLoader("lensctl.evaluate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, interval=interval, begin=lambda text: text[:1].upper() + text[1:])
    return environment.get_template("report.html").render(
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
