"""Partitioned tables: files are cut by rows alone, and rows without a value have a partition too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from lensctl.io.provenance.steps import Step
from lensctl.io.tables import partitioned
from lensctl.io.tables.files import read_table
from lensctl.io.tables.sql import Database
from tests.toys import catalogs as toys
from tests.toys.folders import tree


def test_files_are_cut_by_rows_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(partitioned, "ROWS_A_FILE", 300)
    monkeypatch.setattr(partitioned, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(partitioned, "LEAST_GROUP_ROWS", 100)
    rows = toys.pool(3000)
    for name, size in (("a", 1000), ("b", 37)):
        writer = partitioned.Writer(tmp_path / name, rows.schema, ["type"])
        for batch in rows.combine_chunks().to_batches(max_chunksize=size):
            writer.write(batch)
        writer.close((Step("made", {}),))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    files = sorted((tmp_path / "a" / "type=REX").iterdir())
    assert [path.name for path in files[:2]] == ["part-00000.parquet", "part-00001.parquet"]
    assert [pq.read_metadata(path).num_rows for path in files[:-1]] == [300] * (len(files) - 1)
    of_type = rows.filter(pa.compute.equal(rows["type"], "REX"))
    assert pa.concat_tables(map(pq.read_table, files))["galaxy_id"].equals(of_type["galaxy_id"])


def test_rows_without_a_value_have_a_partition_that_all_readers_know(tmp_path):
    rows = toys.pool(100)
    at = rows.column_names.index("nobs_z_bin")
    rows = rows.set_column(at, "nobs_z_bin", pa.array([None, "3-5", "11+", "1-2"] * 100, pa.string())[: rows.num_rows])
    writer = partitioned.Writer(tmp_path / "pool", rows.schema, ["nobs_z_bin"])
    for batch in rows.to_batches():
        writer.write(batch)
    writer.close(())
    back = read_table(str(tmp_path / "pool")).select(rows.column_names)
    assert back.sort_by("galaxy_id").equals(rows.sort_by("galaxy_id"))
    with Database() as database:
        database.scan("pool", str(tmp_path / "pool"))
        counted = database.query("SELECT nobs_z_bin, count(*) AS n FROM pool GROUP BY 1 ORDER BY 1 NULLS FIRST")
    assert counted["nobs_z_bin"].to_pylist() == [None, "1-2", "11+", "3-5"]
