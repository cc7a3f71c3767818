"""SQL with DuckDB, over tables in memory and parquet on disk or S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lensctl.io import workers
from lensctl.io.provenance import digests
from lensctl.io.provenance.steps import Chain, stamp
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import read_table, write_batches
from lensctl.io.tables.parquet import partition_value, rows_at
from lensctl.io.tables.paths import format_of
from lensctl.io.tables.scanned import FILE, ROW, ScannedTable, counted, scan_parquet, with_columns
from lensctl.io.temporary import temporary_folder
from lensctl.rules.errors import InputError, ServiceError, first_line

if TYPE_CHECKING:
    import pyarrow as pa


LOCATED_BATCH_ROWS = 65_536
_INTEGERS = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT"}


def query(sql: str, **named: pa.Table) -> pa.Table:
    """Run one statement over tables in memory, each named by its keyword."""
    with Database() as database:
        for name, table in named.items():
            database.register(name, table)
        return database.query(sql)


def rows_that(table: pa.Table, condition: str, order: str = "") -> list[int]:
    """Indices of the rows that meet a user's condition, in the given order, then in table order.

    Raises InputError with DuckDB's message on an invalid condition or order.
    """
    import duckdb
    import pyarrow as pa

    numbered = table.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    first = f"{order}, " if order else ""
    try:
        with Database() as database:
            database.register("rows", numbered)
            found = database.query(f"SELECT {ROW} FROM rows WHERE ({condition or 'true'}) ORDER BY {first}{ROW}")
    except duckdb.Error as error:
        expression = f"{condition!r} ordered by {order!r}" if order else repr(condition)
        raise InputError(
            f"{expression}: {first_line(error)}", "write it as SQL, such as \"tier = 'A' AND flux_z > 1\""
        ) from error
    rows: list[int] = found[ROW].to_pylist()
    return rows


class Database:
    """A DuckDB connection in memory that spills to a temporary folder; closed at the end of its `with` block.

    Parameters
    ----------
    threads : int, optional
        One per core if not given.
    memory_mb_per_thread : int, optional
        Memory limit before it spills to disk; most of the machine's memory if not given.

    Attributes
    ----------
    locator : tuple of str
        Columns that identify the rows of a located table (see `scan`).
    hash64 : str
        Name of its 64-bit string hash function.
    """

    locator: tuple[str, ...] = (FILE, ROW)
    hash64 = "hash"

    def __init__(self, *, threads: int | None = None, memory_mb_per_thread: int | None = None) -> None:
        import duckdb

        self._closing = ExitStack()
        spill = self._closing.enter_context(temporary_folder("sql"))
        settings: dict[str, Any] = {"preserve_insertion_order": False, "temp_directory": str(spill)}
        threads = threads or workers.cores()
        settings["threads"] = threads
        if memory_mb_per_thread:
            settings["memory_limit"] = f"{memory_mb_per_thread * threads}MB"
        self._connection = self._closing.enter_context(duckdb.connect(config=settings))
        self._located: ScannedTable | pa.Table | None = None

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @staticmethod
    def identifier(name: str) -> str:
        """A column's name as SQL has it, whatever characters are in it."""
        return '"' + name.replace('"', '""') + '"'

    def register(
        self, name: str, table: pa.Table, *, columns: Sequence[str] | None = None, located: bool = False
    ) -> None:
        """Register a table in memory, or some columns of it, under a name; with the `locator` columns if `located`."""
        chosen = table.select([each for each in table.column_names if columns is None or each in columns])
        if located:
            import pyarrow as pa

            self._located = table
            chosen = chosen.append_column(FILE, pa.array([0] * table.num_rows, pa.int64()))
            chosen = chosen.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
        with _duckdb_errors():
            self._connection.register(name, chosen)

    def keep(self, name: str, sql: str) -> None:
        """Run a statement once and keep its rows as a table of this name."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of one statement."""
        with _duckdb_errors():
            return self._connection.execute(sql, parameters or {}).to_arrow_table()

    def stream(self, sql: str, batch_rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The columns of one statement, and its rows streamed in batches."""
        with _duckdb_errors():
            reader = self._connection.execute(sql).to_arrow_reader(batch_rows)

        def batches() -> Iterator[pa.RecordBatch]:
            with _duckdb_errors():
                yield from reader

        return reader.schema, batches()

    @contextmanager
    def condition(self, what: str, fix: str) -> Iterator[None]:
        """Within it, a statement that DuckDB does not understand is an InputError: a user wrote a part of it."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise InputError(f"{what}: {first_line(error)}", fix) from error
        except InputError as error:
            if isinstance(error.__cause__, duckdb.ConversionException | duckdb.OutOfRangeException):
                raise InputError(f"{what}: {first_line(error.__cause__)}", fix) from error
            raise

    def run(self, sql: str) -> None:
        """Run a statement without a result."""
        self.query(sql)

    def view(self, name: str, sql: str) -> None:
        """Register the rows of a statement under a name."""
        self.run(f"CREATE OR REPLACE VIEW {name} AS {sql}")

    def scan(
        self,
        name: str,
        path: str,
        format: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        allow_empty: bool = False,
        located: bool = False,
    ) -> ScannedTable:
        """Register the table at a path, or some columns of it, under a name, to be read as queries need it.

        A located one also has the `locator` columns.

        Raises InputError if there is no table or (unless `allow_empty`) it has no rows.
        """
        if path == "-" or format_of(path, format) != "parquet":
            table = read_table(path, format=format, allow_empty=allow_empty)
            self.register(name, table, columns=columns, located=located)
            return ScannedTable(table.schema, digests.of_table(table), table.num_rows, path)
        found = self._located = scan_parquet(path, allow_empty=allow_empty)
        if is_s3(found.files[0].path):
            self._load_s3()
        chosen = [each for each in found.schema.names if columns is None or each in columns]
        self.view(name, _select(found, chosen, located))
        return found

    def write_located(
        self, chosen: str, output: str, chain: Chain, *, rows: int, overwrite: bool, format: str | None
    ) -> None:
        """Write all columns of those rows of the located table that another table selects, unchanged.

        Parameters
        ----------
        chosen : str
            Table with the `locator` columns, and others to append to the output.
        output : str
            File, or - for stdout; rows are sorted by galaxy_id.
        chain : Chain
            Provenance of the output.
        rows : int
            Expected number; nothing is written if it differs.
        """
        import pyarrow as pa

        assert self._located is not None, "scan a located table first"
        picked = self.query(f"SELECT * FROM {chosen}")
        if isinstance(self._located, ScannedTable):
            file_of, row_of = (picked[name].to_numpy() for name in self.locator)
            found = list(rows_at(self._located.files, self._located.schema, file_of, row_of))
            picked = pa.concat_tables([picked.slice(0, 0), *(picked.take(pa.array(mine)) for mine, _ in found)])
            taken = pa.concat_tables([self._located.schema.empty_table(), *(table for _, table in found)])
        else:
            taken = self._located.take(picked[ROW])
        table = with_columns(taken, picked.drop_columns(list(self.locator))).sort_by("galaxy_id")
        batches = stamp(table, chain).to_batches(max_chunksize=LOCATED_BATCH_ROWS)
        write_batches(stamp(table, chain).schema, counted(batches, rows), output, overwrite=overwrite, format=format)

    def _load_s3(self) -> None:
        """Load the httpfs extension from its package, with the S3 account."""
        import duckdb_extension_httpfs

        from lensctl.io.storage import s3

        account = s3.account()
        extension = next(iter(duckdb_extension_httpfs.__path__))
        self._connection.execute(f"LOAD '{_extension_file(extension)}'")
        self._connection.execute("SET enable_external_file_cache = false")  # useless, as each query reads other columns
        endpoint = (account.endpoint or "").split("://")[-1]
        options = {"KEY_ID": account.access_key, "SECRET": account.secret_key, "REGION": account.region}
        if account.token:
            options["SESSION_TOKEN"] = account.token
        if account.endpoint:
            options |= {"ENDPOINT": endpoint, "URL_STYLE": "path", "USE_SSL": str(account.endpoint.startswith("https"))}
        listed = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items())
        self._connection.execute(f"CREATE OR REPLACE SECRET (TYPE s3, {listed})")


@contextmanager
def _duckdb_errors() -> Iterator[None]:
    """Turn DuckDB's errors about unreachable or unreadable files into a one-line message."""
    import duckdb

    try:
        yield
    except duckdb.HTTPException as error:
        raise ServiceError(f"S3 says: {first_line(error)}", "check the path and your AWS credentials") from error
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise  # a statement of ours
    except duckdb.Error as error:
        raise InputError(f"a table cannot be read ({first_line(error)})", "is the file complete?") from error


def _select(found: ScannedTable, chosen: Sequence[str], located: bool) -> str:
    """The statement that reads some columns of parquet files, those too that their folders' names say."""
    named = {name for file in found.files for name in file.partition}
    columns = []
    for field in map(found.schema.field, chosen):
        if field.name in named:
            values = [partition_value(file, field).as_py() for file in found.files]
            listed = ", ".join("NULL" if value is None else _quoted(str(value)) for value in values)
            kind = _sql_type(field.type)
            columns.append(f"[{listed}][file_index::BIGINT + 1]::{kind} AS {Database.identifier(field.name)}")
        else:
            columns.append(Database.identifier(field.name))
    if located:
        columns += [f"file_index AS {FILE}", f"file_row_number AS {ROW}"]
    files = ", ".join(_quoted(_no_glob(file.path)) for file in found.files)
    options = "hive_partitioning = false" + (", union_by_name = true" if len(found.files) > 1 else "")
    return f"SELECT {', '.join(columns)} FROM read_parquet([{files}], {options})"


def _sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of the type of a partition column: a text, an integer or a truth value."""
    import pyarrow as pa

    return "VARCHAR" if pa.types.is_string(kind) else "BOOLEAN" if pa.types.is_boolean(kind) else _INTEGERS[str(kind)]


def _no_glob(path: str) -> str:
    """A path that DuckDB takes as it is: not as a pattern, and not below a home folder."""
    plain = "".join(f"[{character}]" if character in "*?[" else character for character in path)
    return f"./{plain}" if plain.startswith("~") else plain


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _extension_file(folder: str) -> str:
    from pathlib import Path

    return str(next(Path(folder).rglob("*.duckdb_extension")))
