"""search.json: the funnel of all files, and the note on a mock."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from lensctl.astro.sky_area import Area, CellCounts
from lensctl.io.provenance.steps import Step, extend, step_input
from lensctl.rules.quality import OK
from lensctl.search.known import KnownLenses, Sightings
from lensctl.search.merging import Totals
from lensctl.search.rows import Plan
from lensctl.search.summary import funnel_of, summary_of
from lensctl.search.top import Top, Wanted


def plan(file: int, read: int, **lost: int) -> Plan:
    return Plan(file, read, Counter(lost), [(0, read - sum(lost.values()))], 1, "sha256:0")


def test_the_funnel_adds_up_what_all_files_lost():
    assert funnel_of([plan(0, 10, a=3, b=1), plan(1, 5, a=1)]) == [
        {"criterion": "read", "removed": 0, "remaining": 15},
        {"criterion": "a", "removed": 4, "remaining": 11},
        {"criterion": "b", "removed": 1, "remaining": 10},
    ]


@pytest.mark.parametrize(
    ("command", "name", "mock"), [("sky", "sweeps", True), ("pool", "a Mock", True), ("pool", "x", False)]
)
def test_a_mock_survey_is_announced_wherever_it_stands_in_the_provenance(command, name, mock):
    first = extend(Step(command, {}))
    chain = extend(Step("search", {}, (step_input("catalog", name, "sha256:1", first),)), first)
    nothing = np.zeros(0)
    totals = Totals(CellCounts(0), Top(Wanted(1)), Sightings(KnownLenses((), (), (), nothing, nothing), 1.0), {})
    totals.statuses[OK] = 4
    candidates = pa.table({name: pa.nulls(0, pa.string()) for name in ("rank", "seen_in_training", "known_lens")})
    made = summary_of(
        totals,
        Area(8, np.zeros(0, np.int64), np.zeros(0, np.int64)),
        [],
        [],
        candidates,
        chain,
        model="m",
        model_digest="d",
        lenses=None,
        recall=[],
    )
    assert made["mock"] is mock
    assert ("mock survey" in made["note"]) is mock
    assert made["false_discovery"] is None
