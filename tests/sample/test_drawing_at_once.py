"""Two runs of `sample` to one OUTPUT, and runs that are killed: real processes."""

from __future__ import annotations

import os
import random

import pytest

from lensctl.io.tables.files import read_table, write_table
from tests.toys import catalogs as toys
from tests.toys.processes import begin, go_on, kill_after, stop_when

SAMPLE = ("sample", "pool.parquet", "o.parquet", "--positives", "positives.parquet", "--negatives-per-positive", 60)


@pytest.fixture
def here(tmp_path):
    write_table(toys.pool(120_000), str(tmp_path / "pool.parquet"))
    write_table(toys.positives(400), str(tmp_path / "positives.parquet"))
    return tmp_path


@pytest.fixture
def stopped(here):
    """`sample --seed 1`, stopped while it writes its OUTPUT, and the folder."""
    for _ in range(8):
        first = begin(*SAMPLE, "--seed", 1, "--strata", "strata.csv", cwd=here)
        if stop_when(lambda: any(part.stat().st_size for part in here.glob(".o.parquet.*.part")), first):
            yield first
            first.kill()
            first.wait()
            return
        (here / "o.parquet").unlink()
        (here / "strata.csv").unlink()
    pytest.fail("it always ended before it could be stopped")


def seed_of(path):
    from lensctl.io.provenance.steps import chain_of

    table = read_table(str(path))
    assert table.num_rows > 1000
    return chain_of(table)[-1].parameters["seed"]


def test_of_two_at_once_one_succeeds_and_the_file_is_its_alone(here, lensctl, stopped):
    assert lensctl(*SAMPLE, "--seed", 2).returncode == 0
    whole = (here / "o.parquet").read_bytes()
    status, said = go_on(stopped)
    assert (status, "error: o.parquet exists" in said) == (2, True), said
    assert (here / "o.parquet").read_bytes() == whole
    assert seed_of(here / "o.parquet") == 2
    assert sorted(os.listdir(here)) == ["o.parquet", "pool.parquet", "positives.parquet"], "and no strata of the first"


def test_with_overwrite_the_last_wins_whole(here, lensctl, stopped):
    assert lensctl(*SAMPLE, "--seed", 2, "--overwrite").returncode == 0
    assert seed_of(here / "o.parquet") == 2
    again = begin(*SAMPLE, "--seed", 3, "--overwrite", cwd=here)
    assert go_on(again)[0] == 0
    assert seed_of(here / "o.parquet") == 3
    assert len(list(here.glob(".o.parquet.*.part"))) == 1, "that of the first run, which is alive"


@pytest.mark.parametrize("kills", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_killed_at_any_time_the_same_command_works_and_nothing_stays(here, lensctl, kills):
    choose = random.Random(7)
    for _ in range(kills):
        kill_after(choose.uniform(0.5, 4.0), begin(*SAMPLE, cwd=here))
        assert lensctl(*SAMPLE, "--overwrite").returncode == 0
        assert sorted(os.listdir(here)) == ["o.parquet", "pool.parquet", "positives.parquet"]
        assert seed_of(here / "o.parquet") is not None


def test_one_name_for_both_tables_is_refused_before_anything_is_drawn(here, lensctl):
    refused = lensctl(*SAMPLE, "--strata", "o.parquet", "--overwrite")
    assert (refused.returncode, "o.parquet is named for two outputs" in refused.stderr) == (2, True)
    assert not (here / "o.parquet").exists()
