"""Parquet files that make one table: a file is what is in it, whatever its path and its folders are called."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lensctl.io.tables.files import read_table
from lensctl.io.tables.parquet import parquet_files
from lensctl.io.tables.sql import Database
from lensctl.rules.errors import InputError
from tests.toys.names import NAMES


def both(path, order="i"):
    """The table at a path, as read into memory and as DuckDB reads it; they must be equal."""
    memory = read_table(str(path)).sort_by(order)
    with Database() as database:
        database.scan("t", str(path))
        engine = database.query(f"SELECT * FROM t ORDER BY {order}")
    assert engine.column_names == memory.column_names
    assert engine.to_pydict() == memory.to_pydict()
    return memory.to_pydict()


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_what_the_folders_above_are_called_says_nothing(tmp_path):
    write(tmp_path / "split=val" / "m.parquet", i=[1, 2], split=["train", "train"])
    write(tmp_path / "split=val" / "pool" / "nobs_z_bin=3-5" / "a.parquet", i=[3])
    assert both(tmp_path / "split=val" / "m.parquet") == {"i": [1, 2], "split": ["train", "train"]}
    assert both(tmp_path / "split=val" / "pool") == {"i": [3], "nobs_z_bin": ["3-5"]}
    assert both(tmp_path / "split=*" / "m.parquet") == {"i": [1, 2], "split": ["train", "train"]}
    assert both(tmp_path / "split=*" / "pool") == {"i": [3], "nobs_z_bin": ["3-5"]}


def test_a_path_typed_in_another_way_is_the_same_table(tmp_path, monkeypatch):
    write(tmp_path / "split=val" / "m.parquet", i=[1], split=["train"])
    monkeypatch.chdir(tmp_path / "split=val")
    assert both("m.parquet") == both("../split=val/m.parquet") == {"i": [1], "split": ["train"]}


def test_folders_below_the_one_that_was_given_say_the_values_of_columns(tmp_path):
    write(tmp_path / "pool" / "split=val" / "year=2021" / "a.parquet", i=[1])
    write(tmp_path / "pool" / "split=train" / "year=-7" / "b.parquet", i=[2])
    write(tmp_path / "pool" / "split=a%20b'c" / "year=__HIVE_DEFAULT_PARTITION__" / "c.parquet", i=[3])
    found = both(tmp_path / "pool")
    assert found == {"i": [1, 2, 3], "split": ["val", "train", "a b'c"], "year": [2021, -7, None]}


def test_a_folder_that_contradicts_its_file_is_an_error(tmp_path):
    write(tmp_path / "pool" / "split=val" / "a.parquet", i=[1, 2], split=["val", "val"])
    assert both(tmp_path / "pool") == {"i": [1, 2], "split": ["val", "val"]}
    write(tmp_path / "pool" / "split=train" / "b.parquet", i=[3], split=["val"])
    with pytest.raises(InputError, match=r"b\.parquet: column 'split' has other values than .* \(train\)"):
        read_table(str(tmp_path / "pool"))
    with pytest.raises(InputError, match=r"b\.parquet: column 'split'"), Database() as database:
        database.scan("t", str(tmp_path / "pool"))


def test_a_column_of_some_files_is_null_in_the_others(tmp_path):
    write(tmp_path / "pool" / "a.parquet", i=[1], x=[0.5])
    write(tmp_path / "pool" / "b.parquet", y=["a"], i=[2])
    write(tmp_path / "pool" / "c.parquet", i=pa.array([3], pa.int32()), x=pa.array([2.0], pa.float32()))
    found = both(tmp_path / "pool")
    assert found == {"i": [1, 2, 3], "x": [0.5, None, 2.0], "y": [None, "a", None]}


def test_a_column_of_unlike_types_is_named_with_its_files(tmp_path):
    write(tmp_path / "pool" / "a.parquet", i=[1], x=[0.5])
    write(tmp_path / "pool" / "b.parquet", i=[2], x=["no"])
    with pytest.raises(InputError, match=r"'x' is double in .*a\.parquet and string in .*b\.parquet"):
        read_table(str(tmp_path / "pool"))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(folder=NAMES, name=NAMES, others=st.lists(NAMES, max_size=3))
def test_a_path_that_exists_is_that_path(tmp_path_factory, folder, name, others):
    """Whatever characters are in it: no pattern, no home folder, no partition, no other file."""
    place = tmp_path_factory.mktemp("names") / folder
    for number, other in enumerate(others):
        write(place / f"{other}.parquet", i=[number + 10], k=["other"])
    write(place / f"{name}.parquet", i=[1], k=["own"])
    assert both(place / f"{name}.parquet") == {"i": [1], "k": ["own"]}
    assert len(parquet_files(str(place))) == len({f"{each}.parquet" for each in (*others, name)})
    assert set(both(place)["i"]) >= {1}
