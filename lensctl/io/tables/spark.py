"""Spark backend for tables that outgrow one machine: the same SQL, tables read and written by our own code.

Executors read parquet row groups and write the output with the same code as a single machine, so that `s3://` and
`s3a://`, credentials and endpoints work alike; only small results such as the strata come to the driver.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from lensctl.io.provenance.steps import Chain, stamp
from lensctl.io.storage.s3 import is_s3
from lensctl.io.tables.files import write_batches
from lensctl.io.tables.parquet import ParquetFile, dataset_of, rows_at
from lensctl.io.tables.paths import format_of
from lensctl.io.tables.scanned import FILE, ROW, ScannedTable, counted, scan_parquet, with_columns
from lensctl.rules.errors import InputError, LensctlError, first_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

BATCH_ROWS = 65_536

Task = TypeVar("Task")
Result = TypeVar("Result")


class Cluster:
    """A Spark session, with Spark's own configuration (spark-defaults, `PYSPARK_SUBMIT_ARGS`).

    Attributes
    ----------
    locator, hash64
        As for `sql.Database`.

    Raises
    ------
    InputError
        No pyspark, or no Java.
    """

    locator: tuple[str, ...] = (FILE, ROW)
    hash64 = "xxhash64"

    def __init__(self) -> None:
        self._session = _session()
        self._files: list[ParquetFile] = []
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.stop()

    @property
    def is_local(self) -> bool:
        """Whether executors run on this machine and see its disk."""
        return str(self._session.sparkContext.master).startswith("local")

    def scan(self, name: str, path: str, columns: Sequence[str]) -> ScannedTable:
        """Register some columns of the parquet files at a path under a name, with the `locator` columns.

        Raises InputError if there is no table, it has no rows, or it is a stream or not parquet.
        """
        if path == "-" or format_of(path) != "parquet":
            raise InputError(f"{path}: Spark reads parquet files", "give a parquet file, glob, folder or s3:// path")
        self.refuse_unseen(path)
        found = scan_parquet(path)
        self._files, self._schema = list(found.files), found.schema
        groups = [(n, g, first) for n, file in enumerate(found.files) for g, first in _groups(file)]
        read = [column for column in columns if column in found.schema.names]
        fields = [found.schema.field(column) for column in read]
        pairs = self._session.createDataFrame(groups, "file int, row_group int, first long")
        spread = pairs.repartition(max(1, len(groups)))
        rows = spread.mapInArrow(
            functools.partial(_read_groups, files=self._files, schema=found.schema, columns=read),
            self._types([*fields, *_locator_fields()]),
        )
        rows.persist().createOrReplaceTempView(name)
        return found

    @staticmethod
    def identifier(name: str) -> str:
        """A column's name as SQL has it, whatever characters are in it."""
        return "`" + name.replace("`", "``") + "`"

    def view(self, name: str, sql: str) -> None:
        """Register the rows of a statement under a name."""
        with _spark_errors():
            self._session.sql(sql).createOrReplaceTempView(name)

    @contextmanager
    def condition(self, what: str, fix: str) -> Iterator[None]:
        """Within it, a statement that Spark does not understand is an InputError: a user wrote a part of it.

        Text that is no number is then an error, as for DuckDB, and not null.
        """
        from pyspark.errors import AnalysisException, ParseException

        self._session.conf.set("spark.sql.ansi.enabled", "true")
        try:
            yield
        except LensctlError as error:
            cause = error.__cause__
            text = str(cause)
            if isinstance(cause, AnalysisException | ParseException) or "[CAST_INVALID_INPUT]" in text:
                said = next((line for line in text.splitlines() if line.strip().startswith("[")), text)
                raise InputError(f"{what}: {first_line(said)}", fix) from error
            raise
        finally:
            self._session.conf.unset("spark.sql.ansi.enabled")

    def register(self, name: str, table: pa.Table) -> None:
        """Register a small table under a name."""
        rows = [tuple(row.values()) for row in table.to_pylist()]
        self._session.createDataFrame(rows, self._types(list(table.schema))).createOrReplaceTempView(name)

    def keep(self, name: str, sql: str) -> None:
        """Run a statement once and register its rows under a name."""
        with _spark_errors():
            self._session.sql(sql).persist().createOrReplaceTempView(name)

    def query(self, sql: str) -> pa.Table:
        """The rows of a statement with a small result."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        with _spark_errors():
            found = self._session.sql(sql)
            return pa.Table.from_pylist([row.asDict() for row in found.collect()], schema=to_arrow_schema(found.schema))

    def write_located(
        self, chosen: str, output: str, chain: Chain, *, rows: int, overwrite: bool, format: str | None
    ) -> None:
        """Like `sql.Database.write_located`: one file, written by an executor."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        assert self._schema is not None, "scan a table first"
        if output == "-":
            raise InputError("with Spark the rows never come to this machine", "give a file, best on s3://")
        if not is_s3(output) and not self.is_local:
            raise InputError(f"{output} is on this machine's disk, not visible to the cluster", "give an s3:// path")
        located = self._session.table(chosen)
        carried = [field.with_nullable(True) for field in to_arrow_schema(located.schema)]
        carried = [field for field in carried if field.name not in self.locator]
        empty = with_columns(self._schema.empty_table(), pa.schema(carried).empty_table())
        schema = stamp(empty, chain).schema
        fetch = functools.partial(_fetch, files=self._files, schema=self._schema)
        write = functools.partial(
            _write,
            output=output,
            schema=schema,
            rows=rows,
            overwrite=overwrite,
            format=format_of(output, format),
        )
        fetched = located.repartition(len(self._files), FILE).mapInArrow(fetch, self._types(list(schema)))
        with _spark_errors():
            fetched.repartition(1).sortWithinPartitions("galaxy_id").mapInArrow(write, "rows long").collect()

    def each(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Results of a function over tasks, each as a Spark task, in task order."""
        listed = list(tasks)
        if not listed:
            return []
        with _spark_errors():
            return list(self._session.sparkContext.parallelize(listed, len(listed)).map(function).collect())

    def refuse_unseen(self, path: str) -> None:
        """Raise InputError for a path that executors cannot see."""
        if path == "-":
            raise InputError("with Spark the rows never come to this machine", "give a file, best on s3://")
        if not is_s3(path) and not self.is_local:
            raise InputError(f"{path} is on this machine's disk, not visible to the cluster", "give an s3:// path")

    def _types(self, fields: Sequence[pa.Field]) -> Any:
        import pyarrow as pa
        from pyspark.errors import PySparkException
        from pyspark.sql.pandas.types import from_arrow_schema

        for field in fields:
            try:
                from_arrow_schema(pa.schema([field]), prefer_timestamp_ntz=True)
            except PySparkException as error:
                raise InputError(
                    f"column '{field.name}' is {field.type}, which Spark does not support", "drop or cast it"
                ) from error
        return from_arrow_schema(pa.schema(fields), prefer_timestamp_ntz=True)


def _session() -> SparkSession:
    """A quiet session, with Python workers like this process."""
    import sys

    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError("Spark is not installed", "pip install 'lensctl[spark]', or run on the cluster") from error
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise InputError("Spark needs Java, which was not found", "install Java 17, or set JAVA_HOME")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # py4j logs, with tracebacks, what it raises as well: of a signal or an error while Java works
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_not_raised_as_well)
    try:
        session = (
            SparkSession.builder.appName("lensctl")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(BATCH_ROWS))
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate()
        )
    except PySparkException as error:
        raise LensctlError(f"Spark did not start: {first_line(error)}", "see its messages above") from error
    session.sparkContext.setLogLevel("ERROR")
    return session


def _is_not_raised_as_well(record: logging.LogRecord) -> bool:
    """Not what py4j gives to the root logger, not to its own."""
    return not str(record.msg).endswith("while sending command.")


@contextmanager
def _spark_errors() -> Iterator[None]:
    """Turn errors of an executor or of the SQL into a one-line message."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        ours = [line.split("Error: ", 1)[1] for line in lines if line.startswith("lensctl.rules.errors.")]
        raise LensctlError(
            f"Spark: {(ours or [line for line in lines if line] or ['failed'])[0][:300]}",
            "see the executors' log, fix the cause, and rerun the command",
        ) from error


def _locator_fields() -> list[pa.Field]:
    import pyarrow as pa

    return [pa.field(FILE, pa.int32()), pa.field(ROW, pa.int64())]


def _groups(file: ParquetFile) -> list[tuple[int, int]]:
    """Row groups of a parquet file: index and first row."""
    groups, first = [], 0
    for fragment in dataset_of([file]).get_fragments():
        for group in fragment.row_groups:
            groups.append((group.id, first))
            first += group.num_rows
    return groups


def _read_groups(
    batches: Iterator[pa.RecordBatch], files: Sequence[ParquetFile], schema: pa.Schema, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Rows of some row groups (file, row_group, first), with the locator columns."""
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        for file, group, first in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            rows = _group(files[file], group, schema, columns)
            rows = rows.append_column(FILE, pa.array(np.full(rows.num_rows, file, np.int32)))
            rows = rows.append_column(ROW, pa.array(np.arange(first, first + rows.num_rows)))
            yield from rows.to_batches(max_chunksize=BATCH_ROWS)


def _group(file: ParquetFile, group: int, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    fragment = next(iter(dataset_of([file], schema).get_fragments())).subset(row_group_ids=[group])
    return fragment.to_table(schema=schema, columns=columns)


def _fetch(
    batches: Iterator[pa.RecordBatch], files: Sequence[ParquetFile], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """All columns of located rows, with the carried columns."""
    import pyarrow as pa

    received = list(batches)
    if not received:
        return
    located = pa.Table.from_batches(received)
    carried = located.drop_columns([FILE, ROW])
    for mine, rows in rows_at(files, schema, located[FILE].to_numpy(), located[ROW].to_numpy()):
        both = with_columns(rows, carried.take(pa.array(mine)))
        yield from both.combine_chunks().to_batches(max_chunksize=BATCH_ROWS)


def _write(
    batches: Iterator[pa.RecordBatch], output: str, schema: pa.Schema, rows: int, overwrite: bool, format: str
) -> Iterator[pa.RecordBatch]:
    """Write the rows of the only partition."""
    import pyarrow as pa

    typed = (part for batch in batches for part in pa.Table.from_batches([batch]).cast(schema).to_batches())
    write_batches(schema, counted(typed, rows), output, overwrite=overwrite, format=format)
    yield pa.RecordBatch.from_pydict({"rows": pa.array([rows], pa.int64())})
