"""Reading and writing tables: local paths, globs, folders, `s3://` and `-`; all formats of `paths.SUFFIXES`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lensctl.io.addresses import is_web
from lensctl.io.regions import to_regions
from lensctl.io.storage.atomic import refuse_outputs, whole_file
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables import units
from lensctl.io.tables.astropy_tables import from_ecsv, from_votable, to_fits, to_votable
from lensctl.io.tables.csv_dress import undressed
from lensctl.io.tables.declared_types import conform
from lensctl.io.tables.parquet import parquet_dataset
from lensctl.io.tables.paths import files_of, filesystem_of, format_of, readable, refuse_written_only
from lensctl.io.unpacking import read_parquet_dataset, read_parquet_file, refuse_nested, sound, without_repeats
from lensctl.rules import schema
from lensctl.rules.errors import InputError, first_line
from lensctl.rules.schema import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

    from lensctl.io.provenance.steps import Chain

END_MARK = b"lensctl.rows"
MARKED = b"lensctl.end_mark"
ROW_GROUP_ROWS = 131_072
LARGEST_BLOCK = (1 << 31) - 1
"""Most bytes of CSV or ndjson from which the types of columns are inferred: all of any usual file."""


def read_table(
    path: str, *, columns: Sequence[str] | None = None, format: str | None = None, allow_empty: bool = False
) -> pa.Table:
    """Read a table into memory, with its metadata.

    Parameters
    ----------
    path : str
        File, glob, folder (hive partitions become columns), `s3://` or `-` for stdin.
    columns : sequence of str, optional
        Read only these, if present.
    format : str, optional
        parquet, arrow, csv, tsv, ndjson, fits, vot or ecsv; overrides the file extension.

    Raises
    ------
    InputError
        Missing, not a table, truncated, or (unless `allow_empty`) no rows.
    """
    kind = format_of(path, format)
    where = "stdin" if path == "-" else path
    refuse_written_only(kind, where)
    if is_web(path):
        raise InputError(f"{path}: only catalogues are read from a web server", "download it, and name the file")
    with readable(path):
        if path == "-":
            table = _READERS[kind](_stdin())
        elif kind == "parquet":
            table = _read_parquet(path, columns)
        else:
            table = _read_each(path, kind)
        table = without_repeats(table)
        schema.folded(table.column_names, where)
    if columns is not None:
        table = table.select([name for name in table.column_names if name in columns])
    if table.num_rows == 0 and not allow_empty:
        raise InputError(f"{where}: the table has no rows", "check the step that made it")
    units.refuse_other(units.given(table.schema), where)
    return conform(table, where)


def _stdin() -> bytes:
    if sys.stdin is None:  # Python's answer to a closed one
        raise InputError("stdin is closed", "pipe a table into the command")
    return sys.stdin.buffer.read()


def _read_parquet(path: str, columns: Sequence[str] | None) -> pa.Table:
    found = parquet_dataset(path)
    wanted = None if columns is None else [name for name in found.schema.names if name in columns]
    return read_parquet_dataset(found, wanted)


def _read_each(path: str, kind: str) -> pa.Table:
    import pyarrow as pa

    if kind == "fits":
        from lensctl.io.fits.tables import read_fits_table

        return pa.concat_tables([read_fits_table(file) for file in files_of(path)], promote_options="default")
    filesystem, names = filesystem_of(files_of(path))
    tables = []
    for name in names:
        with filesystem.open_input_stream(name, compression=None) as stream:
            tables.append(_READERS[kind](stream.read()))
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")


def _parquet_from(data: bytes) -> pa.Table:
    return read_parquet_file(io.BytesIO(data))


def _arrow_from(data: bytes) -> pa.Table:
    """A table from an Arrow stream (or file); lensctl's own streams end with a batch that holds the row count."""
    import pyarrow as pa

    if data[:6] == b"ARROW1":
        return sound(pa.ipc.open_file(pa.BufferReader(data)).read_all())
    if not data:
        raise InputError("stdin is empty", "the previous command wrote nothing; see its message above")
    stream = pa.ipc.open_stream(pa.BufferReader(data))
    batches: list[pa.RecordBatch] = []
    expected: int | None = None
    while True:
        try:
            batch, mark = stream.read_next_batch_with_custom_metadata()
        except StopIteration:
            break
        if mark is not None and END_MARK in mark:
            expected = int(mark[END_MARK])
        else:
            batches.append(batch)
    table = sound(pa.Table.from_batches(batches, schema=stream.schema))
    metadata = dict(table.schema.metadata or {})
    if metadata.pop(MARKED, None) and expected != table.num_rows:
        total = "" if expected is None else f" of {expected}"
        raise InputError(
            f"the stream ended after {table.num_rows}{total} rows, before its end mark",
            "the previous command died; see its message above",
        )
    return table.replace_schema_metadata(metadata or None)


def _csv_from(data: bytes, delimiter: str = ",") -> pa.Table:
    import pyarrow.csv

    data, delimiter = undressed(data, delimiter)
    texts = {name: arrow_type(name) for name, column in schema.columns().items() if column.type == "string"}
    return pyarrow.csv.read_csv(
        io.BytesIO(data),
        read_options=pyarrow.csv.ReadOptions(block_size=min(max(len(data), 1), LARGEST_BLOCK)),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=texts, strings_can_be_null=True),
    )


def _ndjson_from(data: bytes) -> pa.Table:
    import pyarrow.json

    refuse_nested(data)
    options = pyarrow.json.ReadOptions(block_size=min(max(len(data), 1), LARGEST_BLOCK))
    return sound(pyarrow.json.read_json(io.BytesIO(data), read_options=options))


_READERS: dict[str, Callable[[bytes], pa.Table]] = {
    "parquet": _parquet_from,
    "arrow": _arrow_from,
    "csv": _csv_from,
    "tsv": lambda data: _csv_from(data, "\t"),
    "ndjson": _ndjson_from,
    "vot": from_votable,
    "ecsv": from_ecsv,
}


def made_by(path: str, step: str) -> bool:
    """Whether the table at a path was made by the step with this id, so that nothing is left to do."""
    chain = chain_at(path)
    return bool(chain) and chain[-1].id == step


def chain_at(path: str) -> Chain:
    """The provenance of the parquet table at a path; empty if there is none."""
    from lensctl.io.provenance.steps import chain_of

    if path == "-" or format_of(path) != "parquet" or not (is_s3(path) or Path(path).exists()):
        return ()
    try:
        with readable(path):
            schema = parquet_dataset(path).schema
    except InputError:
        return ()
    return chain_of(schema, path)


def refuse_tables(output: str, beside: str | Path | None = None, *, overwrite: bool, format: str | None = None) -> None:
    """Raise InputError, before any work, if a table or the one beside it cannot be written, or exists."""
    output_format(output, format)
    if beside is not None:
        output_format(str(beside))
    refuse_outputs(output, beside, overwrite)


def refuse_lists(output: str, format: str | None = None) -> None:
    """Raise InputError, before any work, if the format of an output holds no column of lists."""
    kind = output_format(output, format)
    if kind in ("csv", "fits", "vot"):
        raise InputError(f"{output}: {kind} holds no lists, as an embedding is", "write parquet")


def refuse_rows(table: pa.Table, output: str, format: str | None = None) -> None:
    """Raise InputError, before long work, if the format of an output does not hold the values of some rows."""
    kind = output_format(output, format)
    if kind in ("csv", "fits", "vot", "reg"):
        _WRITERS[kind](table.schema, table.to_batches(max_chunksize=ROW_GROUP_ROWS), io.BytesIO())


def write_table(table: pa.Table, path: str, *, overwrite: bool = False, format: str | None = None) -> None:
    """Write a table atomically to a file or S3 object, or to stdout.

    Raises InputError if `path` exists and may not be replaced.
    """
    write_batches(
        table.schema, table.to_batches(max_chunksize=ROW_GROUP_ROWS), path, overwrite=overwrite, format=format
    )


def write_batches(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    path: str,
    *,
    overwrite: bool = False,
    format: str | None = None,
) -> None:
    """Like `write_table`, batch by batch, without holding the table in memory."""
    write = _WRITERS[output_format(path, format)]
    if path == "-":
        write(schema, batches, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with whole_file(path, overwrite) as part, part.open("wb") as file:
        write(schema, batches, file)


@contextmanager
def table_beside(table: pa.Table, path: str | Path | None, overwrite: bool = False) -> Iterator[None]:
    """Write a table that appears once the block, which writes a command's main output, has succeeded; None: none."""
    if path is None:
        yield
        return
    write = _WRITERS[output_format(str(path))]
    with whole_file(path, overwrite) as part:
        with part.open("wb") as file:
            write(table.schema, table.to_batches(max_chunksize=ROW_GROUP_ROWS), file)
        yield


def _to_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    with parquet_writer(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP_ROWS)


def parquet_writer(file: Any, schema: pa.Schema, *, late_metadata: bool = False) -> Any:
    """A parquet writer with lensctl's settings; floats hardly repeat, so they are stored without a dictionary.

    With `late_metadata` (`add_key_value_metadata`), Arrow's own copy of the schema is omitted, as it would hide it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    unique = ("galaxy_id", "row_index")
    repeating = [f.name for f in schema if not pa.types.is_floating(f.type) and f.name not in unique]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeating, store_schema=not late_metadata)


def _to_arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    import pyarrow as pa

    marked = schema.with_metadata({**(schema.metadata or {}), MARKED: b"1"})
    rows = 0
    with pa.ipc.new_stream(file, marked) as stream:
        for batch in batches:
            stream.write_batch(batch)
            rows += batch.num_rows
        empty = pa.RecordBatch.from_pylist([], schema=marked)
        stream.write_batch(empty, custom_metadata={END_MARK: str(rows).encode()})


def _to_csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    import pyarrow as pa
    import pyarrow.csv

    for field in schema:
        if pa.types.is_nested(field.type):
            raise InputError(f"column '{field.name}' is {field.type}, which CSV cannot hold", "write parquet")
    with pyarrow.csv.CSVWriter(file, schema) as writer:
        for batch in batches:
            try:
                writer.write_batch(batch)
            except pa.ArrowInvalid as error:
                raise InputError(f"rows cannot be written as CSV ({first_line(error)})", "write parquet") from error


def _to_ndjson(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: Any) -> None:
    import json
    import math

    for batch in batches:
        for row in batch.to_pylist():
            plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
            file.write(json.dumps(plain, ensure_ascii=False, default=str).encode() + b"\n")


_Writer = Callable[["pa.Schema", "Iterable[pa.RecordBatch]", Any], None]
_WRITERS: dict[str, _Writer] = {
    "parquet": _to_parquet,
    "arrow": _to_arrow,
    "csv": _to_csv,
    "ndjson": _to_ndjson,
    "fits": to_fits,
    "vot": to_votable,
    "reg": to_regions,
}


def output_format(path: str, format: str | None = None) -> str:
    """The format of a table that is to be written to a path; InputError if it is only read."""
    kind = format_of(path, format)
    if kind not in _WRITERS or path.lower().endswith((".gz", ".fz")):
        raise InputError(f"{path}: tables are not written in this form", f"use {', '.join(_WRITERS)}")
    return kind
