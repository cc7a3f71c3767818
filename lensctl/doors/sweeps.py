"""Survey catalogues: sweeps and Tractor files, FITS or parquet, as rows with the columns lensctl needs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lensctl.doors import digests, fits_tables, provenance, tables
from lensctl.doors.whole import is_s3
from lensctl.words import schema
from lensctl.words.derived import OPTIONAL, REQUIRED
from lensctl.words.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

OLD_RELEASE_COLUMNS = ("shapedev_r", "shapeexp_r")  # DR8 and before


def files(paths: Sequence[str]) -> list[str]:
    """Every catalogue file that some paths stand for, sorted; two files of one name are an error.

    Raises InputError where a path stands for nothing.
    """
    found = sorted({file for path in paths for file in tables.files(path)}, key=_name)
    for first, second in itertools.pairwise(found):
        if _name(first) == _name(second):
            raise InputError(f"{first} and {second} have one name", "name each catalogue file once")
    return found


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def source(paths: Sequence[str]) -> provenance.Source:
    """Many catalogue files as one input: how many, and the digest of their names and contents."""
    name = _name(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
    return provenance.Source("catalog", name, digests.of_many(f"{_name(path)} {_digest(path)}" for path in paths))


def _digest(path: str) -> str:
    if is_s3(path):
        return digests.of_table(read(path, (*REQUIRED, *OPTIONAL)))
    return digests.of_file(path)


def read(path: str, columns: Sequence[str], rows: Sequence[int] | None = None) -> pa.Table:
    """Some columns of one catalogue file, lower-case, where it has them; of Tractor files, primary objects only.

    Parameters
    ----------
    rows : sequence of int, optional
        Only these rows, by their number in the file.

    Returns
    -------
    pa.Table
        With `sweep_file` and `row_index`; objects that a neighbouring brick owns are left out.
    """
    import numpy as np
    import pyarrow as pa

    wanted = [*columns, "brick_primary"]
    if tables.format_of(path) == "fits":
        table = fits_tables.read(path, wanted, rows)
    else:
        table = tables.read(path, allow_empty=True)
        table = table.rename_columns([name.lower() for name in table.column_names])
        table = table.select([name for name in table.column_names if name in wanted])
        if rows is not None:
            table = table.take(pa.array(rows, pa.int64()))
    index = np.arange(table.num_rows) if rows is None else np.asarray(rows)
    table = table.append_column("row_index", pa.array(index, pa.int64()))
    table = table.append_column("sweep_file", pa.array([_name(path)] * table.num_rows, pa.string()))
    if "brick_primary" in table.column_names:
        table = table.filter(table["brick_primary"].cast(pa.bool_())).drop_columns(["brick_primary"])
    return schema.conform(table, path)


def require_columns(path: str, names: Sequence[str]) -> None:
    """Raise InputError that names missing columns and, for an old release, the releases that have them."""
    if tables.format_of(path) == "fits":
        found = fits_tables.column_names(path)
    else:
        with tables.readable(path):
            found = [name.lower() for name in tables.dataset(path).schema.names]
    missing = [name for name in names if name not in found]
    if missing and any(name in found for name in OLD_RELEASE_COLUMNS):
        listed = ", ".join(missing)
        raise InputError(
            f"{path}: columns of DR8 or before; missing are {listed}",
            "use the sweeps or Tractor catalogues of DR9 or DR10, which have them",
        )
    import pyarrow as pa

    schema.require(pa.schema([(name, pa.null()) for name in found]), *names, where=path)
