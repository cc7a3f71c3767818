"""Comparison of two evaluations of the same galaxies, with paired intervals of the differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from lensctl.stats.intervals import LEVEL, Estimate, Resampling, delong_difference, percentile_interval, wilson
from lensctl.stats.many import holm, p_of_changes, p_of_difference, p_of_normal
from lensctl.stats.shares import too_few_pixels
from lensctl.stats.thresholds import resolves, unresolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lensctl.io.provenance.steps import Chain, Input

BETTER, WORSE, ALIKE = "better", "worse", "not told apart"
HEADLINE = summary_metrics.recall_at(1e-2)
MANY = (
    "Only the first figure, chosen beforehand, has its own test; the {count} others are many, and some would differ by "
    "chance: their p-values are corrected for their number (Holm)."
)


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


def compare(test: Scored, other: Other, rounds: int, seed: int, headline: str = HEADLINE) -> dict[str, Any]:
    """Compare the test rows of two evaluations on their common galaxies.

    AUC differences have DeLong's paired interval or that of a paired bootstrap over HEALPix pixels, whichever is wider;
    all other differences have the bootstrap interval. One figure is judged by itself, the others by p-values that are
    corrected for their number.

    Parameters
    ----------
    headline : str
        The figure that was chosen beforehand, such as "recall at FPR 0.01".

    Returns
    -------
    dict
        name and digest of the other; headline; note; galaxies, lenses, only_here, only_there; figures: rows {figure,
        here, there, difference, low, high, n, events, few, p, verdict, ...}, the headline first; p is corrected for all
        but the headline; the verdict is on this evaluation. Events are rows that the two classify differently.

    Raises
    ------
    InputError
        Another survey, no common galaxies, a galaxy with different labels, or no such figure.
    """
    common_survey(test.survey, other.chain)
    ours, theirs, only_here, only_there = _common_rows(test, other)
    if not len(ours):
        raise InputError(
            f"{other.source.name}: no test galaxies in common with these scores", "compare scores of the same manifest"
        )
    resampling = Resampling(ours.pixel, rounds, seed)
    compared = [
        *_aucs(ours, theirs, rounds, seed),
        *_at_fprs(ours, theirs, resampling),
        *_at_half(ours, theirs, resampling),
    ]
    compared.sort(key=lambda one: one.name != headline)
    if not compared or compared[0].name != headline:
        names = ", ".join(repr(one.name) for one in compared)
        raise InputError(f"no figure '{headline}' to compare", f"--headline is one of {names}")
    corrected = [compared[0].p, *holm([one.p for one in compared[1:]])]
    return {
        "name": other.source.name,
        "digest": other.source.digest,
        "headline": headline,
        "note": MANY.format(count=len(compared) - 1),
        "galaxies": len(ours),
        "lenses": int(ours.is_lens.sum()),
        "only_here": only_here,
        "only_there": only_there,
        "figures": [one.as_row(p) for one, p in zip(compared, corrected, strict=True)],
    }


def sentence(found: dict[str, Any]) -> str:
    """The comparison as a sentence."""
    first, *others = found["figures"]
    counts = f"{found['galaxies']:,} common test galaxies ({found['lenses']:,} lenses"
    if found["only_here"] or found["only_there"]:
        counts += f"; {found['only_here']:,} only here, {found['only_there']:,} only in the other"
    words = {ALIKE: "not distinguished"}
    told = f"{first['figure']}: {words.get(first['verdict'], first['verdict'])}"
    parts = []
    for verdict in (BETTER, WORSE, ALIKE):
        names = [row["figure"] for row in others if row["verdict"] == verdict]
        parts.append(f"{words.get(verdict, verdict)}: {', '.join(names) or 'none'}")
    return f"Compared with {found['name']} on {counts}): {told}. Of the others, {'; '.join(parts)}. {found['note']}"


@dataclass(frozen=True)
class Compared:
    """A figure of both evaluations, their difference, and its p-value by itself."""

    name: str
    here: float | None
    there: float | None
    difference: Estimate
    p: float
    lower_is_better: bool = False

    def as_row(self, p: float) -> dict[str, Any]:
        """Plain JSON values, with the verdict by a p-value that may be corrected."""
        verdict, value = ALIKE, self.difference.value
        if value and p < 1 - LEVEL:
            verdict = BETTER if (value > 0) != self.lower_is_better else WORSE
        values = self.difference.as_dict()
        own = {"figure": self.name, "here": self.here, "there": self.there, "difference": values.pop("value")}
        return {**own, **values, "p": p, "verdict": verdict}


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


def _aucs(ours: Scored, theirs: Scored, rounds: int, seed: int) -> Iterator[Compared]:
    for name, kept in ((summary_metrics.AUC, lambda part: part), (summary_metrics.TIER_A_AUC, ranking.tier_a)):
        here, there = kept(ours), kept(theirs)
        if not here.is_lens.any() or here.is_lens.all():
            continue
        paired = delong_difference(here.is_lens, here.logit, there.logit)
        resampling = Resampling(here.pixel, rounds, seed)
        samples = [resampling.ranking(part.is_lens, part.logit)[0] for part in (here, there)]
        apart = samples[0] - samples[1]
        difference = ranking.Auc(paired, percentile_interval(apart)).estimate
        why = too_few_pixels(len(np.unique(here.pixel[here.is_lens])))
        difference = replace(difference, low=None, high=None, interval="", why=why) if why else difference
        ours_auc, theirs_auc = (metrics.roc_auc(part.is_lens, part.logit) for part in (here, there))
        value, p = difference.value or 0.0, 1.0
        if paired.high is not None and paired.value is not None:
            by_rows = p_of_normal(value, paired.high - paired.value, LEVEL)
            p = max(by_rows, p_of_difference(value, apart, len(np.unique(here.pixel[here.is_lens]))))
        yield Compared(name, ours_auc, theirs_auc, difference, p)


def _at_fprs(ours: Scored, theirs: Scored, resampling: Resampling) -> Iterator[Compared]:
    """Recall at low false positive rates, each model at its own threshold; none where they are not resolved."""
    others, lenses = int((~ours.is_lens).sum()), int(ours.is_lens.sum())
    if not others or not lenses:
        nothing = Estimate(None, n=lenses, why="one class only")
        yield from (Compared(summary_metrics.recall_at(fpr), None, None, nothing, 1.0) for fpr in TARGET_FPRS)
        return
    here, there = (resampling.ranking(part.is_lens, part.logit, TARGET_FPRS)[1] for part in (ours, theirs))
    curves = [metrics.curve(part.is_lens, part.logit) for part in (ours, theirs)]
    for k, fpr in enumerate(TARGET_FPRS):
        if not resolves(fpr, others):
            nothing = Estimate(None, n=lenses, why=unresolved(fpr, others))
            yield Compared(summary_metrics.recall_at(fpr), None, None, nothing, 1.0)
            continue
        points = [point for curve in curves if (point := metrics.point_at_fpr(curve, fpr)) is not None]
        taken = [part.logit >= point.threshold for part, point in zip((ours, theirs), points, strict=True)]
        gained, lost = (int((ours.is_lens & one & ~two).sum()) for one, two in (taken, taken[::-1]))
        apart = here[:, k] - there[:, k]
        events = int(min(gained + lost, *(point.false for point in points)))
        value = points[0].recall - points[1].recall
        difference = _with_ends(value, percentile_interval(apart), lenses, events, ours.pixel[ours.is_lens])
        p = max(p_of_difference(value, apart, len(resampling.pixels)), p_of_changes(gained, lost))
        yield Compared(summary_metrics.recall_at(fpr), points[0].recall, points[1].recall, difference, p)


def _at_half(ours: Scored, theirs: Scored, resampling: Resampling) -> Iterator[Compared]:
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
        gained, lost = int((rows & here & ~there).sum()), int((rows & there & ~here).sum())
        value = float(found_here - found_there) / n
        ends = percentile_interval(shares) if gained + lost else _no_difference_interval(int(n))
        difference = _with_ends(float(value), ends, int(n), gained + lost, ours.pixel[rows])
        p = max(p_of_difference(value, shares, len(np.unique(ours.pixel[rows]))), p_of_changes(gained, lost))
        of_lenses = bool((rows & ours.is_lens).any())
        yield Compared(name, float(found_here / n), float(found_there / n), difference, p, not of_lenses)


def _with_ends(
    value: float, ends: tuple[float | None, float | None], n: int, events: int, pixel: NDArray[np.int64]
) -> Estimate:
    """A difference with its interval, which rows in few pixels do not have."""
    why = too_few_pixels(len(np.unique(pixel)))
    return (
        Estimate(value, None, None, n, events, why=why) if why else Estimate(value, *ends, n, events, ranking.BOOTSTRAP)
    )


def _no_difference_interval(n: int) -> tuple[float, float]:
    """Interval of a difference if the two agree on every row, where the bootstrap would have zero width."""
    most = wilson(0, n).high or 0.0
    return -most, most
