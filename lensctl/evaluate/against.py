"""Comparison of two evaluations of the same galaxies, with paired intervals of the differences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate import ranking, summary_metrics
from lensctl.evaluate import scored as scored_rows
from lensctl.evaluate.scored import Scored
from lensctl.evaluate.tables import TEST_SCORES
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, common_survey, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.rules.errors import InputError
from lensctl.stats import metrics
from lensctl.stats.intervals import Estimate, Resampling, delong_difference, percentile_interval, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain, Input

BETTER, WORSE, ALIKE = "better", "worse", "not told apart"


@dataclass(frozen=True)
class Other:
    """The test rows of another evaluation and their provenance."""

    test: Scored
    source: Input
    chain: Chain


def read_other(path: str, role: str = "against") -> Other:
    """Read the test rows of an evaluation folder or a table of scores.

    Raises
    ------
    InputError
        Not an evaluation, or scores that `scored.read_scores` rejects.
    """
    table, name = read_table(file_of(path)), Path(path).name
    chain = chain_of(table, path)
    test = scored_rows.read_scores(table, name, splits=("test",)).of("test")
    return Other(test, step_input(role, path, digests.of_table(table), chain), chain)


def file_of(path: str) -> str:
    """The table of scores at a path: the path itself, or the test scores stored in an evaluation folder."""
    if not (Path(path) / "metrics.json").is_file():
        return path
    kept = Path(path) / "tables" / f"{TEST_SCORES}.parquet"
    if not kept.is_file():
        raise InputError(f"{path}: the evaluation has no test scores", "evaluate its scores again")
    return str(kept)


def compare(test: Scored, other: Other, rounds: int, seed: int) -> dict[str, Any]:
    """Compare the test rows of two evaluations on their common galaxies.

    AUC differences have DeLong's paired interval or that of a paired bootstrap over HEALPix pixels, whichever is wider;
    all other differences have the bootstrap interval.

    Returns
    -------
    dict
        name and digest of the other; galaxies, lenses, only_here, only_there; figures: rows {figure, here, there,
        difference, low, high, n, events, few, verdict}; the verdict is on this evaluation. Events are rows that the two
        classify differently.

    Raises
    ------
    InputError
        Another survey, no common galaxies, or a galaxy with different labels.
    """
    common_survey(test.survey, other.chain)
    ours, theirs, only_here, only_there = _common_rows(test, other)
    if not len(ours):
        raise InputError(
            f"{other.source.name}: no test galaxies in common with these scores", "compare scores of the same manifest"
        )
    resampling = Resampling(ours.pixel, rounds, seed)
    rows = [
        *_aucs(ours, theirs, rounds, seed),
        *_at_fprs(ours, theirs, resampling),
        *_at_half(ours, theirs, resampling),
    ]
    return {
        "name": other.source.name,
        "digest": other.source.digest,
        "galaxies": len(ours),
        "lenses": int(ours.is_lens.sum()),
        "only_here": only_here,
        "only_there": only_there,
        "figures": rows,
    }


def sentence(found: dict[str, Any]) -> str:
    """The comparison as a sentence."""
    parts = [
        f"Compared with {found['name']} on {found['galaxies']:,} common test galaxies ({found['lenses']:,} lenses"
        + (
            f"; {found['only_here']:,} only here, {found['only_there']:,} only in the other)"
            if found["only_here"] or found["only_there"]
            else ")"
        )
    ]
    for verdict in (BETTER, WORSE, ALIKE):
        names = [row["figure"] for row in found["figures"] if row["verdict"] == verdict]
        parts.append(f"{verdict.replace(ALIKE, 'not distinguished')}: {', '.join(names) or 'none'}")
    return f"{parts[0]}: {'; '.join(parts[1:])}."


def _common_rows(test: Scored, other: Other) -> tuple[Scored, Scored, int, int]:
    """The common galaxies of both, in the same order, and how many are in only one of them."""
    here, there = (np.array(part.table["galaxy_id"].to_pylist(), str) for part in (test, other.test))
    _, our_rows, their_rows = np.intersect1d(here, there, assume_unique=True, return_indices=True)
    ours, theirs = test.take(our_rows), other.test.take(their_rows)
    relabelled = np.flatnonzero(ours.is_lens != theirs.is_lens)
    if len(relabelled):
        galaxy = here[our_rows[relabelled[0]]]
        raise InputError(
            f"{other.source.name}: {len(relabelled):,} galaxies have a different label there, first {galaxy}",
            "compare scores of the same manifest",
        )
    return ours, theirs, len(here) - len(our_rows), len(there) - len(their_rows)


def _aucs(ours: Scored, theirs: Scored, rounds: int, seed: int) -> Iterator[dict[str, Any]]:
    for name, kept in ((summary_metrics.AUC, lambda part: part), (summary_metrics.TIER_A_AUC, ranking.tier_a)):
        here, there = kept(ours), kept(theirs)
        if not here.is_lens.any() or here.is_lens.all():
            continue
        paired = delong_difference(here.is_lens, here.logit, there.logit)
        resampling = Resampling(here.pixel, rounds, seed)
        samples = [resampling.ranking(part.is_lens, part.logit)[0] for part in (here, there)]
        difference = ranking.Auc(paired, percentile_interval(samples[0] - samples[1])).estimate
        ours_auc, theirs_auc = (metrics.roc_auc(part.is_lens, part.logit) for part in (here, there))
        yield _row(name, ours_auc, theirs_auc, difference)


def _at_fprs(ours: Scored, theirs: Scored, resampling: Resampling) -> Iterator[dict[str, Any]]:
    """Recall at low false positive rates, each model at its own threshold."""
    if not ours.is_lens.any() or ours.is_lens.all():
        return
    here, there = (resampling.ranking(part.is_lens, part.logit, TARGET_FPRS)[1] for part in (ours, theirs))
    curves = [metrics.curve(part.is_lens, part.logit) for part in (ours, theirs)]
    for k, fpr in enumerate(TARGET_FPRS):
        points = [point for curve in curves if (point := metrics.point_at_fpr(curve, fpr)) is not None]
        taken = [part.logit >= point.threshold for part, point in zip((ours, theirs), points, strict=True)]
        differing = int((ours.is_lens & (taken[0] != taken[1])).sum())
        low, high = percentile_interval(here[:, k] - there[:, k])
        events = int(min(differing, *(point.false for point in points)))
        value = points[0].recall - points[1].recall
        difference = Estimate(value, low, high, int(ours.is_lens.sum()), events)
        yield _row(summary_metrics.recall_at(fpr), points[0].recall, points[1].recall, difference)


def _at_half(ours: Scored, theirs: Scored, resampling: Resampling) -> Iterator[dict[str, Any]]:
    """Recall and false positive rates at p = 0.5."""
    groups = {
        summary_metrics.RECALL: ours.is_lens,
        summary_metrics.TIER_A_RECALL: ours.is_lens & (ours.tier == "A"),
        summary_metrics.FPR: ~ours.is_lens,
        **{summary_metrics.fpr_of(name): ours.category == name for name in ours.survey.confusers},
    }
    groups = {name: rows for name, rows in groups.items() if rows.any()}
    here, there = ours.logit >= 0, theirs.logit >= 0
    columns = [column for rows in groups.values() for column in (rows, rows & here, rows & there)]
    values = np.stack(columns, axis=1).astype(np.float64)
    totals, samples = values.sum(axis=0), resampling.sums(values)
    for k, (name, rows) in enumerate(groups.items()):
        n, found_here, found_there = totals[3 * k : 3 * k + 3]
        drawn, of_ours, of_theirs = samples[:, 3 * k : 3 * k + 3].T
        shares: NDArray[np.float64] = np.where(drawn > 0, (of_ours - of_theirs) / np.maximum(drawn, 1), np.nan)
        differing = int((rows & (here != there)).sum())
        value = float(found_here - found_there) / n
        low, high = percentile_interval(shares) if differing else _no_difference_interval(int(n))
        difference = Estimate(float(value), low, high, int(n), differing)
        of_lenses = bool((rows & ours.is_lens).any())
        yield _row(name, float(found_here / n), float(found_there / n), difference, lower_is_better=not of_lenses)


def _no_difference_interval(n: int) -> tuple[float, float]:
    """Interval of a difference if the two agree on every row, where the bootstrap would have zero width."""
    most = wilson(0, n).high or 0.0
    return -most, most


def _row(
    name: str, here: float | None, there: float | None, difference: Estimate, lower_is_better: bool = False
) -> dict[str, Any]:
    verdict = ALIKE
    if difference.low is not None and difference.high is not None and not difference.low <= 0 <= difference.high:
        verdict = BETTER if (difference.low > 0) != lower_is_better else WORSE
    values = difference.as_dict()
    return {
        "figure": name,
        "here": here,
        "there": there,
        "difference": values.pop("value"),
        **values,
        "verdict": verdict,
    }
