"""Parquet files that make one table: the columns that any of them has, and those that their folders' names say.

A folder `split=val` gives its files a column `split`, as Hive, Spark, DuckDB and Arrow have it, but only below the
folder that was given: what a path to a file, or to the folder itself, is called says nothing about the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lensctl.io.tables import units
from lensctl.io.tables.paths import filesystem_of, found_at, readable
from lensctl.io.unpacking import read_parquet_dataset
from lensctl.rules import schema as declared
from lensctl.rules.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

NULL = "__HIVE_DEFAULT_PARTITION__"
"""Name that Hive, Spark, DuckDB and Arrow give to the partition of nulls."""

OPENED_AT_ONCE = 16


@dataclass(frozen=True)
class ParquetFile:
    """A file, and the values of the columns that its folders' names say; None is null."""

    path: str
    partition: Mapping[str, str | None]


def parquet_files(path: str) -> list[ParquetFile]:
    """The parquet files at a path, in name order; InputError if there are none."""
    return [ParquetFile(file, _partition(file, folder)) for file, folder in found_at(path)]


def _partition(file: str, folder: str) -> dict[str, str | None]:
    """What the folders between a folder and a file in it say."""
    if not folder:
        return {}
    pairs = (part.split("=", 1) for part in file[len(folder) :].split("/")[:-1] if "=" in part)
    return {unquote(name): None if value == NULL else unquote(value) for name, value in pairs}


def parquet_dataset(path: str) -> Any:
    """The parquet files at a path as one Arrow dataset; InputError if there are none."""
    return dataset_of(parquet_files(path))


def dataset_of(files: Sequence[ParquetFile], columns: pa.Schema | None = None) -> Any:
    """Files as one Arrow dataset.

    Parameters
    ----------
    columns : pa.Schema, optional
        Of all files together, if known; see `common_columns`.

    Raises
    ------
    InputError
        As for `common_columns`.
    """
    import pyarrow.dataset as ds

    filesystem, names = filesystem_of([file.path for file in files])
    columns = common_columns(files) if columns is None else columns
    guarantees = []
    for file in files:
        guarantee = ds.scalar(True)
        for name in file.partition:
            value = partition_value(file, columns.field(name))
            guarantee &= ds.field(name) == value if value.is_valid else ds.field(name).is_null()
        guarantees.append(guarantee)
    return ds.FileSystemDataset.from_paths(
        names, schema=columns, format=ds.ParquetFileFormat(), filesystem=filesystem, partitions=guarantees
    )


def rows_at(
    files: Sequence[ParquetFile], columns: pa.Schema, file_of: NDArray[Any], row_of: NDArray[Any]
) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
    """Some rows of some files, with all columns as they are stored; one row group is in memory at a time.

    Parameters
    ----------
    columns : pa.Schema
        Of all files together; see `common_columns`.
    file_of, row_of : (N,) int
        Number of each row's file, and of the row in it.

    Yields
    ------
    (M,) int, pa.Table
        Which of the N these rows are, and the rows.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.dataset as ds

    order = np.lexsort((row_of, file_of))
    for number in np.unique(file_of):
        inside = order[slice(*np.searchsorted(file_of[order], (number, number + 1)))]
        found = dataset_of([files[number]], columns)
        (fragment,) = found.get_fragments()
        first = 0
        for group in fragment.row_groups:
            mine = inside[slice(*np.searchsorted(row_of[inside], (first, first + group.num_rows)))]
            if len(mine):
                one = [fragment.subset(row_group_ids=[group.id])]
                with readable(files[number].path):
                    rows = read_parquet_dataset(ds.FileSystemDataset(one, columns, found.format, found.filesystem))
                yield mine, rows.take(pa.array(row_of[mine] - first))
            first += group.num_rows


def partition_value(file: ParquetFile, field: pa.Field) -> pa.Scalar:
    """The value of a partition column in a file, of the column's type."""
    import pyarrow as pa

    return pa.scalar(file.partition.get(field.name), pa.string()).cast(field.type)


def common_columns(files: Sequence[ParquetFile]) -> pa.Schema:
    """The columns of all files together, with the metadata of the first; a file that lacks one has nulls there.

    Raises
    ------
    InputError
        An unreadable file; a column of two types that have nothing in common, or in two units; a column whose values
        in a file are not those that the name of its folder says.
    """
    import pyarrow as pa

    with ThreadPoolExecutor(OPENED_AT_ONCE) as threads:
        found = list(threads.map(_columns_of, files))
    try:
        together = pa.unify_schemas(found, promote_options="permissive") if len(found) > 1 else found[0]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _unlike(files, found) from error
    units.refuse_unlike([file.path for file in files], found)
    for name in dict.fromkeys(name for file in files for name in file.partition):
        values = [file.partition.get(name) for file in files]
        if name in together.names:
            _refuse_contradictions(name, files, found)
        else:
            together = together.append(pa.field(name, _type_of(name, values)))
    declared.folded(together.names, files[0].path)
    return together.with_metadata(found[0].metadata)


def _columns_of(file: ParquetFile) -> pa.Schema:
    import pyarrow.parquet as pq

    filesystem, (name,) = filesystem_of([file.path])
    with readable(file.path):
        return pq.read_schema(name, filesystem=filesystem)


def _type_of(name: str, values: Sequence[str | None]) -> pa.DataType:
    """The declared type of a partition column; else integer if all its values are."""
    import pyarrow as pa

    if name in declared.columns():
        return declared.arrow_type(name)
    integers = all(value is None or (value.lstrip("-").isdecimal() and str(int(value)) == value) for value in values)
    return pa.int64() if integers and any(values) else pa.string()


def _unlike(files: Sequence[ParquetFile], found: Sequence[pa.Schema]) -> InputError:
    """The error about the first column that has unlike types."""
    first: dict[str, tuple[str, pa.DataType]] = {}
    for file, columns in zip(files, found, strict=True):
        for field in columns:
            where, kind = first.setdefault(field.name, (file.path, field.type))
            if not _alike(kind, field.type):
                return InputError(
                    f"column '{field.name}' is {kind} in {where} and {field.type} in {file.path}",
                    "give files of one kind, or write the column alike",
                )
    return InputError(f"{files[0].path} and others do not make one table", "give files of one kind")


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _refuse_contradictions(name: str, files: Sequence[ParquetFile], found: Sequence[pa.Schema]) -> None:
    """Raise InputError if a file has a column that its folder's name contradicts."""
    import pyarrow.compute as pc

    for file, columns in zip(files, found, strict=True):
        if name not in file.partition or name not in columns.names:
            continue
        with readable(file.path):
            own = read_parquet_dataset(dataset_of([ParquetFile(file.path, {})], columns), [name])[name]
        said = partition_value(file, columns.field(name))
        same = pc.is_null(own) if not said.is_valid else pc.fill_null(pc.equal(own, said), False)
        if not pc.all(same, min_count=0).as_py():
            raise InputError(
                f"{file.path}: column '{name}' has other values than the folder's name says ({file.partition[name]})",
                "write the file without this column, or into a folder without '='",
            )
