"""`search.json`: what was searched, what was lost, what was found, as plain JSON values.

schema, mock, note, model, model_digest
    "lensctl.search/1"; whether a mock survey is in the provenance, and a note saying so; the frozen model.
funnel
    For each criterion the rows removed and remaining, from the rows read to the rows searched.
rows
    Searched, scored and lost rows; `status` counts them, and `seen_in_training` those that the model may know.
bricks
    Bricks with a scored row, and without.
area
    See `sky_area.Area`: square degrees of the cells with a scored row, the same without those along edges, and lost.
thresholds
    For each frozen threshold name, logit (null where it was not resolved), text, and the scored rows that reach it, per
    square degree.
candidates
    Rows that were scored again, candidates in the list, systems, and of these known lenses and rows seen in training.
known_lenses
    Lenses by what became of them and tier; `recall` with intervals: see `known.recall`. Null without --lenses.
false_discovery
    See `null.with_q`: the null galaxies, and for each estimate the smallest q-value that the list can have, how many
    candidates reach some q-values and how many are needed at least. Null without --null.
provenance
    The chain of steps, parents first.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lensctl.astro.sky_area import Area
from lensctl.io.provenance.steps import Chain, is_mock, to_list
from lensctl.rules.quality import OK
from lensctl.search.merging import Totals
from lensctl.search.rows import Plan
from lensctl.stats.densities import density

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "lensctl.search/1"
MOCK_NOTE = (
    "These data, or those that the model was trained on, are a mock survey: the list shows that the search works, and "
    "says nothing about the sky."
)
SUMMARY = "search.json"


def funnel_of(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """Rows read, removed by each criterion and remaining, of all catalogue files."""
    read = sum(plan.read for plan in plans)
    lost: Counter[str] = Counter()
    for plan in plans:
        lost.update(plan.lost)
    remaining = itertools.accumulate([read, *(-count for count in lost.values())])
    names = ["read", *lost]
    return [
        {"criterion": name, "removed": removed, "remaining": left}
        for name, removed, left in zip(names, [0, *lost.values()], remaining, strict=True)
    ]


def summary_of(
    totals: Totals,
    area: Area,
    plans: Sequence[Plan],
    points: Sequence[Mapping[str, Any]],
    candidates: pa.Table,
    chain: Chain,
    *,
    model: str,
    model_digest: str,
    lenses: pa.Table | None,
    recall: Sequence[Mapping[str, Any]],
    false_discovery: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All of `search.json`.

    Parameters
    ----------
    points : sequence of mapping
        Thresholds of the frozen model.
    candidates : pa.Table
        Every candidate, with the rank of its system.
    lenses : pa.Table, optional
        By `known.fates`.
    """
    mock = is_mock(chain)
    return {
        "schema": SCHEMA,
        "mock": mock,
        "note": MOCK_NOTE if mock else "",
        "model": model,
        "model_digest": model_digest,
        "files": len(plans),
        "funnel": funnel_of(plans),
        "rows": {
            "searched": totals.rows,
            "scored": totals.statuses[OK],
            "lost": totals.rows - totals.statuses[OK],
            "status": dict(sorted(totals.statuses.items())),
            "seen_in_training": dict(sorted(totals.seen.items())),
        },
        "bricks": {"searched": sum(totals.bricks.values()), "lost": len(totals.bricks) - sum(totals.bricks.values())},
        "area": area.as_dict(),
        "thresholds": [_threshold(point, totals, area) for point in points],
        "candidates": _candidates(candidates),
        "known_lenses": None if lenses is None else {"fates": _fates(lenses), "recall": [dict(row) for row in recall]},
        "false_discovery": None if false_discovery is None else dict(false_discovery),
        "provenance": to_list(chain),
    }


def _threshold(point: Mapping[str, Any], totals: Totals, area: Area) -> dict[str, Any]:
    name, logit = point["name"], point["logit"]
    kept = {"name": name, "logit": logit, "text": point.get("text", "")}
    if logit is None:
        return {**kept, "rows": None, "per_deg2": None}
    return {**kept, "rows": totals.above[name], "per_deg2": density(totals.above[name], area.searched_deg2)}


def _candidates(candidates: pa.Table) -> dict[str, Any]:
    ranks = candidates["rank"].to_pylist()
    seen = dict(zip(ranks, candidates["seen_in_training"].to_pylist(), strict=True))
    known = {rank for rank, name in zip(ranks, candidates["known_lens"].to_pylist(), strict=True) if name is not None}
    return {
        "rows": len(ranks),
        "systems": len(set(ranks)),
        "known_lenses": len(known),
        "seen_in_training": sum(why is not None for why in seen.values()),
    }


def _fates(lenses: pa.Table) -> list[dict[str, Any]]:
    counts = Counter(zip(lenses["tier"].to_pylist(), lenses["fate"].to_pylist(), strict=True))
    return [
        {"tier": tier, "fate": fate, "lenses": count}
        for (tier, fate), count in sorted(counts.items(), key=lambda item: (item[0][0] or "~", item[0][1]))
    ]
