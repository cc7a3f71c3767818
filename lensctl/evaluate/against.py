"""Two evaluations of the same galaxies: their figures side by side, and the paired intervals of the differences."""

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
from lensctl.io.provenance.steps import chain_of, step_input
from lensctl.io.tables.files import read_table
from lensctl.rules.acceptance import TARGET_FPRS
from lensctl.rules.confusers import CONFUSERS
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
    """The test rows of another evaluation, and where they came from."""

    test: Scored
    source: Input
    chain: Chain


def read_other(path: str, role: str = "against") -> Other:
    """The test rows of an evaluation's folder, or of a table of scores.

    Raises
    ------
    InputError
        A folder that is no evaluation, or what `scored.read` refuses.
    """
    table, name = read_table(file_of(path)), Path(path).name
    chain = chain_of(table, path)
    test = scored_rows.read_scores(table, name, splits=("test",)).of("test")
    return Other(test, step_input(role, path, digests.of_table(table), chain), chain)


def file_of(path: str) -> str:
    """The table of scores that a path means: its own, or the one that an evaluation keeps of its test rows."""
    if not (Path(path) / "metrics.json").is_file():
        return path
    kept = Path(path) / "tables" / f"{TEST_SCORES}.parquet"
    if not kept.is_file():
        raise InputError(f"{path}: the evaluation did not keep its test scores", "evaluate its scores again")
    return str(kept)


def compare(test: Scored, other: Other, rounds: int, seed: int) -> dict[str, Any]:
    """Compare the test rows of two evaluations, on the galaxies of both.

    AUCs have DeLong's paired interval, or that of resampled HEALPix pixels where it is wider; every other difference
    has the latter, with both scores drawn alike in each round.

    Returns
    -------
    dict
        name and digest of the other; galaxies, lenses, only_here, only_there; figures: rows {figure, here, there,
        difference, low, high, n, events, few, verdict}, verdict seen from here. Events are the rows that the two decide
        differently.

    Raises
    ------
    InputError
        No galaxy in common, or one that is a lens for the one and none for the other.
    """
    ours, theirs, only_here, only_there = _paired(test, other)
    if not len(ours):
        raise InputError(
            f"{other.source.name}: it has no test galaxy in common with these scores", "compare scores of one manifest"
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
    """The comparison in words."""
    said = [
        f"Against {found['name']}, on the {found['galaxies']:,} test galaxies of both ({found['lenses']:,} lenses"
        + (
            f"; {found['only_here']:,} only here, {found['only_there']:,} only there)"
            if found["only_here"] or found["only_there"]
            else ")"
        )
    ]
    for verdict in (BETTER, WORSE, ALIKE):
        names = [row["figure"] for row in found["figures"] if row["verdict"] == verdict]
        said.append(f"{verdict}: {', '.join(names) or 'nothing'}")
    return f"{said[0]}: {'; '.join(said[1:])}."


def _paired(test: Scored, other: Other) -> tuple[Scored, Scored, int, int]:
    """The rows of the galaxies of both, in one order, and how many are in one alone."""
    here, there = (np.array(part.table["galaxy_id"].to_pylist(), str) for part in (test, other.test))
    _, mine, its = np.intersect1d(here, there, assume_unique=True, return_indices=True)
    ours, theirs = test.take(mine), other.test.take(its)
    odd = np.flatnonzero(ours.is_lens != theirs.is_lens)
    if len(odd):
        galaxy = here[mine[odd[0]]]
        raise InputError(
            f"{other.source.name}: {len(odd):,} galaxies have another label there, first {galaxy}",
            "compare scores of one manifest",
        )
    return ours, theirs, len(here) - len(mine), len(there) - len(its)


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
    """Recall at low false positive rates, each by its own threshold."""
    if not ours.is_lens.any() or ours.is_lens.all():
        return
    here, there = (resampling.ranking(part.is_lens, part.logit, TARGET_FPRS)[1] for part in (ours, theirs))
    curves = [metrics.curve(part.is_lens, part.logit) for part in (ours, theirs)]
    for k, fpr in enumerate(TARGET_FPRS):
        points = [point for curve in curves if (point := metrics.point_at_fpr(curve, fpr)) is not None]
        taken = [part.logit >= point.threshold for part, point in zip((ours, theirs), points, strict=True)]
        apart = int((ours.is_lens & (taken[0] != taken[1])).sum())
        low, high = percentile_interval(here[:, k] - there[:, k])
        events = int(min(apart, *(point.false for point in points)))
        value = points[0].recall - points[1].recall
        difference = Estimate(value, low, high, int(ours.is_lens.sum()), events)
        yield _row(summary_metrics.recall_at(fpr), points[0].recall, points[1].recall, difference)


def _at_half(ours: Scored, theirs: Scored, resampling: Resampling) -> Iterator[dict[str, Any]]:
    """Recall and false positive rates at p = 0.5."""
    groups = {
        summary_metrics.RECALL: ours.is_lens,
        summary_metrics.TIER_A_RECALL: ours.is_lens & (ours.tier == "A"),
        summary_metrics.FPR: ~ours.is_lens,
        **{summary_metrics.fpr_of(name): ours.category == name for name in CONFUSERS},
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
        apart = int((rows & (here != there)).sum())
        value = float(found_here - found_there) / n
        low, high = percentile_interval(shares) if apart else _none_of(int(n))
        difference = Estimate(float(value), low, high, int(n), apart)
        of_lenses = bool((rows & ours.is_lens).any())
        yield _row(name, float(found_here / n), float(found_there / n), difference, lower_is_better=not of_lenses)


def _none_of(n: int) -> tuple[float, float]:
    """Interval of a difference where the two agree on every row: no round can draw what no row shows."""
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
