"""Scores of galaxies without labels: a ranking, and how many reach each threshold; no recall, no false positive rate.

Blocks of `metrics.json`:

schema, mock, note
    "lensctl.ranking/1"; whether the data are a mock survey, and a note saying so.
inputs
    scores_digest and model_digest.
rows
    Scored and unscored rows.
thresholds
    given_by, and points: name, logit, rows at or above it. Those of --thresholds; without it p = 0.5 alone.
tables
    Number of rows and digest of the ranking.
provenance
    The chain of steps, parents first; the last is this evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lensctl.evaluate import origin
from lensctl.evaluate.scored import refuse_wrong_p
from lensctl.io.html.pages import viewer_link
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import chain_of, common_survey, stamp, to_list
from lensctl.rules import schema

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from lensctl.evaluate.given_thresholds import Given
    from lensctl.evaluate.grades import Grades
    from lensctl.rules.survey import Survey

SCHEMA = "lensctl.ranking/1"
MOCK_NOTE = "These data are a mock survey: the ranking shows that the pipeline works, and says nothing about the sky."
LEFT_OUT = ("label", "sampling_weight", "sample_weight")


@dataclass(frozen=True)
class Ranking:
    """Results: `metrics` for metrics.json, `table` of the highest ranked, and their rows in the scores."""

    metrics: dict[str, Any]
    table: pa.Table
    rows: NDArray[np.int64]
    survey: Survey
    grades: Mapping[str, str] = field(default_factory=dict)


def is_unlabelled(scores: pa.Table) -> bool:
    """Whether a table of scores has no label at all."""
    if "logit" not in scores.column_names:
        return False
    return "label" not in scores.column_names or scores["label"].null_count == scores.num_rows


def ranking_of(
    scores: pa.Table,
    top: int,
    name: str = "scores.parquet",
    *,
    survey: Survey | str | None = None,
    given: Given | None = None,
    graded: Grades | None = None,
) -> Ranking:
    """Rank a table of scores without labels.

    Parameters
    ----------
    scores : pa.Table
        With galaxy_id, logit and p.
    top : int
        How many of the highest logits the table has.
    given : Given, optional
        Thresholds of the same model.
    graded : Grades, optional
        Visual grades, shown in the report.

    Raises
    ------
    InputError
        Missing columns, nulls, ids that stand in two rows of a region, scores that are no numbers, thresholds of
        another model.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    of = common_survey(survey, chain_of(scores, name))
    schema.require(scores, "galaxy_id", "logit", "p", where=name)
    schema.refuse_nulls(scores, "galaxy_id", where=name)
    schema.require_numbers(scores, "logit", "p", where=name)
    if "region" not in scores.column_names:
        schema.refuse_duplicates(scores, where=name)
    has_score = np.asarray(pc.is_valid(scores["logit"]).to_numpy(zero_copy_only=False), bool)
    row = np.flatnonzero(has_score)
    logit, p = (np.asarray(scores[column].to_numpy(zero_copy_only=False), np.float64)[row] for column in ("logit", "p"))
    refuse_wrong_p(logit, p, row, name)
    if given is not None:
        given.refuse_other_model(chain_of(scores, name), name)
    ids = np.array(scores["galaxy_id"].to_pylist(), "U")[row]
    order = np.lexsort((row, ids, -logit))[:top]
    extra = [one for one in (graded, given) if one is not None]
    chain = origin.extended(scores, name, {"top": top, "labels": False}, extra, of)
    table = _listed(scores.take(pa.array(row[order])), of)
    mock = origin.of_mock(chain, scores)
    points = (
        [{"name": "p=0.5", "logit": 0.0}]
        if given is None
        else [{"name": point.name, "logit": point.logit} for point in given.chosen]
    )
    metrics = {
        "schema": SCHEMA,
        "mock": mock,
        "note": MOCK_NOTE if mock else "",
        "scores": chain[-1].inputs[0].name,
        **origin.evaluated_digests(chain),
        "rows": {"scored": len(row), "unscored": scores.num_rows - len(row)},
        "thresholds": {
            "given_by": None if given is None else given.source.name,
            "points": [_reached(point, logit) for point in points],
        },
        "tables": {"ranking": {"rows": table.num_rows, "digest": digests.of_table(table)}},
        "provenance": to_list(chain),
    }
    return Ranking(metrics, stamp(table, chain), row[order], of, graded.of if graded else {})


def _reached(point: dict[str, Any], logit: NDArray[np.float64]) -> dict[str, Any]:
    """A threshold, and how many rows reach it; None where it was not resolved."""
    return {**point, "rows": None if point["logit"] is None else int((logit >= point["logit"]).sum())}


def _listed(rows: pa.Table, survey: Survey) -> pa.Table:
    """The highest ranked rows with their rank and a link to the sky viewer, whatever columns they have."""
    import pyarrow as pa

    kept = [name for name in rows.column_names if name not in (*LEFT_OUT, "rank", "viewer")]
    table = rows.select(kept).replace_schema_metadata().add_column(0, "rank", pa.array(np.arange(1, rows.num_rows + 1)))
    links = [""] * rows.num_rows
    if {"ra", "dec"} <= set(kept):
        places = zip(rows["ra"].to_pylist(), rows["dec"].to_pylist(), strict=True)
        links = ["" if ra is None or dec is None else viewer_link(ra, dec, survey) for ra, dec in places]
    return table.append_column("viewer", pa.array(links, pa.string()))
