"""Two runs of `evaluate` to one OUT_DIR, and runs that are killed: real processes."""

from __future__ import annotations

import os
import random

import pyarrow.compute as pc
import pytest

from lensctl.io.tables.files import write_table
from tests.toys.folders import folder_digest
from tests.toys.processes import begin, go_on, kill_after, stop_when
from tests.toys.scores import toy_scores

ROUNDS = ("--rounds", 100)


@pytest.fixture
def here(tmp_path):
    scores = toy_scores(100, 400)
    write_table(scores, str(tmp_path / "good.parquet"))
    for name in ("logit", "logit_0"):
        at = scores.schema.get_field_index(name)
        scores = scores.set_column(at, name, pc.negate(scores[name]))
    at = scores.schema.get_field_index("p")
    write_table(scores.set_column(at, "p", pc.subtract(1.0, scores["p"])), str(tmp_path / "bad.parquet"))
    return tmp_path


def test_of_two_at_once_the_second_is_refused_by_name_and_the_folder_is_of_the_first(here, lensctl):
    first = begin("evaluate", "good.parquet", "ev", *ROUNDS, cwd=here)
    assert stop_when(lambda: (here / ".ev.part" / "whole" / "tables").is_dir(), first)
    for more in ((), ("--overwrite",)):
        second = lensctl("evaluate", "bad.parquet", "ev", *ROUNDS, *more)
        assert second.returncode == 2
        assert "ev is being made by another process (lensctl evaluate)" in second.stderr
    assert go_on(first)[0] == 0
    assert lensctl("evaluate", "good.parquet", "alone", *ROUNDS).returncode == 0
    assert folder_digest(here / "ev") == folder_digest(here / "alone")
    assert sorted(os.listdir(here)) == ["alone", "bad.parquet", "ev", "good.parquet"]


@pytest.mark.parametrize("kills", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_killed_at_any_time_the_same_command_works_and_nothing_stays(here, lensctl, kills):
    choose = random.Random(7)
    for _ in range(kills):
        kill_after(choose.uniform(1.0, 5.0), begin("evaluate", "bad.parquet", "ev", *ROUNDS, cwd=here))
        assert lensctl("evaluate", "good.parquet", "ev", *ROUNDS, "--overwrite").returncode == 0
        assert sorted(os.listdir(here)) == ["bad.parquet", "ev", "good.parquet"]
    assert lensctl("evaluate", "good.parquet", "alone", *ROUNDS).returncode == 0
    assert folder_digest(here / "ev") == folder_digest(here / "alone")
