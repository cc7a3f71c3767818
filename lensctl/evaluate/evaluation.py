"""Compute an evaluation: thresholds and calibration from val, headline metrics from test.

Blocks of `metrics.json`:

schema, mock, note
    "lensctl.evaluation/2"; whether the data are a mock survey, and a note saying so.
judged
    "split test", or "all rows" of an outside labelled set.
inputs
    scores_digest, manifest_digest and model_digest, which are also at the top level.
rows
    Counts by split: lenses by tier, non-lenses by pool, rows without a score.
headline
    tier_a_recall, tier_a_auc, contaminant_fpr (the worst category at p = 0.5, with an interval of all categories at
    once; worst_category), fpr_by_category, fpr, ece_equal_width, ece_equal_mass, ece_positive (of uncalibrated p),
    val_auc, test_auc; each has value, low, high, n, events, few, interval, why, text: low and high are a 95% interval,
    `interval` its kind, events what was counted, few whether they or the others are fewer than ten, `why` why there is
    no value or no interval, `text` what is known where nothing was counted. An ECE has no interval but a floor (median
    and p95 of what a calibrated model would show) and its excess over it. nan_scores (int) and collapsed (bool).
levels
    For mvp and publication: verdict ("reached", "not told" or "missed"), and rows {criterion, value, low, high, n, few,
    why, text, limit, verdict}; the verdict is empty where a row has no limit.
thresholds
    split, and points: name, target_fpr, logit, p, text, val and test {recall, tier_a_recall, fpr}. A target that the
    validation rows do not resolve has no logit, and the threshold above all non-lenses is given. val is null where the
    thresholds were given.
at_p_half
    Recall by tier and false positive rate by pool on test.
calibration
    kind, slope, bias, fitted_on, and on test the errors before and after.
ranking
    For each split: auc, recall_at_fpr, tpr0, tpr10, purity_at_completeness, recall_at_precision. A recall at a rate at
    which less than one false positive is expected has no value.
generalisation
    val_minus_test and train_minus_test: differences of AUC, null values where a split is missing.
against
    With --against: the result of `against.compare`; else null.
grades
    With --grades: the result of `grades.figures`; else null. They change nothing else.
negatives
    With --negatives: `uniform_negatives.figures` on a uniform draw; else null. They change nothing else.
ensemble
    AUC and tier-A recall of each member on test, and their spread; null for a single model.
sky
    With --prevalence: false positive rate, purity and calibration on the sky; else null.
bootstrap
    rounds, seed, resampled unit.
tables
    Number of rows and digest of each table.
provenance
    The chain of steps, parents first; the last is this evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate import (
    against,
    calibrating,
    grades,
    listings,
    operating_point,
    origin,
    prevalence,
    ranking,
    summary_metrics,
    tables,
    uniform_negatives,
    verdict,
)
from lensctl.evaluate import scored as scored_rows
from lensctl.evaluate.scored import Scored
from lensctl.evaluate.uniform.rows import uniform_of
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, stamp, to_list
from lensctl.rules.acceptance import COLLAPSED_BELOW
from lensctl.rules.derived import POOLS, UNIFORM
from lensctl.rules.split import CALIBRATE, ROLE, SPLITS, for_thresholds
from lensctl.stats import metrics
from lensctl.stats import thresholds as operating_points
from lensctl.stats.intervals import ROUNDS, Estimate

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.evaluate.against import Other
    from lensctl.evaluate.given_thresholds import Given
    from lensctl.evaluate.grades import Grades
    from lensctl.evaluate.uniform.rows import UniformScores
    from lensctl.rules.survey import Survey
    from lensctl.stats.calibration import Scaling

SCHEMA = "lensctl.evaluation/2"
MOCK_NOTE = "These data are a mock survey: the metrics show that the pipeline works, and say nothing about the sky."


@dataclass(frozen=True)
class Choices:
    """Options: bootstrap rounds and seed, kind of calibration, length of the candidate list, prevalence on the sky.

    `headline` is the figure that a comparison was made for; `all_rows` judges every row, whatever its split.
    """

    rounds: int = ROUNDS
    seed: int = 42
    calibration: str = "platt"
    top: int = 100
    prevalence: float | None = None
    headline: str = against.HEADLINE
    all_rows: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Evaluation:
    """Results: `metrics` for metrics.json, `tables` by name, `test` and `galleries` for plots and pictures.

    `grades` are visual grades by galaxy_id.
    """

    metrics: dict[str, Any]
    tables: dict[str, pa.Table]
    test: Scored
    calibrated: Scaling | None
    galleries: dict[str, Scored]
    grades: Mapping[str, str] = field(default_factory=dict)


def evaluation_of(
    scores: pa.Table,
    choices: Choices,
    name: str = "scores.parquet",
    mock: bool = False,
    *,
    survey: Survey | str | None = None,
    other: Other | None = None,
    graded: Grades | None = None,
    given: Given | None = None,
    negatives: UniformScores | None = None,
) -> Evaluation:
    """Evaluate a table made by `lensctl score`.

    Parameters
    ----------
    scores : pa.Table
        The columns of the manifest, with logit and p.
    choices : Choices
    name : str
        Name of the scores, for provenance and errors.
    mock : bool
        Mark the data as a mock even if their provenance does not.
    survey : Survey or str, optional
        Of scores whose provenance names none; default ls-dr10.
    other : Other, optional
        Another evaluation to compare with.
    graded : Grades, optional
        Visual grades.
    given : Given, optional
        Thresholds and calibration of the same model, in place of those of split=val. Needed with `all_rows`.
    negatives : UniformScores, optional
        Scores of a uniform draw by the same model, for recall at low false positive rates.

    Raises
    ------
    InputError
        Scores that `scored.read_scores` rejects, rows that differ from the scored manifest, an invalid prevalence,
        thresholds of another model, or another evaluation or grades without common galaxies.
    """
    import pyarrow as pa

    if choices.prevalence is not None:
        prevalence.refuse(choices.prevalence)
    needed = () if choices.all_rows else ("val", "test") if given is None else ("test",)
    scored = scored_rows.read_scores(scores, name, splits=needed, survey=survey, all_rows=choices.all_rows)
    origin.refuse_other_rows(scores, name)
    parts = {split: scored.of(split) for split in SPLITS if (scored.split == split).any()}
    test, val = parts["test"], None
    if given is None:
        val = parts["val"].where(for_thresholds(parts["val"].text(ROLE)))
    extra_inputs: list[origin.ExtraInput] = [extra for extra in (other, graded, given) if extra is not None]
    if negatives is not None:
        extra_inputs += [negatives, *negatives.extras]
    chain = origin.extended(scores, name, choices.as_dict(), extra_inputs, scored.survey)

    def auc(part: Scored) -> dict[str, Any]:
        return ranking.auc(part, choices.rounds, choices.seed).as_dict()

    ranks = {split: ranking.figures(part, choices.rounds, choices.seed) for split, part in parts.items()}
    if given is not None:
        given.refuse_other_model(chain_of(scores, name), name)
        if choices.all_rows:
            given.refuse_training_rows(chain_of(scores, name), name)
        chosen, scaling = given.chosen, given.scaling
    else:
        assert val is not None
        chosen = operating_points.choose(val.is_lens, val.logit)
        scaling = calibrating.fit(val.is_lens, val.logit, choices.calibration)
    raw = calibrating.errors(test, test.p, choices.rounds, choices.seed)
    after = None if scaling is None else calibrating.errors(test, scaling.p(test.logit), choices.rounds, choices.seed)
    rates = operating_point.fpr_by_category(test)
    worst_category, worst = operating_point.worst_category(test)
    headline = {
        "tier_a_recall": operating_point.recall(test, "A").as_dict(),
        "tier_a_auc": auc(ranking.tier_a(test)),
        "contaminant_fpr": {**worst.as_dict(), "worst_category": worst_category},
        "fpr_by_category": {category: rate.as_dict() for category, rate in rates.items()},
        "fpr": operating_point.fpr(test).as_dict(),
        **{f"ece_{kind}": error.as_dict() for kind, error in raw.items()},
        "nan_scores": 0,  # rejected by read_scores()
        "collapsed": bool(np.std(test.logit) < COLLAPSED_BELOW),
        "val_auc": ranks["val"]["auc"] if "val" in ranks else Estimate(None, why="no rows of val").as_dict(),
        "test_auc": ranks["test"]["auc"],
    }
    key = summary_metrics.of(test, ranks["test"], headline["tier_a_auc"])
    galleries = {f"top {choices.top}": listings.ranked(test, choices.top), **listings.mistakes(test, choices.top)}
    verdicts = verdict.verdicts(headline)
    named_tables = tables.collect(parts, val, chosen, scaling, verdicts, galleries, choices.prevalence)
    compared = None if other is None else against.compare(test, other, choices.rounds, choices.seed, choices.headline)
    if compared is not None:
        named_tables["against"] = pa.Table.from_pylist(compared["figures"])
    of_uniform, among_uniform = None, 0
    if negatives is not None:
        lenses = scored.table.filter(pa.array(scored.is_lens))
        uniform = uniform_of(negatives, lenses, scored.survey, chain_of(scores, name))
        of_uniform = uniform_negatives.figures(test, uniform, chosen, choices.rounds, choices.seed, graded)
        among_uniform = uniform_negatives.graded_among(uniform, graded)
        named_tables["fpr"] = of_uniform.table
    regraded = None
    if graded is not None:
        regraded = grades.figures(scored, test, graded, key, choices.rounds, choices.seed, elsewhere=among_uniform)
        named_tables["graded"] = grades.as_table(scored, graded)
    is_mock = mock or origin.of_mock(chain, scores)
    result = {
        "schema": SCHEMA,
        "mock": is_mock,
        "note": MOCK_NOTE if is_mock else "",
        "scores": chain[-1].inputs[0].name,
        **origin.evaluated_digests(chain),
        "rows": _counts(scored, parts),
        "headline": headline,
        "levels": verdicts,
        "judged": "all rows" if choices.all_rows else "split test",
        "thresholds": {
            "split": "val",
            "role": None if val is None else _role_of(val),
            "given_by": None if given is None else given.source.name,
            "points": operating_point.thresholds(chosen, val, test),
        },
        "at_p_half": operating_point.at_p_half(test),
        "calibration": {
            "fitted_on": "val",
            "kind": choices.calibration if scaling is None else scaling.kind,
            "slope": None if scaling is None else scaling.slope,
            "bias": None if scaling is None else scaling.bias,
            "test_before": calibrating.as_dict(raw),
            "test_after": None if after is None else calibrating.as_dict(after),
        },
        "ranking": ranks,
        "generalisation": _generalisation(headline, ranks),
        "against": compared,
        "grades": regraded,
        "negatives": None if of_uniform is None else of_uniform.block,
        "ensemble": _ensemble(test),
        "sky": None
        if choices.prevalence is None
        else prevalence.figures(
            val, test, chosen, choices.prevalence, choices.calibration, choices.rounds, choices.seed
        ),
        "bootstrap": {"rounds": choices.rounds, "seed": choices.seed, "resampled": "HEALPix pixels, nside 128"},
        "tables": {n: {"rows": t.num_rows, "digest": digests.of_table(t)} for n, t in sorted(named_tables.items())},
        "provenance": to_list(chain),
    }
    stamped = {table_name: stamp(table, chain) for table_name, table in named_tables.items()}
    return Evaluation(result, stamped, test, scaling, galleries, graded.of if graded else {})


def _role_of(val: Scored) -> str:
    return CALIBRATE if (val.text(ROLE) == CALIBRATE).any() else "val"


def _counts(scored: Scored, parts: dict[str, Scored]) -> dict[str, Any]:
    return {
        split: {
            "scored": len(part),
            "unscored": scored.unscored[split],
            "lenses": {tier: int((part.tier == tier).sum()) for tier in ("A", "B")},
            "others": {pool: int((part.tier == pool).sum()) for pool in (*POOLS, UNIFORM)},
        }
        for split, part in parts.items()
    }


def _generalisation(headline: dict[str, Any], ranks: dict[str, Any]) -> dict[str, Any]:
    of_train = ranks["train"]["auc"] if "train" in ranks else None
    return {
        "val_minus_test": verdict.generalisation(headline),
        "train_minus_test": verdict.generalisation({**headline, "val_auc": of_train}),
    }


def _ensemble(test: Scored) -> dict[str, Any] | None:
    """Metrics of each member, and their spread over seeds."""
    logits = test.members
    if logits.shape[1] < 2:
        return None
    tier_a = test.is_lens & (test.tier == "A")
    members = [
        {
            "auc": metrics.roc_auc(test.is_lens, logit),
            "tier_a_auc": metrics.roc_auc(test.is_lens[~test.is_lens | tier_a], logit[~test.is_lens | tier_a]),
            "tier_a_recall": float((logit[tier_a] >= 0).mean()) if tier_a.any() else None,
        }
        for logit in logits.T
    ]
    spread = {}
    for name in members[0]:
        values = [value for member in members if (value := member[name]) is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        spread[name] = {"low": min(values, default=None), "high": max(values, default=None), "sd": sd}
    return {"members": members, "spread": spread}
