"""`lensctl hosts`: the funnel on stderr, the receipt on stdout, formats, pipes, folders."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lensctl.io.tables import partitioned
from lensctl.io.tables.files import read_table, write_table
from tests.toys import host_pools as toys


@pytest.fixture
def folder(tmp_path):
    write_table(toys.pool(4000, 3), str(tmp_path / "pool.parquet"))
    write_table(toys.catalogue(np.array([10.0]), np.array([80.0])), str(tmp_path / "lenses.csv"))
    return tmp_path


def test_the_receipt_is_one_line_and_the_funnel_is_on_stderr(here, folder):
    status, out, err = here("hosts", "pool.parquet", "hosts.parquet", "--lenses", "lenses.csv", "--count", 30)
    assert status == 0, err
    receipt = json.loads(out)
    assert (receipt["command"], receipt["rows"], receipt["split"]) == ("hosts", 30, "test")
    assert receipt["eligible"] > 30
    for text in ("Funnel", "split == 'test'", "17.0 <= mag_z <= 20.4", "near a lens", "beyond the count"):
        assert text in err


def test_without_a_catalogue_it_is_refused_in_a_sentence(here, folder):
    assert here("hosts", "pool.parquet", "hosts.parquet") == (
        2, "", "error: no lens catalogue is given\n  fix: add --lenses CATALOG, once per catalogue\n"
    )  # fmt: skip
    assert not (folder / "hosts.parquet").exists()


@pytest.mark.parametrize("name", ["h.csv", "h.arrow", "h.ndjson", "h.fits", "h.vot"])
def test_every_format_holds_the_same_hosts(here, folder, name):
    for output in ("h.parquet", name):
        assert here("hosts", "pool.parquet", output, "--lenses", "lenses.csv", "--count", 30)[0] == 0
    ids = [read_table(str(folder / output))["galaxy_id"].to_pylist() for output in ("h.parquet", name)]
    assert ids[0] == ids[1]


def test_a_pool_in_a_pipe_and_one_in_a_folder_give_the_same_hosts(folder, lensctl):
    pool = read_table(str(folder / "pool.parquet"))
    writer = partitioned.Writer(folder / "hive", pool.schema, ["split"])
    for batch in pool.to_batches():
        writer.write(batch)
    writer.close(())
    write_table(pool, str(folder / "pool.arrow"))
    ids = []
    for given in ("pool.parquet", "hive", "pool.arrow"):
        done = lensctl("hosts", given, f"{given}.csv", "--lenses", "lenses.csv", "--count", 40)
        assert done.returncode == 0, done.stderr
        ids.append(read_table(str(folder / f"{given}.csv"))["galaxy_id"].to_pylist())
    assert ids[0] == ids[1] == ids[2]
