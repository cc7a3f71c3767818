"""What a few bytes would swell to is refused before it is there; everything else comes out as it went in."""

from __future__ import annotations

import gzip
import io
import zlib

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lensctl.io import unpacking
from lensctl.io.tables.files import read_table
from lensctl.rules.errors import InputError


@pytest.mark.parametrize(("pack", "format"), [(gzip.compress, unpacking.GZIP), (zlib.compress, zlib.MAX_WBITS)])
def test_data_of_the_known_size_comes_out_and_no_other(pack, format):
    packed = pack(b"galaxy" * 1000)
    assert unpacking.inflated(packed, 6000, format) == b"galaxy" * 1000
    for wrong in (5999, 6001, 0):
        with pytest.raises(ValueError, match=f"not of {wrong} bytes"):
            unpacking.inflated(packed, wrong, format)
    for damaged in (packed[:-1], b"?" + packed, b""):
        with pytest.raises(ValueError, match=r"damaged|not of 6000 bytes"):
            unpacking.inflated(damaged, 6000, format)


def swelling(rows: int, *, arrow_schema: bool) -> io.BytesIO:
    """A small parquet file whose texts would take a megabyte a row."""
    text = pa.array(["a" * 1_000_000]).dictionary_encode().take(pa.array([0] * rows))
    file = io.BytesIO()
    pq.write_table(pa.table({"type": text}), file, compression="zstd", store_schema=arrow_schema)
    assert len(file.getvalue()) < 100_000
    return file


@pytest.mark.parametrize("arrow_schema", [True, False])
def test_repeated_texts_that_would_fill_the_memory_are_refused(tmp_path, arrow_schema):
    file = swelling(4900, arrow_schema=arrow_schema)
    path = tmp_path / "t.parquet"
    path.write_bytes(file.getvalue())
    for read in (lambda: unpacking.read_parquet_file(file), lambda: unpacking.read_parquet_dataset(ds.dataset(path))):
        with pytest.raises(ValueError, match=r"'type' would take 4.9 GB in 4900 rows"):
            read()
    with pytest.raises(InputError, match=r"t.parquet: cannot be read as a table \(column 'type' would take 4.9 GB"):
        read_table(str(path))


def test_the_same_texts_in_an_arrow_stream_are_refused(tmp_path):
    text = pa.array(["a" * 1_000_000]).dictionary_encode().take(pa.array([0] * 4900))
    table = pa.table({"type": text})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(InputError, match=r"t.arrow: cannot be read as a table \(column 'type' would take"):
        read_table(str(tmp_path / "t.arrow"))


def test_a_usual_table_is_read_as_parquet_reads_it(tmp_path):
    table = pa.table(
        {"id": [f"g{i}" for i in range(500)], "type": ["PSF", None, "SER", "é", ""] * 100, "x": range(500)},
        metadata={"a": "b"},
    )
    table = table.append_column("raw", pa.array([b"\0\1", None] * 250)).append_column("l", pa.array([["a"], []] * 250))
    path = tmp_path / "split=test" / "t.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    assert unpacking.read_parquet_file(path.open("rb")).equals(pq.read_table(path, partitioning=None), True)
    found = ds.dataset(tmp_path, partitioning=ds.partitioning(flavor="hive"))
    for columns in (None, ["type", "split"], []):
        expected = found.to_table(columns=columns)
        assert unpacking.read_parquet_dataset(found, columns).equals(expected, check_metadata=True)


def test_a_table_whose_buffers_do_not_fit_is_a_value_error_and_not_the_end_of_the_process():
    offsets, letters = pa.py_buffer(b"\0\0\0\0\xff\xff\xff\x7f\4\0\0\0"), pa.py_buffer(b"abcd")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, letters])
    numbers = pa.py_buffer((99).to_bytes(4, "little"))
    coded = pa.DictionaryArray.from_buffers(pa.dictionary(pa.int32(), pa.string()), 1, [None, numbers], pa.array(["a"]))
    byte = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    for column in (text, coded, byte):
        with pytest.raises(ValueError, match="nvalid"):
            unpacking.sound(pa.table({"a": column}))
    table = pa.table({"a": ["x", None], "b": pa.array(["u", "v"]).dictionary_encode()})
    assert unpacking.sound(table) is table


@pytest.mark.parametrize("begin", ["[", '{"a":', '{"a":[],"b":'])
def test_json_lines_that_nest_without_end_are_refused_and_brackets_in_a_text_are_not(tmp_path, begin):
    end = "]" if begin == "[" else "}"
    (tmp_path / "t.ndjson").write_text('{"x":' + begin * 50_000 + "1" + end * 50_000 + "}\n")
    with pytest.raises(InputError, match=r"t\.ndjson: cannot be read as a table \(nested too deeply"):
        read_table(str(tmp_path / "t.ndjson"))
    (tmp_path / "t.ndjson").write_text('{"x":"' + "[{" * 50_000 + '"}\n')
    assert read_table(str(tmp_path / "t.ndjson"))["x"].to_pylist() == ["[{" * 50_000]


def test_gzip_that_is_damaged_is_a_value_error_however_python_calls_it():
    packed = gzip.compress(bytes(range(256)) * 40)
    unpacking.refuse_broken(packed, 10_240)
    spoilt = bytearray(packed)
    spoilt[20] ^= 0xFF
    for damaged in (packed[:-1], bytes(spoilt), packed[:5], b""):
        with pytest.raises(ValueError, match="compressed data"):
            unpacking.refuse_broken(damaged, 10_240)
    with pytest.raises(ValueError, match="swells"):
        unpacking.refuse_broken(packed, 10_239)
    for error in (EOFError("end"), zlib.error("block"), gzip.BadGzipFile("magic")):
        with pytest.raises(ValueError, match="compressed data"), unpacking.gunzipping():
            raise error
