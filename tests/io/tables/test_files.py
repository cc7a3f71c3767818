"""Tables come back as they went out, whatever the format; a broken one is an error, never a shorter table."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lensctl.io.provenance.steps import Step, chain_of, stamp
from lensctl.io.tables.files import (
    _WRITERS,
    MARKED,
    _arrow_from,
    made_by,
    read_table,
    refuse_rows,
    write_batches,
    write_table,
)
from lensctl.io.tables.paths import WRITTEN_ONLY, format_of
from lensctl.rules.errors import InputError
from tests.toys import catalogs as toys

STEP = Step("made", {"x": 1}, ())


@pytest.fixture
def table():
    return stamp(toys.pool(200), (STEP,))


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_binary_formats_keep_values_types_and_provenance(table, tmp_path, ending):
    write_table(table, str(tmp_path / f"t.{ending}"))
    back = read_table(str(tmp_path / f"t.{ending}"))
    assert back.equals(table)
    assert chain_of(back) == (STEP,)


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_text_formats_keep_values_and_declared_types(table, tmp_path, ending):
    write_table(table, str(tmp_path / f"t.{ending}"))
    back = read_table(str(tmp_path / f"t.{ending}"))
    assert back.schema.types == table.schema.types
    assert back.equals(table.replace_schema_metadata())


def test_a_column_that_stands_twice_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("galaxy_id,grading,grading\na,A,B\n")
    with pytest.raises(InputError, match="t.csv: column 'grading' occurs more than once"):
        read_table(str(tmp_path / "t.csv"))


def test_a_folder_with_hive_partitions_is_one_table(table, tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / "pool" / f"split={split}").mkdir(parents=True)
        part = table.filter(pa.compute.equal(table["split"], split)).drop_columns(["split"])
        pq.write_table(part, tmp_path / "pool" / f"split={split}" / "0.parquet")
    expected = sorted(zip(table["galaxy_id"].to_pylist(), table["split"].to_pylist(), strict=True))
    back = read_table(str(tmp_path / "pool"))
    assert sorted(zip(back["galaxy_id"].to_pylist(), back["split"].to_pylist(), strict=True)) == expected
    by_glob = read_table(str(tmp_path / "pool" / "*" / "*.parquet"))  # files, and a file is what is in it
    assert sorted(by_glob["galaxy_id"].to_pylist()) == [galaxy_id for galaxy_id, _ in expected]
    assert "split" not in by_glob.column_names


def arrow_bytes(table):
    buffer = io.BytesIO()
    _WRITERS["arrow"](table.schema, table.to_batches(max_chunksize=50), buffer)
    return buffer.getvalue()


def test_a_stream_cut_anywhere_is_an_error(table):
    data = arrow_bytes(table)
    assert _arrow_from(data).equals(table)
    for cut in range(1, len(data) - 8, 997):
        with pytest.raises((InputError, pa.ArrowInvalid, OSError, ValueError)):
            _arrow_from(data[:cut])


def test_a_stream_cut_between_two_batches_is_an_error_that_counts_rows(table):
    schema = table.schema.with_metadata({**table.schema.metadata, MARKED: b"1"})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(table.to_batches(max_chunksize=50)[0])
    with pytest.raises(InputError, match="the stream ended after 50 rows, before its end mark"):
        _arrow_from(sink.getvalue())


def test_a_stream_of_another_tool_needs_no_end_mark():
    plain = pa.table({"x": [1, 2]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, plain.schema) as stream:
        stream.write_table(plain)
    assert _arrow_from(sink.getvalue()).equals(plain)


def test_empty_stdin_is_an_error():
    with pytest.raises(InputError, match="stdin is empty"):
        _arrow_from(b"")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "folder without parquet files"),
        (lambda p: p.write_bytes(b"PAR1 nonsense"), "cannot be read as a table"),
        (lambda p: write_table(toys.pool(50).slice(0, 0), str(p)), "has no rows"),
    ],
)
def test_what_is_no_table_is_an_error_with_its_name(tmp_path, make, message):
    path = tmp_path / "t.parquet"
    make(path)
    with pytest.raises(InputError, match=message) as error:
        read_table(str(path))
    assert "t.parquet" in str(error.value)


def test_a_truncated_parquet_is_an_error(table, tmp_path):
    path = tmp_path / "t.parquet"
    write_table(table, str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(str(path))


def test_an_existing_output_is_refused_and_left_alone(table, tmp_path):
    path = tmp_path / "t.parquet"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        write_table(table, str(path))
    assert path.read_text() == "mine"
    write_table(table, str(path), overwrite=True)
    assert read_table(str(path)).num_rows == table.num_rows


def test_a_write_that_fails_leaves_nothing(table, tmp_path):
    def broken():
        yield table.to_batches()[0]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_batches(table.schema, broken(), str(tmp_path / "t.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_same_table_same_bytes(table, tmp_path):
    write_table(table, str(tmp_path / "a.parquet"))
    write_table(table, str(tmp_path / "b.parquet"))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


STRANGE = {
    "list": pa.array([[1, 2]]),
    "struct": pa.array([{"a": 1}]),
    "bytes": pa.array([b"\xff"]),
    "duration": pa.array([86400], pa.duration("s")),
    "decimal": pa.array(["1.5"]).cast(pa.decimal128(4, 1)),
    "time": pa.array([0], pa.timestamp("us", "UTC")),
    "dictionary": pa.array(["a"]).dictionary_encode(),
    "large integer": pa.array([2**63], pa.uint64()),
    "null": pa.nulls(1),
    "text": pa.array(["Müller"]),
    "yes or null": pa.array([None], pa.bool_()),
}
NOT_HELD = {
    "csv": ("list", "struct", "bytes"),
    "fits": ("list", "struct", "bytes", "large integer", "text", "yes or null"),
    "vot": ("list", "struct", "bytes", "large integer"),
}


@pytest.mark.parametrize("kind", [kind for kind in _WRITERS if kind not in WRITTEN_ONLY])
@pytest.mark.parametrize("name", STRANGE)
def test_what_a_format_does_not_hold_is_refused_by_name_and_leaves_nothing(tmp_path, kind, name):
    strange, output = pa.table({"i": [1], "x": STRANGE[name]}), str(tmp_path / f"o.{kind}")
    if name in NOT_HELD.get(kind, ()):
        with pytest.raises(InputError, match="column 'x'|written as CSV"):
            refuse_rows(strange, output)
        with pytest.raises(InputError, match="column 'x'|written as CSV"):
            write_table(strange, output)
        assert list(tmp_path.iterdir()) == []
    else:
        refuse_rows(strange, output)
        write_table(strange, output)
        assert read_table(output)["i"].to_pylist() == [1]


def test_unknown_formats_are_named():
    with pytest.raises(InputError, match="no format 'xml'"):
        format_of("t.parquet", "xml")
    for name in ("t.ecsv", "t.csv.gz", "t.fits.fz"):
        with pytest.raises(InputError, match=f"{name}: tables are not written in this form"):
            write_table(pa.table({"x": [1]}), name)


def test_finished_work_is_known_by_its_step(table, tmp_path):
    path = str(tmp_path / "t.parquet")
    assert not made_by(path, STEP.id)
    write_table(table, path)
    assert made_by(path, STEP.id)
    assert not made_by(path, "another")


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow_with_a_damaged_offset_is_an_error_with_its_name(tmp_path, kind):
    """Such as ended the process."""
    texts = pa.table({"galaxy_id": [f"0001p000_{i}" for i in range(9)]})
    path = tmp_path / "t.arrow"
    with (pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file)(str(path), texts.schema) as out:
        out.write_table(texts)
    offset, next_offset, wrong = ((n).to_bytes(4, "little") for n in (40, 50, 1 << 30))
    assert path.read_bytes().count(offset + next_offset) == 1
    path.write_bytes(path.read_bytes().replace(offset + next_offset, wrong + next_offset))
    with pytest.raises(InputError, match=r"t\.arrow: cannot be read as a table"):
        read_table(str(path))


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet", "arrow"])
def test_bytes_that_are_not_utf_8_are_an_error_with_the_files_name(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    write_table(pa.table({"galaxy_id": ["Müller"], "x": [1.0]}), str(path))
    path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match=rf"t\.{ending}: cannot be read as a table"):
        read_table(str(path))


def test_a_columns_name_that_is_not_utf_8_is_an_error_with_the_files_name(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"ra,d\xffc\n1,2\n")
    with pytest.raises(InputError, match=r"t\.csv: cannot be read as a table"):
        read_table(str(tmp_path / "t.csv"))
