"""`report.html`: a single self-contained file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lensctl.evaluate import listings
from lensctl.evaluate.evaluation import Evaluation
from lensctl.evaluate.scored import Scored

SHOWN_BY_GALLERY = {"top": 200}
SHOWN_OTHERWISE = 24


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


def galleries_shown(evaluation: Evaluation) -> dict[str, Scored]:
    """The galaxies shown in the report, by gallery."""
    found = {}
    for name, part in evaluation.galleries.items():
        count = SHOWN_BY_GALLERY.get(name.split(" ")[0], SHOWN_OTHERWISE)
        found[name] = part.head(count)
    return found


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
        no_pictures=no_pictures,
        galleries=[
            {
                "name": name,
                "cards": _cards(part, pictures.get(name, ()), evaluation.grades),
                "wrong": int(((part.logit >= 0) != part.is_lens).sum()),
            }
            for name, part in galleries_shown(evaluation).items()
        ],
    )


def _strata(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Rows of the strata table by grouping column, metrics as mappings."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in evaluation.tables["strata"].to_pylist():
        metrics = {
            name: {"value": row[name], **{key: row[f"{name}_{key}"] for key in ("low", "high", "few")}}
            for name in ("recall", "fpr", "auc")
        }
        groups.setdefault(listings.NAMES[row["by"]], []).append({**row, **metrics})
    return groups


def _cards(part: Scored, pictures: Sequence[str], grades: Mapping[str, str]) -> list[dict[str, Any]]:
    galaxies = part.text("galaxy_id").tolist()
    columns = {
        "galaxy_id": galaxies,
        "grade": [grades.get(galaxy, "") for galaxy in galaxies],
        **{
            axis: ["" if math.isnan(value) else value for value in part.number(axis).tolist()] for axis in ("ra", "dec")
        },
        "p": part.p.tolist(),
        "is_lens": part.is_lens.tolist(),
        "tier": part.tier.tolist(),
        "kind": [category or tier for category, tier in zip(part.category, part.tier, strict=True)],
        "stratum": [
            ", ".join(filter(None, (kind, bin and f"nobs {bin}")))
            for kind, bin in zip(part.text("type"), part.text("nobs_z_bin"), strict=True)
        ],
        "viewer": listings.viewer_links(part),
        "picture": list(pictures) or [""] * len(part),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
