"""Tables of an evaluation: metrics by stratum, top candidates, worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate.operating_point import share_taken
from lensctl.evaluate.scored import Scored
from lensctl.io.html.pages import viewer_link
from lensctl.rules.strata import NOBS_BINS
from lensctl.stats.auc import auc_within
from lensctl.stats.few_lenses import are_few, auc_of_few
from lensctl.stats.intervals import Estimate

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.rules.survey import Survey


def names_of(survey: Survey) -> dict[str, str]:
    """Display names of the grouping columns."""
    band = survey.depth_band
    return {
        "tier": "tier",
        "type": "type" if survey.columns else "Tractor type",
        survey.nobs_bin: f"exposures in {band}",
        survey.depth("psfsize"): f"PSF in {band}",
        survey.depth("psfdepth"): f"depth in {band}",
        "confuser_category": "confuser category",
        "ref": "catalogue",
    }


def shown_of(survey: Survey) -> tuple[str, ...]:
    """Columns that a list of galaxies shows."""
    of_galaxy = ("galaxy_id", "ra", "dec", "label", "tier", "type", survey.nobs_bin, "confuser_category", "ref")
    return (*of_galaxy, survey.depth("psfsize"), survey.depth("psfdepth"), "logit", "p")


def by_stratum(test: Scored) -> list[dict[str, Any]]:
    """Recall, false positive rate and AUC of each group, with counts; None where undefined.

    The AUC of a group without negatives (a tier, a discovery catalogue) uses all negatives, that of a group without
    lenses (a pool, a confuser category) all lenses. An AUC needs at least two of each class.
    """
    rows = []
    for by, groups in test.strata().items():
        for name in _in_order(set(groups), test.survey):
            mask = groups[name]
            part = test.where(mask)
            lenses, negatives = part.where(part.is_lens), part.where(~part.is_lens)
            if not len(negatives):
                compared = test.where(mask | ~test.is_lens)
            elif not len(lenses) and by in ("tier", "confuser_category"):
                compared = test.where(mask | test.is_lens)
            else:
                compared = part
            rows.append(
                {
                    "by": by,
                    "group": name,
                    "lenses": len(lenses),
                    "others": len(negatives),
                    **_named("recall", share_taken(lenses)),
                    **_named("fpr", share_taken(negatives)),
                    **_named("auc", _auc(compared)),
                }
            )
    return rows


def _auc(part: Scored) -> Estimate:
    """AUC of a group: with the score interval of few lenses, else with DeLong's over pixels."""
    if min(part.is_lens.sum(), (~part.is_lens).sum()) < 2:
        return Estimate(None, n=len(part))
    if are_few(part.is_lens, part.pixel):
        return auc_of_few(part.is_lens, part.logit, part.pixel)
    return auc_within(part.logit, part.is_lens, np.zeros(len(part), np.int64), part.pixel)


def _named(name: str, metric: Estimate) -> dict[str, Any]:
    few = metric.few if metric.value is not None else None
    ends = {f"{name}_low": metric.low, f"{name}_high": metric.high, f"{name}_few": few}
    return {name: metric.value, **ends, f"{name}_why": metric.why}


def _in_order(names: set[str], survey: Survey) -> list[str]:
    """Bins and confuser categories in their natural order, other names alphabetically."""
    known = (*NOBS_BINS, *survey.confusers)

    def key(name: str) -> tuple[int, int, float, str]:
        if name in known:
            return (0, known.index(name), 0.0, name)
        number = name.lstrip("<>= ").split("-")[0].split(" ")[0]
        value = float(number) if number.replace(".", "", 1).isdigit() else 0.0
        return (1, 0 if name.startswith("<") else 1, value, name)

    return sorted(names, key=key)


def ranked(part: Scored, count: int, *, highest: bool = True) -> Scored:
    """The rows with the highest (or lowest) logits, in that order; ties by galaxy_id."""
    ids = np.array(part.table["galaxy_id"].to_pylist())
    order = np.lexsort((ids, -part.logit if highest else part.logit))[:count]
    return part.take(order)


def mistakes(test: Scored, count: int) -> dict[str, Scored]:
    """The highest-scored non-lenses by confuser category, and the lowest-scored lenses by tier.

    Keys such as "highest-scored others: ring_proxy" and "lowest-scored lenses: tier A".
    """
    category = np.where(test.is_lens, "", np.where(test.category.astype(bool), test.category, "N1"))
    found = {}
    for name in (*test.survey.confusers, "N1"):
        if (category == name).any():
            found[f"highest-scored others: {name}"] = ranked(test.where(category == name), count)
    for tier in ("A", "B"):
        missed = test.is_lens & (test.tier == tier)
        if missed.any():
            found[f"lowest-scored lenses: tier {tier}"] = ranked(test.where(missed), count, highest=False)
    return found


def as_table(part: Scored) -> pa.Table:
    """Rank, properties and scores of each galaxy, and a sky viewer link."""
    import pyarrow as pa

    names = [name for name in shown_of(part.survey) if name in part.table.column_names]
    table = part.table.select(names).replace_schema_metadata()
    table = table.add_column(0, "rank", pa.array(np.arange(1, len(part) + 1)))
    return table.append_column("viewer", pa.array(viewer_links(part), pa.string()))


def viewer_links(part: Scored) -> list[str]:
    """Link to the Legacy Survey sky viewer for each row; empty if there is no position, or it lacks the survey."""
    return [viewer_link(ra, dec, part.survey) for ra, dec in zip(part.number("ra"), part.number("dec"), strict=True)]
