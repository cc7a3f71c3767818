"""The one door to SQL: DuckDB, over tables in memory and over parquet on disk or S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lensctl.doors import digests, provenance, tables
from lensctl.doors.whole import is_s3
from lensctl.words.errors import InputError, ServiceError

if TYPE_CHECKING:
    import pyarrow as pa


def query(sql: str, **named: pa.Table) -> pa.Table:
    """Run one statement over tables in memory, each under its keyword's name."""
    with Database() as database:
        for name, table in named.items():
            database.register(name, table)
        return database.query(sql)


def rows_that(table: pa.Table, condition: str, order: str = "") -> list[int]:
    """Numbers of the rows that meet a condition someone wrote, in the order they ask for, then in the table's.

    Raises InputError that says what DuckDB makes of the condition or order.
    """
    import duckdb
    import pyarrow as pa

    numbered = table.append_column("__row", pa.array(range(table.num_rows), pa.int64()))
    first = f"{order}, " if order else ""
    try:
        with Database() as database:
            database.register("rows", numbered)
            found = database.query(f"SELECT __row FROM rows WHERE ({condition or 'true'}) ORDER BY {first}__row")
    except duckdb.Error as error:
        said = f"{condition!r} ordered by {order!r}" if order else repr(condition)
        raise InputError(
            f"{said}: {str(error).splitlines()[0][:200]}", "write it as SQL, such as \"tier = 'A' AND flux_z > 1\""
        ) from error
    rows: list[int] = found["__row"].to_pylist()
    return rows


class Scan:
    """A table that DuckDB reads where it lies, under a name, without loading it.

    Attributes
    ----------
    schema : pa.Schema
        Its columns, with the metadata of the first file.
    digest : str
        Of the parquet footers; of the content where the table came as a stream or in another format.
    chain : Chain
        Its provenance.
    rows : int
    """

    def __init__(self, schema: pa.Schema, digest: str, rows: int, where: str) -> None:
        self.schema = schema
        self.digest = digest
        self.rows = rows
        self.chain = provenance.chain_of(schema, where)


class Database:
    """A DuckDB connection in memory that spills to disk; closed at the end of its `with` block."""

    def __init__(self, *, threads: int | None = None, memory_limit: str | None = None) -> None:
        import duckdb

        settings: dict[str, Any] = {"preserve_insertion_order": False}
        if threads:
            settings["threads"] = threads
        if memory_limit:
            settings["memory_limit"] = memory_limit
        self._connection = duckdb.connect(config=settings)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def register(self, name: str, table: pa.Table) -> None:
        """Make a table in memory known under a name."""
        self._connection.register(name, table)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of one statement, in the order it gives them."""
        with _plainly():
            return self._connection.execute(sql, parameters or {}).to_arrow_table()

    def stream(self, sql: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of one statement in batches, never all at once."""
        with _plainly():
            yield from self._connection.execute(sql).to_arrow_reader(batch_rows)

    def run(self, sql: str) -> None:
        """Run a statement that gives no rows."""
        self.query(sql)

    def scan(self, name: str, path: str, format: str | None = None, *, allow_empty: bool = False) -> Scan:
        """Make the table at a path known under a name, read as the queries need it.

        Raises InputError where there is no table or (unless `allow_empty`) it has no rows.
        """
        if path == "-" or tables.format_of(path, format) != "parquet":
            table = tables.read(path, format=format, allow_empty=allow_empty)
            self.register(name, table)
            return Scan(table.schema, digests.of_table(table), table.num_rows, path)
        files = tables.files(path)
        footers, rows = _footers(files)
        with tables.readable(path):
            schema = tables.dataset(path).schema
        if rows == 0 and not allow_empty:
            raise InputError(f"{path}: the table has no rows", "see the step that made it")
        if is_s3(files[0]):
            self._load_s3()
        listed = ", ".join(map(_quoted, files))
        self.run(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}], hive_partitioning = true)")
        return Scan(schema, digests.of_parquet(footers), rows, path)

    def _load_s3(self) -> None:
        """Load the httpfs extension from its package and hand it the account."""
        import duckdb_extension_httpfs

        from lensctl.doors import s3

        who = s3.account()
        extension = next(iter(duckdb_extension_httpfs.__path__))
        self._connection.execute(f"LOAD '{_extension_file(extension)}'")
        endpoint = (who.endpoint or "").split("://")[-1]
        options = {"KEY_ID": who.access_key, "SECRET": who.secret_key, "REGION": who.region}
        if who.token:
            options["SESSION_TOKEN"] = who.token
        if who.endpoint:
            options |= {"ENDPOINT": endpoint, "URL_STYLE": "path", "USE_SSL": str(who.endpoint.startswith("https"))}
        listed = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items())
        self._connection.execute(f"CREATE OR REPLACE SECRET (TYPE s3, {listed})")


@contextmanager
def _plainly() -> Iterator[None]:
    """Turn what DuckDB raises on files it cannot reach or read into one sentence."""
    import duckdb

    try:
        yield
    except duckdb.HTTPException as error:
        raise ServiceError(
            f"S3 says: {str(error).splitlines()[0]}", "check the path and your AWS credentials"
        ) from error
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.OutOfMemoryException) as error:
        raise InputError(
            f"a table cannot be read ({str(error).splitlines()[0][:200]})", "is the file whole?"
        ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _extension_file(folder: str) -> str:
    from pathlib import Path

    return str(next(Path(folder).rglob("*.duckdb_extension")))


def _footers(files: list[str]) -> tuple[list[bytes], int]:
    """Footers of parquet files and the number of rows they speak of."""
    import pyarrow.parquet as pq

    filesystem, names = tables.filesystem_of(files)
    footers, rows = [], 0
    for file, name in zip(files, names, strict=True):
        with tables.readable(file), filesystem.open_input_file(name) as source:
            size = source.size()
            if size < 12:
                raise InputError(f"{file}: not a whole parquet file", "make it again")
            source.seek(size - 8)
            length = int.from_bytes(source.read(4), "little")
            source.seek(max(0, size - 8 - length))
            footers.append(source.read(length))
            source.seek(0)
            rows += pq.read_metadata(source).num_rows
    return footers, rows
