"""The tables of an evaluation, each written as parquet and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lensctl.evaluate import calibrating, listings, ranking
from lensctl.evaluate.scored import NEEDED, Scored

if TYPE_CHECKING:
    import pyarrow as pa

    from lensctl.stats.calibration import Scaling
    from lensctl.stats.thresholds import Threshold

VAL_SCORES = "val_scores"
"""Scores from which thresholds were chosen; `freeze` recomputes them."""

TEST_SCORES = "test_scores"
"""Scores behind the test metrics; used by `evaluate --against`."""


def collect(
    parts: Mapping[str, Scored],
    val: Scored | None,
    chosen: tuple[Threshold, ...],
    scaling: Scaling | None,
    verdicts: Mapping[str, Any],
    galleries: Mapping[str, Scored],
    prevalence: float | None,
) -> dict[str, pa.Table]:
    """All tables by name.

    levels, thresholds, strata, reliability, roc, purity_completeness, top, mistakes, test_scores; val_scores, of the
    rows that thresholds were chosen on, or of all of val where they were given; with a prevalence also
    purity_completeness_sky.
    """
    import pyarrow as pa

    test = parts["test"]
    (_, top), *mistakes = galleries.items()
    found = {
        "levels": pa.Table.from_pylist(
            [
                {"level": level, **row, "value": None if row["value"] is None else float(row["value"])}
                for level, judged in verdicts.items()
                for row in judged["rows"]
            ]
        ),
        "thresholds": pa.Table.from_pylist([{**vars(threshold), "text": threshold.text} for threshold in chosen]),
        "strata": pa.Table.from_pylist(listings.by_stratum(test)),
        "reliability": pa.Table.from_pylist(_diagrams(test, scaling)),
        "roc": pa.concat_tables([_with_text(ranking.roc_points(p), "split", split) for split, p in parts.items()]),
        "purity_completeness": pa.table(ranking.purity_points(test)),
        "top": listings.as_table(top),
        "mistakes": pa.concat_tables(
            [listings.as_table(part).append_column("list", _text(name, len(part))) for name, part in mistakes]
            or [listings.as_table(test.head(0)).append_column("list", _text("", 0))]
        ),
        TEST_SCORES: _scores(test, (*NEEDED, "confuser_category")),
    }
    if (of_val := val if val is not None else parts.get("val")) is not None:
        found[VAL_SCORES] = _scores(of_val, ("galaxy_id", "label", "logit"))
    if prevalence is not None:
        found["purity_completeness_sky"] = pa.table(ranking.purity_points(test, prevalence))
    return found


def _scores(part: Scored, names: Sequence[str]) -> pa.Table:
    known = [name for name in names if name in part.table.column_names]
    return part.table.select(known).replace_schema_metadata().sort_by("galaxy_id")


def _diagrams(test: Scored, scaling: Scaling | None) -> list[dict[str, Any]]:
    stated = {"p": test.p} if scaling is None else {"p": test.p, "calibrated p": scaling.p(test.logit)}
    return [
        row for of, p in stated.items() for by in calibrating.BIN_KINDS for row in calibrating.diagram(test, p, by, of)
    ]


def _with_text(columns: Mapping[str, Any], name: str, value: str) -> pa.Table:
    import pyarrow as pa

    table = pa.table(dict(columns))
    return table.add_column(0, name, _text(value, table.num_rows))


def _text(value: str, count: int) -> pa.Array:
    import pyarrow as pa

    return pa.array([value] * count, pa.string())
