"""What is said of a file: its chain step by step, in plain JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lensctl.io.provenance.steps import Step, step_input
from lensctl.show.description import Description, chain_lines, plainly
from tests.toys.surveys import WIDE


def test_a_chain_is_told_from_its_end_with_each_step_once():
    first = Step("pool", {"preset": "plan", "nothing": None})
    second = Step("sample", {}, (step_input("pool", "a/pool.parquet", "sha256:" + "b" * 64, (first,)),))
    third = Step("gate", {}, (step_input("lenses", "l.csv", "sha256:" + "c" * 64),))
    lines = chain_lines((first, second, third))
    assert [line.split()[1] for line in lines if line.startswith("[")] == ["gate", "sample", "pool"]
    assert "      pool: pool.parquet ← [1]" in lines
    assert "      lenses: l.csv sha256:cccccccccccc…" in lines
    assert "      preset=plan" in lines


def test_json_has_no_nan():
    assert plainly({"a": float("nan"), "b": np.float32(1.5), "c": (np.int64(2), None), "d": Path("x")}) == {
        "a": None,
        "b": 1.5,
        "c": [2, None],
        "d": "x",
    }


def test_the_survey_of_the_last_step_is_said():
    facts = Description("table", {"rows": 1}, chain=(Step("manifest", {}, survey=WIDE),))
    assert facts.with_survey().values == {"rows": 1, "survey": "wide: VIS, Y, J, H at 0.1 arcsec per pixel"}
    assert Description("table", {"rows": 1}).with_survey().values == {"rows": 1}
